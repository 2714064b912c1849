"""`understudy accounts check`: whether each login still works, asked of ChatGPT without using anything up."""

import argparse
import asyncio
import json
import time
from typing import TYPE_CHECKING

from understudy import __version__
from understudy.cli.arguments import Commands, add_command, add_json, add_labels
from understudy.cli.network import add_network_arguments, read_network
from understudy.cli.pool import change_pool, chosen, cure, store
from understudy.cli.render import wrapped
from understudy.pool.account import Account, Health, Lane
from understudy.pool.health import needs_login
from understudy.pool.pool import over_accounts
from understudy.state.home import home
from understudy.state.quota import QuotaCache
from understudy.state.report import quota_object
from understudy.wire.quota import exhausted
from understudy.wire.text import clock_time

if TYPE_CHECKING:  # what speaks to the network takes longer to load than `--help` takes
    from understudy.oauth.usage import Finding
    from understudy.proxy.options import Settings

PAUSE = 0.5
"""Seconds between two accounts: ChatGPT is not to be asked in bursts."""


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "check",
        run,
        help="ask ChatGPT whether the logins still work",
        description=(
            "Asks ChatGPT's usage endpoint with each account's access token, one account after another.\n"
            "It uses nothing of a plan, and never a refresh token: an access token that has expired is said\n"
            "to be so, and says nothing of the login. Disabled accounts are asked where they are named, and\n"
            "API keys never: they have no login.\n\n"
            "The figures that come are those that `understudy status` shows. Where ChatGPT says that a login\n"
            "was ended, the account is marked. Exit code 1 where no account works."
        ),
        example="understudy accounts check",
    )
    add_labels(parser)
    add_json(parser)
    add_network_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Tries the accounts and prints what each showed. Exit code 0, 1 where none works, 2."""
    settings = read_network(arguments)
    accounts = chosen(store().read(), arguments.labels)
    findings: list[tuple[Account, Finding]] = []
    asked = False
    for account in accounts:
        finding = _known(account, bool(arguments.labels))
        if finding is None:
            time.sleep(PAUSE if asked else 0)
            asked = True
            finding = asyncio.run(_ask(account, settings))
            _keep(account, finding)
        findings.append((account, finding))
        if not arguments.json:
            print("\n".join(wrapped(_words(account, finding, time.time()), 2)), flush=True)
    if arguments.json:
        found = [_object(account, finding) for account, finding in findings]
        print(json.dumps({"version": 1, "accounts": found}, indent=2))
    return 0 if any(finding.works for _, finding in findings) else 1


def _known(account: Account, named: bool) -> "Finding | None":
    """What is to be said of an account that is not asked, or None."""
    from understudy.oauth.usage import Finding, Verdict, foregone

    if not account.enabled and not named:
        return Finding(Verdict.DISABLED, f"not asked; to check it: understudy accounts check {account.label}")
    return _of_key(account) if account.lane is Lane.PLATFORM else foregone(account, time.time())


def _of_key(account: Account) -> "Finding":
    from understudy.oauth.usage import Finding, Verdict

    if account.health is Health.NEEDS_LOGIN:
        return Finding(Verdict.NEEDS_LOGIN, f"{account.health_reason}. {cure(account)}")
    return Finding(Verdict.UNCLEAR, "an API key has no login to check; whether it works shows when it serves")


async def _ask(account: Account, settings: "Settings") -> "Finding":
    from understudy.oauth.client import NoAnswer, NotSent, send
    from understudy.oauth.usage import Finding, Verdict, read_usage, usage_request

    try:
        request = usage_request(settings.backend, account, __version__)
        answer = await send(request, settings.route, peer="ChatGPT")
    except (NotSent, NoAnswer) as error:
        return Finding(Verdict.UNREACHABLE, str(error))
    return read_usage(account, *answer, time.time())


def _keep(account: Account, finding: "Finding") -> None:
    """Puts on disk what was learned: the figures, and that the login was ended."""
    from understudy.oauth.usage import Verdict

    if finding.snapshot is not None:
        QuotaCache(home()).sync(store().read(), [(account.id, finding.snapshot)])
    if finding.verdict is Verdict.NEEDS_LOGIN and account.health is Health.OK:
        change_pool(over_accounts(lambda accounts: tuple(_ended(one, account) for one in accounts)))


def _ended(account: Account, asked: Account) -> Account:
    """`account` in need of a login, if it still has the token that was refused: a new login is not to blame."""
    same = account.id == asked.id and account.tokens.access == asked.tokens.access
    return needs_login(account, "login revoked", time.time()) if same else account


def _words(account: Account, finding: "Finding", now: float) -> str:
    """`work: works (5h 12%, weekly 30%)`."""
    from understudy.oauth.usage import Verdict

    windows = finding.snapshot.windows if finding.snapshot else ()
    used = ", ".join(f"{window.name} {int(window.used_percent)}%" for window in windows)
    unknown = finding.verdict in (Verdict.STALE, Verdict.UNREACHABLE, Verdict.UNCLEAR)
    words = "not known" if unknown else finding.verdict.value.replace("_", " ")
    if finding.verdict is Verdict.LIMITED:
        until = exhausted(finding.snapshot, now) if finding.snapshot else None
        words = f"works, but its limit is reached{'' if until is None else f' until {clock_time(until, now)}'}"
    return f"{account.label}: {words}{f' ({used})' if used else ''}{f': {finding.message}' if finding.message else ''}"


def _object(account: Account, finding: "Finding") -> dict[str, object]:
    """`result` is a `Verdict`'s value."""
    return {
        "id": account.id,
        "label": account.label,
        "result": finding.verdict.value,
        "message": finding.message or None,
        "quota": finding.snapshot and quota_object(finding.snapshot),
    }
