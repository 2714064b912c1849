"""`understudy accounts remove`: takes accounts out of the pool."""

import argparse

from understudy.cli.arguments import Commands, WrongUse, add_command, add_labels, add_yes
from understudy.cli.pool import KEY_GOES_ON, about, change_pool, chosen, confirm, store
from understudy.pool import edits
from understudy.pool.account import Lane


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "remove",
        run,
        help="take accounts out of the pool",
        description=(
            "Takes accounts, with their tokens, out of the pool. The logins themselves go on at ChatGPT;\n"
            "`understudy logout` ends them as well. Where two or more go, the pool is copied to the folder\n"
            "backups first, and `understudy accounts quarantine restore` brings them back. Tokens that are in the\n"
            "keychain (codex_keyring) are deleted at once: such an account then needs a new login."
        ),
        example="understudy accounts remove plus-ada",
    )
    add_labels(parser, help="accounts to remove")
    parser.add_argument("--all", action="store_true", help="remove every account")
    add_yes(parser)


def run(arguments: argparse.Namespace) -> int:
    """Asks, and removes the accounts. Exit code 0, 1 or 2."""
    if arguments.all is bool(arguments.labels):
        raise WrongUse("name the accounts to remove, or say --all, and not both")
    pools = store()
    accounts = chosen(pools.read(), arguments.labels)
    confirm(f"Remove {', '.join(map(about, accounts))}?", arguments.yes)
    copy = pools.back_up() if arguments.all or len(accounts) > 1 else None
    pool = change_pool(lambda pool: edits.remove(pool, [account.id for account in accounts]))
    for account in accounts:
        print(f"removed {about(account)}")
    lanes = {account.lane for account in accounts}
    if Lane.CODEX in lanes:
        print("ChatGPT was not asked to end the login; `understudy logout` does that, too.")
    if Lane.PLATFORM in lanes:
        print(KEY_GOES_ON)
    if copy is not None:
        print(f"The pool as it was: {copy}")
        print(f"To bring it back: understudy accounts quarantine restore {copy.name}")
    if not pool.accounts:
        print("There are no accounts now: requests will be refused.")
    return 0
