"""What the commands' arguments have in common, so that each `--help` reads like the others."""

import argparse
from collections.abc import Callable
from typing import TypeAlias

# In quotes: at run time argparse's class takes no parameter.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Run = Callable[[argparse.Namespace], int]


def add_command(
    commands: Commands, name: str, run: Run, *, help: str, description: str, example: str
) -> argparse.ArgumentParser:
    """Adds a command that `run` carries out. `help` is its line among the others, `example` ends its own page."""
    parser = commands.add_parser(
        name,
        help=help,
        description=description,
        epilog=f"example:\n  {example}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser
