"""`understudy accounts refresh`: renews tokens now, in the way in which the proxy does."""

import argparse
import asyncio
import json
import logging
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from understudy.cli.arguments import Commands, add_command, add_json, add_labels
from understudy.cli.network import add_network_arguments, read_network
from understudy.cli.pool import LOG_IN, chosen, store
from understudy.cli.render import duration, wrapped
from understudy.pool.account import Account, Lane
from understudy.state.home import home
from understudy.state.quota import QuotaCache

if TYPE_CHECKING:  # what speaks to the network takes longer to load than `--help` takes
    from understudy.proxy.options import Settings
    from understudy.state.tokens import TokenKeeper

STAGGER = 0.5
"""Seconds between two accounts."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one refresh. `result`: renewed, needs_login or failed; `expires_at`: epoch seconds."""

    account: Account
    result: str
    message: str
    expires_at: float | None = None


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "refresh",
        run,
        help="renew access tokens now",
        description=(
            "Renews the access tokens of the accounts, or of all that are enabled, one after another. There is\n"
            "rarely a need: the proxy renews each in time. An API key is never renewed. Exit code 1 where one\n"
            "could not be renewed."
        ),
        example="understudy accounts refresh work",
    )
    add_labels(parser, help="accounts; default: all that are enabled")
    add_json(parser)
    add_network_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Renews the tokens and prints what became of each. Exit code 0, 1 or 2."""
    settings = read_network(arguments)
    accounts = chosen(store().read(), arguments.labels)
    wanted = [account for account in accounts if arguments.labels or (account.enabled and account.lane is Lane.CODEX)]
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            # As Ctrl-C: what is under way comes to its end.
            signal.signal(getattr(signal, name), signal.default_int_handler)
    outcomes = asyncio.run(_renew_all(wanted, settings, quiet=arguments.json))
    QuotaCache(home()).sync(store().read())
    if arguments.json:
        print(json.dumps({"version": 1, "accounts": [_object(outcome) for outcome in outcomes]}, indent=2))
    return 0 if all(outcome.result == "renewed" for outcome in outcomes) else 1


async def _renew_all(accounts: list[Account], settings: "Settings", *, quiet: bool) -> list[Outcome]:
    from understudy.state.tokens import TokenKeeper

    # What the keeper logs is told account by account.
    logging.getLogger("understudy.state.refresher").addHandler(logging.NullHandler())
    keeper = TokenKeeper(store(settings.keyring), settings.issuer, settings.route)
    outcomes: list[Outcome] = []
    try:
        for account in accounts:
            await asyncio.sleep(STAGGER if outcomes else 0)
            outcomes.append(await _renew(keeper, account))
            if not quiet:
                print("\n".join(wrapped(f"{account.label}: {outcomes[-1].message}", 2)), flush=True)
    finally:
        # Also after Ctrl-C: a refresh that is cut off could cost the login.
        await keeper.drain()
    return outcomes


async def _renew(keeper: "TokenKeeper", account: Account) -> Outcome:
    from understudy.oauth.renewal import NeedsLogin, RefreshFailed

    if account.lane is Lane.PLATFORM:
        return Outcome(account, "failed", "not renewed: an API key has no login to renew")
    try:
        renewed = await keeper.renew(account.id, account.tokens.access, time.time())
    except NeedsLogin as error:
        return Outcome(account, "needs_login", f"needs a new login: {error.reason}. Log in again: {LOG_IN}")
    except RefreshFailed as error:
        return Outcome(account, "failed", f"not renewed: {error.reason}")
    expires_at = renewed.tokens.expires_at
    return Outcome(account, "renewed", f"renewed, good for {duration(expires_at - time.time())}", expires_at)


def _object(outcome: Outcome) -> dict[str, object]:
    account = outcome.account
    return {
        "id": account.id,
        "label": account.label,
        "result": outcome.result,
        "message": outcome.message,
        "access_token_expires_at": outcome.expires_at,
    }
