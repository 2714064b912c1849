"""`understudy accounts use`: pins an account, so that it carries out the requests of every session."""

import argparse
import time

from understudy.cli.arguments import Commands, add_command, add_label
from understudy.cli.pool import about, condition, condition_words, cure, edit
from understudy.cli.render import wrapped
from understudy.pool import edits
from understudy.pool.account import Account, Lane
from understudy.pool.health import State


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "use",
        run,
        help="pin an account",
        description=(
            "Pins an account: it carries out every request from now on, also those of sessions that were\n"
            "with another account. A running proxy does so at its next request. While the pinned account\n"
            "cannot serve, requests are refused; with --soft the other accounts step in.\n\n"
            "In a process with the option codex_account that option counts, and not the pin."
        ),
        example="understudy accounts use work --soft",
    )
    add_label(parser)
    parser.add_argument("--soft", action="store_true", help="let the others serve while this account cannot")


def run(arguments: argparse.Namespace) -> int:
    """Pins the account. Exit code 0 or 1."""
    name, soft = arguments.label, arguments.soft
    before, after = edit(lambda pool: edits.pin(pool, name, soft=soft))
    account = edits.named(after, name)
    already = "already " if before == after else ""
    if soft:
        print(f"{about(account)} is {already}preferred: the others serve while it cannot")
    else:
        print(f"{about(account)} is {already}pinned: it alone carries out requests")
    for sentence in _trouble(account, soft, time.time()):
        print("\n".join(wrapped(sentence)))
    return 0


def _trouble(account: Account, soft: bool, now: float) -> list[str]:
    """What the user should know of an account that cannot serve now, and what can be done about it."""
    found = condition(account, now)
    if found is State.NEEDS_LOGIN:
        return [f"It cannot serve: {account.health_reason}. {cure(account)}"]
    paid = ["It is an API key: each request costs money, and it serves with the option codex_overflow=on alone."]
    known = paid if account.lane is Lane.PLATFORM else []
    if found is not State.BLOCKED:
        return known
    stepping_in = [] if soft else [f"To let the others serve meanwhile: understudy accounts use {account.label} --soft"]
    return [*known, f"It cannot serve now: it is {condition_words(account, now)}.", *stepping_in]
