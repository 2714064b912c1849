"""`understudy login`: adds an account by logging in to ChatGPT, in a browser here or anywhere else."""

import argparse
from typing import TYPE_CHECKING

from understudy.cli.arguments import Commands, WrongUse, add_command
from understudy.cli.network import add_network_arguments, read_network
from understudy.cli.pool import about, store
from understudy.pool.account import Account, Lane
from understudy.pool.labels import FORM, is_label
from understudy.wire.text import is_id, safe_text

if TYPE_CHECKING:  # what speaks to the network takes longer to load than `--help` takes
    from understudy.cli.login.server import Kept, Server

NEXT = """
Next, run a program with it:

  understudy run -- opencode
"""


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "login",
        run,
        help="log in to ChatGPT and add the account",
        description=(
            "Logs in to ChatGPT and puts the account into the pool. Another login of an account that is\n"
            "there already updates it, and enables it again. ChatGPT's page names Codex as the program to\n"
            "log in to: Understudy uses its client id.\n\n"
            "The browser comes back to port 1455 of this machine, or 1457. Where there is no browser here,\n"
            "as over ssh, use --device."
        ),
        example="understudy login --device",
    )
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--device", action="store_true", help="show a code to enter in a browser anywhere")
    way.add_argument("--paste", action="store_true", help="print the address, and take what the browser ends at")
    way.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")
    parser.add_argument("--workspace", metavar="ID", help="log in to this workspace: its id, or the account's label")
    parser.add_argument("--label", help="what to call the account")
    add_network_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Logs in, and says what became of it. Exit code 0; raises CannotDo, WrongUse and StateError for all else."""
    from understudy.cli.login.server import Server

    # A pool that cannot be read or written is to be said before the user has logged in for nothing.
    accounts = store().read().accounts
    store().reserved().release()
    workspace = None if arguments.workspace is None else find_workspace(accounts, arguments.workspace)
    if arguments.label is not None and not is_label(arguments.label):
        raise WrongUse(f"not a label: {safe_text(arguments.label)!r} ({FORM})")
    kept = _log_in(arguments, Server(read_network(arguments), workspace, arguments.label))
    print(f"{kept.change} {about(kept.account)}{': it is enabled again' if kept.enabled else ''}")
    if kept.hint:
        print(kept.hint)
    print(NEXT, end="")
    return 0


def _log_in(arguments: argparse.Namespace, server: "Server") -> "Kept":
    if arguments.device:
        from understudy.cli.login.device import log_in_by_device

        return log_in_by_device(server)
    if arguments.paste:
        from understudy.cli.login.paste import log_in_by_paste

        return log_in_by_paste(server)
    from understudy.cli.login.browser import log_in_by_browser

    return log_in_by_browser(server, arguments.no_browser)


def find_workspace(accounts: tuple[Account, ...], name: str) -> str:
    """The id of the workspace that the user calls `name`: an account of the pool, or the id itself. Raises WrongUse."""
    from understudy.pool.choose import find

    known = find(accounts, name)
    if known is None and not is_id(name):
        raise WrongUse(f"not a workspace: {name!r} (give its id, or the label of an account)")
    if known is not None and known.lane is Lane.PLATFORM:
        raise WrongUse(f"{known.label} is an API key, and no workspace that one logs in to")
    return name if known is None else known.account_id
