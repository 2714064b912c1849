"""The demo: a loopback ChatGPT, and an unmodified program on the OpenAI Python SDK that `understudy run` runs.

Everything it writes is in a temporary folder, and everything it starts ends with it.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from mitmproxy.http import HTTPFlow
from mitmproxy.io import FlowReader

from understudy.sandbox.server import Sandbox

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PROGRAM = Path("scripts/programs/ask.py")
PROGRAM_PYTHON = ROOT / ".venv-programs" / "bin" / "python"


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
        say("An unmodified program asks; work is at its usage limit, so home takes over inside the same answer")
        ask(folder, sandbox, environment)
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
  .venv/bin/understudy run -- opencode    # or any other program that speaks to api.openai.com"""


def base_environment() -> dict[str, str]:
    """The user's environment without proxies, keys and folders of other tools."""
    unwanted = re.compile(r"(?i).*_proxy|OPENAI_.*|SSL_CERT_.*|UNDERSTUDY_.*|PYTHONPATH")
    return {name: value for name, value in os.environ.items() if not unwanted.fullmatch(name)}


def say(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def run(command: list[str], environment: dict[str, str], *, quiet: bool = False) -> None:
    program = [str(BIN / command[0]), *command[1:]]
    subprocess.run(program, env=environment, check=True, stdout=subprocess.DEVNULL if quiet else None)


def ask(folder: Path, sandbox: Sandbox, environment: dict[str, str]) -> None:
    """Runs the program through a proxy that leads to the sandbox, and keeps its flows."""
    print(f"$ understudy run -- python {PROGRAM}\n", flush=True)
    settings = {
        "codex_backend": sandbox.backend,
        "codex_issuer": sandbox.issuer,
        "save_stream_file": folder / "flows",
    }
    options = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    run(["understudy", "run", *options, "--", str(PROGRAM_PYTHON), str(ROOT / PROGRAM)], environment)


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
