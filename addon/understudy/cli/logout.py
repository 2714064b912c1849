"""`understudy logout`: ends a login, here and at ChatGPT."""

import argparse
import asyncio
from typing import TYPE_CHECKING

from understudy.cli.arguments import Commands, add_command
from understudy.cli.network import add_network_arguments, read_network
from understudy.cli.pool import KEY_GOES_ON, about, change_pool
from understudy.pool.account import Lane

if TYPE_CHECKING:  # what speaks to the network takes longer to load than `--help` takes
    from understudy.pool.account import Account
    from understudy.pool.pool import Pool
    from understudy.proxy.options import Settings


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "logout",
        run,
        help="end an account's login and remove the account",
        description=(
            "Removes an account from the pool, and asks ChatGPT to end its login. If ChatGPT cannot be reached,\n"
            "the account is removed all the same."
        ),
        example="understudy logout plus-ada",
    )
    parser.add_argument("account", metavar="LABEL", help="the account: its label or its id")
    add_network_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Removes the account, then revokes its login. Exit code 0 once it is removed; raises CannotDo, StateError."""
    settings = read_network(arguments)
    account = take_out(arguments.account)
    print(f"removed {about(account)}", flush=True)
    if account.lane is Lane.PLATFORM:
        print(f"It had no login to end. {KEY_GOES_ON}")
        return 0
    failed = asyncio.run(revoke(account, settings))
    if failed:
        print(f"its login may still be good at ChatGPT: {failed}. To end it, log out of all devices there.")
    else:
        print("its login was ended at ChatGPT")
    return 0


def take_out(name: str) -> "Account":
    """Removes the account from the pool, and gives it as it was then, with its latest tokens.

    Before its login is revoked: from now on no proxy uses it or refreshes it. Raises CannotDo and StateError.
    """
    from understudy.pool.edits import named, remove

    taken: list[Account] = []

    def change(pool: "Pool") -> "Pool":
        taken.append(named(pool, name))
        return remove(pool, [taken[-1].id])

    change_pool(change)
    return taken[-1]


async def revoke(account: "Account", settings: "Settings") -> str:
    """Asks the login server to revoke the account's login. Why it may not have, in words; empty where it has."""
    from understudy.oauth.client import NoAnswer, NotSent, send
    from understudy.oauth.revoke import TIMEOUT, read_revoke, revoke_request

    if not account.tokens.refresh:
        return "its tokens are not in this keychain"
    request = revoke_request(settings.issuer, account.tokens.refresh)
    try:
        status, _ = await send(request, settings.route, TIMEOUT)
    except (NotSent, NoAnswer) as error:
        return str(error)
    failed = read_revoke(status)
    if failed:
        return failed.reason
    # Whoever has that answer has newer tokens than those that were revoked, and finds no account to put them into.
    return "a refresh of it was under way" if account.refreshes.sent_at is not None else ""
