"""mitmdump or mitmweb as a subprocess with the addon loaded, the way a user starts it."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "addon" / "codex.py"
LISTENING = re.compile(r"listening at (?:https?://)?(?:127\.0\.0\.1|localhost|\*):(\d+)")
START_LIMIT = 30.0


KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "DBUS_SESSION_BUS_ADDRESS")


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without anything that would lead a program elsewhere."""
    kept = {k: v for k, v in os.environ.items() if k in KEPT}
    return kept | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"} | more


class Proxy:
    """A running proxy. Leaving the block ends it with SIGTERM and checks that it ended well."""

    def __init__(
        self,
        home: Path,
        confdir: Path,
        options: Mapping[str, object],
        *,
        mode: str = "regular",
        program: str = "mitmdump",
        arguments: Sequence[str] = (),
        script: Path | None = SCRIPT,
    ) -> None:
        self.home = home
        self.confdir = confdir
        self.log = ""
        self.port = 0
        self._news = threading.Condition()
        settings = {"confdir": confdir, "listen_host": "127.0.0.1", "listen_port": 0, **options}
        self._command = [str(Path(sys.executable).with_name(program)), "--mode", mode]
        if script is not None:
            self._command += ["-s", str(script)]
        for name, value in settings.items():
            self._command += ["--set", f"{name}={value}"]
        self._command += arguments

    @property
    def url(self) -> str:
        """The proxy's own URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        """The certificate that hosts must trust."""
        return self.confdir / "mitmproxy-ca-cert.pem"

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            env=clean_environment(UNDERSTUDY_HOME=str(self.home)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        found = LISTENING.search(self.wait_for_log(LISTENING.pattern, START_LIMIT))
        assert found is not None
        self.port = int(found[1])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is not None:
            sys.stderr.write(f"--- the proxy's log\n{self.log}\n")

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def stop(self) -> None:
        """Ends the proxy, and waits until it has."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join(5)
            assert self._process.stdout is not None
            self._process.stdout.close()

    def wait_for_log(self, pattern: str, timeout: float = 20.0) -> str:
        """Waits until the log has a line that `pattern` is found in; gives the log."""
        wanted = re.compile(pattern)
        until = time.monotonic() + timeout
        with self._news:
            while not wanted.search(self.log):
                if self._process.poll() is not None or not self._news.wait(max(0.0, until - time.monotonic())):
                    if wanted.search(self.log):
                        break
                    raise AssertionError(f"no {pattern!r} in the proxy's log:\n{self.log}")
            return self.log

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self.log += line
                self._news.notify_all()
        with self._news:
            self._news.notify_all()
