"""`understudy sandbox`: a loopback ChatGPT in the foreground, to try the proxy on without an account."""

import argparse
import asyncio
import errno
import os
import shlex
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line starts without the server
    from understudy.sandbox.server import Sandbox

DEFAULT_PORT = 8787


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command's arguments."""
    parser = subparsers.add_parser(
        "sandbox",
        help="run a loopback ChatGPT to try things on",
        description="Run a loopback ChatGPT: no account needed.",
    )
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, metavar="N", help="port (default %(default)s, 0: any)"
    )
    parser.add_argument("--scenario", type=Path, metavar="FILE", help="accounts and what happens to them, as JSON")
    parser.add_argument("--write-auth", type=Path, metavar="DIR", help="write DIR/LABEL/auth.json for every account")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serves until interrupted. 0: ended by the user; 1: could not start; 2: the scenario is none."""
    try:
        from understudy.sandbox.scenario import DEMO, load_scenario
        from understudy.sandbox.server import Sandbox
    except ModuleNotFoundError as error:
        return _fail(f"the sandbox needs {error.name}: run pip install '.[sandbox]' in Understudy's folder", 1)
    try:
        scenario = load_scenario(args.scenario) if args.scenario else DEMO
    except OSError as error:
        return _fail(f"cannot read the scenario {args.scenario}: {error.strerror}", 2)
    except ValueError as error:
        return _fail(str(error), 2)
    sandbox = Sandbox(scenario, port=args.port)
    try:
        asyncio.run(_serve(sandbox, args.write_auth))
    except OverflowError:
        return _fail(f"not a port: {args.port} (0 to 65535)", 2)
    except OSError as error:
        hint = "; --port N takes another port" if error.errno == errno.EADDRINUSE else ""
        return _fail(f"cannot start: {error.strerror or error}{hint}", 1)
    return 0


async def _serve(sandbox: "Sandbox", folder: Path | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def started() -> None:
        logins = {label: sandbox.auth_json(label) for label in sandbox.scenario.accounts}
        files = write_logins(folder, logins) if folder else []
        print(describe(sandbox, files), flush=True)

    await sandbox.serve(started, stop)


def write_logins(folder: Path, logins: Mapping[str, str]) -> list[Path]:
    """Writes each login as `FOLDER/LABEL/auth.json`, readable by its owner alone. Raises OSError."""
    files = []
    for label, text in logins.items():
        path = folder / label / "auth.json"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        files.append(path)
    return files


def describe(sandbox: "Sandbox", files: list[Path]) -> str:
    """What the user types next."""
    options = f"--set codex_backend={sandbox.backend} --set codex_issuer={sandbox.issuer}"
    imported = shlex.join(["understudy", "accounts", "import", *map(str, files)])
    return "\n".join(
        [
            f"Sandbox on {sandbox.origin}, accounts: {', '.join(sandbox.scenario.accounts)}. Ctrl-C ends it.",
            "",
            "Put its accounts into a pool of their own:",
            "  export UNDERSTUDY_HOME=$(mktemp -d)",
            f"  {imported}" if files else f"  understudy login --set codex_issuer={sandbox.issuer}",
            "Run a program through a proxy that leads to it, or start one for all programs:",
            f"  understudy run {options} -- PROGRAM",
            f"  understudy start {options}",
            "See what it received:",
            f"  curl --noproxy '*' {sandbox.origin}/sandbox/journal",
        ]
    )


def _fail(message: str, code: int) -> int:
    print(f"understudy: {message}", file=sys.stderr)
    return code
