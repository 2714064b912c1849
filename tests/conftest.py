"""Fixtures that all tests may use."""

import gc
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from support.backstage import Backstage
from support.keychain import PACKAGES, PrivateKeychain, missing_programs, private_keychain
from support.proxy import Proxy, clean_environment
from understudy.sandbox.server import Sandbox, Tls

ProxyFactory = Callable[..., Proxy]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """The authority that signs the sandbox's certificate."""
    return trustme.CA()


@pytest.fixture(scope="session")
def authority_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authority's certificate, for the proxy to trust."""
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(scope="session")
def tls_files(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sandbox's certificate chain and key, as PEM files."""
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("127.0.0.1", "localhost")
    cert, key = folder / "cert.pem", folder / "key.pem"
    for number, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(str(cert), append=number > 0)
    issued.private_key_pem.write_to_path(str(key))
    return cert, key


@pytest.fixture(scope="session")
def confdir_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mitmproxy's folder with its CA in it: made once, it takes a while."""
    from mitmproxy.certs import CertStore

    path = tmp_path_factory.mktemp("confdir")
    CertStore.from_store(path, "mitmproxy", 2048)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Understudy's folder."""
    return tmp_path / "understudy"


def import_accounts(home: Path, sandbox: Sandbox, folder: Path) -> None:
    """Fills the pool with the sandbox's accounts, by the command that a user types, in the scenario's order."""
    folder.mkdir(exist_ok=True)
    for label in sandbox.scenario.accounts:
        path = folder / f"{label}-auth.json"
        path.write_text(sandbox.auth_json(label))
        subprocess.run(
            [sys.executable, "-m", "understudy", "accounts", "import", str(path), "--label", label],
            env=clean_environment(UNDERSTUDY_HOME=str(home)),
            check=True,
            capture_output=True,
        )


@pytest.fixture
def start(home: Path, tmp_path: Path, confdir_template: Path, authority_file: Path) -> Iterator[ProxyFactory]:
    """Starts a proxy in front of a sandbox whose accounts are imported: `start(sandbox, **options)`."""

    def start_proxy(sandbox: Sandbox, *, empty: bool = False, **more: object) -> Proxy:
        options: dict[str, object] = {
            "codex_backend": sandbox.backend,
            "codex_issuer": sandbox.issuer,
            "ssl_verify_upstream_trusted_ca": authority_file,
        }
        for name in [name for name in more if name not in ("mode", "program", "arguments", "script")]:
            options[name] = more.pop(name)
        if not empty:
            import_accounts(home, sandbox, tmp_path / "logins")
        confdir = tmp_path / "confdir"
        if not confdir.exists():
            shutil.copytree(confdir_template, confdir)
        return Proxy(home, confdir, options, **more)  # type: ignore[arg-type]

    yield start_proxy


@pytest.fixture
def tls_sandbox(tls_files: tuple[Path, Path]) -> Callable[..., Sandbox]:
    """A sandbox over TLS: `tls_sandbox(scenario, alpn=("http/1.1",))`."""

    def make(scenario: dict[str, object], alpn: tuple[str, ...] = ("h2", "http/1.1")) -> Sandbox:
        return Sandbox(scenario, tls=Tls(*tls_files, alpn=alpn))

    return make


@pytest.fixture(scope="session")
def make_backstage(
    tmp_path_factory: pytest.TempPathFactory, confdir_template: Path, authority_file: Path
) -> Callable[[], Backstage]:
    """Makes the folders of one more proxy; unlike `start`, for proxies that several tests share."""
    return lambda: Backstage(tmp_path_factory.mktemp("backstage"), confdir_template, authority_file)


@pytest.fixture
def keychain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateKeychain]:
    """A keychain that this process, and those that it starts, use."""
    if missing := missing_programs():
        pytest.skip(f"NO KEYCHAIN IS TESTED: {', '.join(missing)} is missing; install {PACKAGES}")
    with private_keychain(tmp_path / "keychain") as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running
        gc.collect()  # The library leaves connections open where a keychain is locked: they are closed here.
