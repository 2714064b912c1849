"""Where the proxy's own files are: its certificate authority, and what programs are pointed to to trust it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Confdir:
    """mitmproxy's `confdir` in our folder. `home`: that folder. Nothing here need exist."""

    home: Path

    @property
    def path(self) -> Path:
        """The folder that mitmproxy gets as its option `confdir`."""
        return self.home / "mitmproxy"

    @property
    def authority(self) -> Path:
        """Key and certificate in one PEM file, as mitmproxy reads them. Mode 0600."""
        return self.path / "mitmproxy-ca.pem"

    @property
    def certificate(self) -> Path:
        """The certificate alone (PEM). mitmproxy does not write it where it finds `authority`."""
        return self.path / "mitmproxy-ca-cert.pem"

    @property
    def bundle(self) -> Path:
        """The system's roots and the certificate in one file (PEM), for programs whose trust store it replaces."""
        return self.path / "bundle.pem"

    @property
    def config(self) -> Path:
        """mitmproxy's own configuration file for a proxy that is started with this folder: it reads either of two."""
        path = self.path / "config.yaml"
        other = path.with_suffix(".yml")
        return other if other.exists() and not path.exists() else path
