"""`understudy script`: where the mitmproxy script is, for `mitmdump -s "$(understudy script)"`."""

import argparse
import sys
from pathlib import Path

import understudy
from understudy.cli.arguments import Commands, add_command


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    add_command(
        commands,
        "script",
        run,
        help="print the path of the mitmproxy script",
        description="Prints the path of the script that mitmdump, mitmweb and mitmproxy take with -s.",
        example='mitmdump -s "$(understudy script)"',
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints the path. Exit code 0, or 1 where the installation has no script."""
    path = script_path(Path(understudy.__file__).parent)
    if path is None:
        print("understudy: the installation has no mitmproxy script; install Understudy again", file=sys.stderr)
        return 1
    print(path)
    return 0


def script_path(package: Path) -> Path | None:
    """The script that belongs to the package in the folder `package`: within it where it was installed from a wheel,
    beside it in a checkout.
    """
    candidates = (package / "script" / "codex.py", package.parent / "codex.py")
    return next((path for path in candidates if path.is_file()), None)
