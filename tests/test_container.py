"""The container file: not root, nothing of the checkout but the package, and a health check that tells the truth."""

import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.command import free_port
from support.proxy import ROOT

FOLDER = ROOT / "scripts" / "container"
TEXT = (FOLDER / "Containerfile").read_text().replace("\\\n", "")


def words(instruction: str) -> list[str]:
    """The last such instruction that is given as a list."""
    found: list[str] = json.loads(re.findall(rf"^{instruction}\b[^[\n]*(\[.*\])$", TEXT, re.MULTILINE)[-1])
    return found


def check(port: int) -> int:
    """The exit code of the health check, asked about another port."""
    program = words("HEALTHCHECK")[-1].replace("8080", str(port))
    return subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30, check=False).returncode


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(407)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_it_runs_as_nobody_that_matters() -> None:
    assert re.findall(r"^USER (.*)$", TEXT, re.MULTILINE) == ["10001"]
    assert "useradd --system --uid 10001" in TEXT


def test_what_is_checked_is_the_port_that_it_listens_on() -> None:
    assert words("CMD")[words("CMD").index("--port") + 1] == "8080"
    assert "'127.0.0.1', 8080" in words("HEALTHCHECK")[-1]
    assert "EXPOSE 8080" in TEXT


def test_it_is_healthy_where_a_proxy_answers_also_one_that_wants_a_password() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        assert check(server.server_address[1]) == 0
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_it_is_not_healthy_where_nothing_answers() -> None:
    assert check(free_port()) == 1


def test_only_what_the_package_is_built_from_goes_in() -> None:
    lines = [line for line in (FOLDER / "Containerfile.dockerignore").read_text().splitlines() if line[:1] not in "#"]
    assert lines[0] == "*"
    assert {line for line in lines if line.startswith("!")} == {"!addon", "!pyproject.toml", "!README.md", "!LICENSE"}
