"""What only ChatGPT can tell: what time it is there, and whether each login works. It uses nothing of a plan."""

import asyncio
import time
from email.utils import parsedate_to_datetime
from functools import partial

from understudy import __version__
from understudy.doctor.accounts import LOG_IN, NOTHING_SERVES
from understudy.doctor.check import Check, Result, bad, ok, skipped, warn
from understudy.doctor.clock import judge_against
from understudy.doctor.machine import Machine
from understudy.oauth.client import NoAnswer, NotSent, ask, send
from understudy.oauth.request import OAuthRequest
from understudy.oauth.usage import Finding, Verdict, foregone, read_usage, usage_request
from understudy.pool.account import Account, Lane
from understudy.proxy.options import Settings

PAUSE = 0.5
"""Seconds between two accounts: ChatGPT is not to be asked in bursts."""
TIMEOUT = 10.0


def checks(settings: Settings) -> tuple[Check[Machine], ...]:
    """Those that ask over the network, at the backend that `settings` name."""
    return Check("live: clock", partial(clock, settings)), Check("live: logins", partial(logins, settings))


def clock(settings: Settings, machine: Machine) -> Result:
    """Whether the backend's clock, by its `Date` field (RFC 9110, 6.6.1), and this machine's go alike."""
    try:
        theirs = asyncio.run(_time(settings))
    except (NotSent, NoAnswer) as error:
        return bad(
            str(error),
            NOTHING_SERVES,
            f"curl -sSI https://{settings.backend.host}/",
        )
    if theirs is None:
        return skipped(f"{settings.backend.host} does not say what time it is")
    return judge_against(time.time(), theirs, settings.backend.host)


async def _time(settings: Settings) -> float | None:
    """Without any credential: whatever the answer is, it has a date."""
    backend = settings.backend
    request = OAuthRequest("HEAD", f"{backend.scheme}://{backend.authority}/", (), b"")
    answer = await ask(request, settings.route, TIMEOUT, peer=backend.host)
    try:
        return parsedate_to_datetime(answer.date).timestamp()
    except ValueError:
        return None


def logins(settings: Settings, machine: Machine) -> Result:
    """Whether ChatGPT takes the logins that are enabled."""
    pool = machine.stored.pool
    accounts = [one for one in (pool.accounts if pool else ()) if one.enabled and one.lane is Lane.CODEX]
    found: list[tuple[str, Finding]] = []
    for account in accounts:
        time.sleep(PAUSE if found else 0)
        found.append((account.label, asyncio.run(_ask(settings, account))))
    return judge_logins(found)


async def _ask(settings: Settings, account: Account) -> Finding:
    known = foregone(account, time.time())
    if known is not None:
        return known
    try:
        answer = await send(usage_request(settings.backend, account, __version__), settings.route, peer="ChatGPT")
    except (NotSent, NoAnswer) as error:
        return Finding(Verdict.UNREACHABLE, str(error))
    return read_usage(account, *answer, time.time())


def judge_logins(found: list[tuple[str, Finding]]) -> Result:
    """`found`: what trying each account's login showed, by its label."""
    if not found:
        return skipped("there is no login to ask with")
    others = [(label, one) for label, one in found if not one.works]
    said = "; ".join(f"{label}: {one.message or one.verdict.value}" for label, one in others)
    if not others:
        return ok(f"ChatGPT takes {'the login' if len(found) == 1 else f'all {len(found)} logins'}")
    if any(one.works or one.verdict is Verdict.STALE for _, one in found):
        return warn(said, "The others serve in its place.", "understudy accounts check")
    return bad(said, NOTHING_SERVES, LOG_IN)
