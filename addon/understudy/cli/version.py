"""`understudy version`: what runs here, as a bug report needs it."""

import argparse
import platform

from understudy import __version__
from understudy.cli.arguments import Commands, add_command


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    add_command(
        commands,
        "version",
        run,
        help="print the versions of Understudy, mitmproxy and Python",
        description="Prints the versions of Understudy, mitmproxy and Python: what a bug report should begin with.",
        example="understudy version",
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints one line. Exit code 0."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        mitmproxy = version("mitmproxy")
    except PackageNotFoundError:
        mitmproxy = "not installed"
    print(f"understudy {__version__} (mitmproxy {mitmproxy}, Python {platform.python_version()})")
    return 0
