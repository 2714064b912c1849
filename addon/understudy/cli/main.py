"""The `understudy` command: finds the command that is meant, runs it, and turns errors into words and an exit code."""

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

from understudy import __version__
from understudy.cli.arguments import CannotDo, WrongUse
from understudy.state.errors import StateError

# In the order of `--help`.
COMMANDS = (
    "login",
    "run",
    "status",
    "accounts",
    "logout",
    "limits",
    "forecast",
    "why",
    "start",
    "stop",
    "restart",
    "env",
    "ca",
    "transparent",
    "service",
    "history",
    "doctor",
    "diag",
    "config",
    "sandbox",
    "script",
    "version",
)

DESCRIPTION = """\
Your ChatGPT accounts carry out the OpenAI Responses calls of any program.

  understudy login              add an account
  understudy run -- PROGRAM     run a program with your accounts
  understudy status             see what is left of each account
"""

EPILOG = """\
exit codes: 0 done, 1 could not, 2 wrong use
files: in $UNDERSTUDY_HOME, by default the platform's folder for your data
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that `argv` (without the program's name) names. Gives the exit code: 0, 1 or 2."""
    words = sys.argv[1:] if argv is None else argv
    _open_standard_files()
    try:
        return _main(words)
    except ModuleNotFoundError:
        from understudy.needs import trouble

        if (why := trouble()) is None:
            raise
        print(f"understudy: {why}", file=sys.stderr)
        return 1


def _open_standard_files() -> None:
    """Those that the caller has closed lead nowhere: no file that is opened later is to be taken for one of them."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, io.TextIOWrapper(io.FileIO(number, mode, closefd=False)))
    if isinstance(sys.stderr, io.TextIOWrapper) and sys.stderr is sys.__stderr__:
        encoding, errors = sys.stderr.encoding, sys.stderr.errors
        sys.stderr = io.TextIOWrapper(_Stderr(2, "w", closefd=False), encoding, errors, write_through=True)


class _Stderr(io.FileIO):
    """Where nobody can be told anything, that changes no exit code."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


def _main(words: Sequence[str]) -> int:
    try:
        arguments = parser(words).parse_args(words)
    except SystemExit as exit:  # argparse: after --help (0), or after it has named what is wrong (2)
        return exit.code if isinstance(exit.code, int) else 2
    try:
        for stream in (sys.stdin, sys.stdout):
            # A note or an e-mail address may have characters that the terminal has not, and what is pasted any bytes.
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except WrongUse as error:
        print(f"understudy: {error}", file=sys.stderr)
        return 2
    except (CannotDo, StateError) as error:
        print(f"understudy: {error}", file=sys.stderr)
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            print(f"understudy: {error}", file=sys.stderr)
        # Our output has no reader, or no room. Python would try to write the rest at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("understudy: interrupted", file=sys.stderr)
    return 1


class _Parser(argparse.ArgumentParser):
    """A command that is given too much says so itself, with its own usage: argparse leaves that to the first of all."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown


def parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The command line as far as `words` need it: all commands, or the one that they begin with.

    Each command sets `run`, a function of the parsed arguments that gives the exit code.
    """
    top = _Parser(
        prog="understudy",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("-V", "--version", action="version", version=f"understudy {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    # To load one command is quick, and `understudy status` is to be.
    for name in words[:1] if words and words[0] in COMMANDS else COMMANDS:
        module = importlib.import_module(f"understudy.cli.{name}")
        module.add_parser(commands)
    return top
