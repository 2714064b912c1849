"""Programs that are run through the proxy, unmodified: only environment variables say that there is one."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from support.proxy import ROOT, Proxy, clean_environment

PROGRAMS = ROOT / ".venv-programs" / "bin" / "python"
HOST_KEY = "sk-host-own-key-that-must-not-leave"


def environment(proxy: Proxy) -> dict[str, str]:
    """What a user sets for a program on the OpenAI SDK."""
    return clean_environment(HTTPS_PROXY=proxy.url, SSL_CERT_FILE=str(proxy.ca), OPENAI_API_KEY=HOST_KEY)


@dataclass(frozen=True, slots=True)
class Answer:
    """What curl got: status, header fields in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        """The body as a JSON object."""
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value

    @property
    def error(self) -> dict[str, object]:
        """OpenAI's error object."""
        error = self.json["error"]
        assert isinstance(error, dict)
        return error


def python(proxy: Proxy, program: Path, *arguments: str, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
    """Runs a Python program on the OpenAI SDK to its end."""
    assert PROGRAMS.exists(), "scripts/setup makes .venv-programs"
    command = [str(PROGRAMS), str(program), *arguments]
    return subprocess.run(command, env=environment(proxy), capture_output=True, text=True, timeout=timeout)


def curl_command(proxy: Proxy, *more: str, url: str = "https://api.openai.com/v1/responses") -> list[str]:
    """A curl command as a user of the API writes it."""
    authorization = f"Authorization: Bearer {HOST_KEY}"
    return ["curl", "-sS", "-N", "--max-time", "60", "-H", authorization, *more, url]


def curl(proxy: Proxy, body: object, *more: str, url: str = "https://api.openai.com/v1/responses") -> Answer:
    """Posts JSON with curl and gives the whole answer."""
    text = body if isinstance(body, str) else json.dumps(body)
    command = curl_command(
        proxy, "-D", "/dev/stderr", "-H", "Content-Type: application/json", "--data-binary", "@-", *more, url=url
    )
    done = subprocess.run(
        command, env=environment(proxy), input=text.encode(), capture_output=True, timeout=70, check=False
    )
    return read_answer(done.stderr, done.stdout)


def read_answer(head: bytes, body: bytes) -> Answer:
    """The last response head in `head`: curl prints the proxy's answer to CONNECT as well."""
    blocks = [block for block in head.replace(b"\r\n", b"\n").split(b"\n\n") if block.startswith(b"HTTP/")]
    if not blocks:
        raise AssertionError(f"no answer: {head.decode(errors='replace')}")
    first, *lines = blocks[-1].decode("latin-1").splitlines()
    fields = (line.partition(":") for line in lines if ":" in line)
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    return Answer(int(first.split()[1]), headers, body)


if sys.platform == "win32":
    raise ImportError("these tests run on POSIX systems")
