"""The demo: a loopback ChatGPT, mitmdump with the addon, and an unmodified program on the OpenAI Python SDK.

Everything it writes is in a temporary folder, and everything it starts ends with it.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mitmproxy.http import HTTPFlow
from mitmproxy.io import FlowReader

from understudy.sandbox.server import Sandbox

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PROGRAM = Path("scripts/programs/ask.py")
PROGRAM_PYTHON = ROOT / ".venv-programs" / "bin" / "python"
LISTENING = re.compile(r"listening at \S*?:(\d+)\.")
START_LIMIT = 30.0


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="understudy-demo-") as name, Sandbox() as sandbox:
        folder = Path(name)
        environment = base_environment() | {"UNDERSTUDY_HOME": str(folder / "understudy")}
        say(f"A loopback ChatGPT runs on {sandbox.origin}; its accounts go into a pool of their own")
        for label in sandbox.scenario.accounts:
            path = folder / f"{label}-auth.json"
            path.touch(mode=0o600)
            path.write_text(sandbox.auth_json(label))
            run(["understudy", "accounts", "import", str(path), "--label", label], environment, quiet=True)
        run(["understudy", "accounts", "list"], environment)
        with proxy(folder, sandbox, environment) as port:
            say("An unmodified program asks; work is at its usage limit, so home takes over inside the same answer")
            ask(port, folder, environment)
        say("The attempts")
        attempts(folder / "flows")
        say("understudy status")
        run(["understudy", "status"], environment)
        dump = (folder / "flows").read_bytes()
        if any(secret.encode() in dump for secret in sandbox.secrets()):
            print("A token was found in the dump of the flows. This must never happen.", file=sys.stderr)
            return 1
    say("With your own accounts")
    print(NEXT)
    return 0


NEXT = """\
  .venv/bin/understudy login
  .venv/bin/mitmdump -s addon/codex.py

and, in the terminal of any program that speaks to api.openai.com:

  export HTTPS_PROXY=http://127.0.0.1:8080
  export SSL_CERT_FILE=~/.mitmproxy/mitmproxy-ca-cert.pem    # Node and Bun: NODE_EXTRA_CA_CERTS
  export OPENAI_API_KEY=sk-understudy-placeholder            # programs want one; this one is never sent anywhere"""


def base_environment() -> dict[str, str]:
    """The user's environment without proxies, keys and folders of other tools."""
    unwanted = re.compile(r"(?i).*_proxy|OPENAI_.*|SSL_CERT_.*|UNDERSTUDY_.*|PYTHONPATH")
    return {name: value for name, value in os.environ.items() if not unwanted.fullmatch(name)}


def say(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def run(command: list[str], environment: dict[str, str], *, quiet: bool = False) -> None:
    program = [str(BIN / command[0]), *command[1:]]
    subprocess.run(program, env=environment, check=True, stdout=subprocess.DEVNULL if quiet else None)


@contextmanager
def proxy(folder: Path, sandbox: Sandbox, environment: dict[str, str]) -> Iterator[int]:
    """mitmdump with the addon; gives its port. Its log goes to a file, which is shown if anything fails."""
    settings = {
        "confdir": folder / "mitmproxy",
        "listen_host": "127.0.0.1",
        "listen_port": 0,
        "codex_backend": sandbox.backend,
        "codex_issuer": sandbox.issuer,
    }
    command = [str(BIN / "mitmdump"), "-s", str(ROOT / "addon" / "codex.py"), "-w", str(folder / "flows")]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    log = folder / "mitmdump.log"
    with log.open("w") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)
        try:
            yield wait_for_port(process, log)
        except (RuntimeError, subprocess.SubprocessError):
            print(log.read_text(), file=sys.stderr)
            raise
        finally:
            process.terminate()
            process.wait(20)


def wait_for_port(process: "subprocess.Popen[Any]", log: Path) -> int:
    until = time.monotonic() + START_LIMIT
    while time.monotonic() < until and process.poll() is None:
        if found := LISTENING.search(log.read_text()):
            return int(found[1])
        time.sleep(0.05)
    raise RuntimeError("mitmdump did not start")


def ask(port: int, folder: Path, environment: dict[str, str]) -> None:
    """Runs the program with nothing but environment variables set."""
    told = {
        "HTTPS_PROXY": f"http://127.0.0.1:{port}",
        "SSL_CERT_FILE": str(folder / "mitmproxy" / "mitmproxy-ca-cert.pem"),
        "OPENAI_API_KEY": "unused",
    }
    print(
        f"$ HTTPS_PROXY=http://127.0.0.1:{port} SSL_CERT_FILE=... OPENAI_API_KEY=unused python {PROGRAM}\n", flush=True
    )
    subprocess.run([str(PROGRAM_PYTHON), str(ROOT / PROGRAM)], env=environment | told, check=True, timeout=60)


def attempts(dump: Path) -> None:
    """The table of attempts, from the flows that mitmdump saved: each attempt is one."""
    print(f"  {'account':<10}{'status':<8}{'how long':<11}what happened")
    with dump.open("rb") as file:
        for flow in FlowReader(file).stream():
            shown = flow.metadata.get("understudy")
            if not isinstance(flow, HTTPFlow) or shown is None:
                continue
            status = shown["status"] or "-"
            what = ", ".join(part for part in (shown["reason"], shown["then"]) if part)
            print(f"  {shown['account']:<10}{status!s:<8}{shown['seconds'] * 1000:>6.0f} ms  {what}")


def interrupted(number: int, frame: object) -> None:
    """Lets everything that was started end as it does at the end."""
    sys.exit(128 + number)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    try:
        code = main()
    except BrokenPipeError:  # Whoever read the output has stopped: nothing more is to be written, at exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + signal.SIGPIPE
    sys.exit(code)
