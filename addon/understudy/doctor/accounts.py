"""Whether there is an account that could carry out a request now, by what this machine knows, and whose login it is."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from understudy.doctor.check import Check, Result, bad, ok, skipped, warn
from understudy.doctor.machine import LoginFile, Machine
from understudy.pool.account import Account, Health, Lane
from understudy.pool.pool import Pool
from understudy.wire.secret import Secret
from understudy.wire.text import clock_time

LOG_IN = "understudy login"
NOTHING_SERVES = "No request can be carried out."


def usable(machine: Machine) -> Result:
    """Whether an account could serve."""
    pool = machine.stored.pool
    return skipped("the accounts cannot be read") if pool is None else judge(pool, machine.now)


def judge(pool: Pool, now: float) -> Result:
    """`now`: epoch seconds."""
    if not pool.accounts:
        return bad("there are no accounts", NOTHING_SERVES, LOG_IN)
    enabled = [account for account in pool.accounts if account.enabled]
    if not enabled:
        return bad("every account is disabled", NOTHING_SERVES, f"understudy accounts enable {pool.accounts[0].label}")
    working = [account for account in enabled if account.health is Health.OK]
    ended = [account for account in enabled if account not in working]
    if not working:
        return bad(f"every account needs a login: {_reasons(ended)}", NOTHING_SERVES, LOG_IN)
    return _judge_pin(pool, working) or _judge_blocks(working, now) or _judge_rest(working, ended)


def _judge_pin(pool: Pool, working: Sequence[Account]) -> Result | None:
    pin = pool.pin
    if pin is None or pin.soft or any(account.id == pin.name for account in working):
        return None
    label = next((account.label for account in pool.accounts if account.id == pin.name), pin.name)
    return bad(
        f"the pool is pinned to {label}, which is disabled or needs a login",
        f"{NOTHING_SERVES} The other accounts are not asked while the pin is there.",
        "understudy accounts unpin",
    )


def _judge_blocks(working: Sequence[Account], now: float) -> Result | None:
    blocks = [account.block for account in working]
    ends = [block.until for block in blocks if block is not None and block.until > now]
    if len(ends) < len(working):
        return None
    return warn(
        f"every account is limited or blocked, the first until {clock_time(min(ends), now)}",
        "Requests fail until then, or try one account all the same.",
        "understudy limits",
    )


def _judge_rest(working: Sequence[Account], ended: Sequence[Account]) -> Result:
    if all(account.lane is Lane.PLATFORM for account in working):
        return warn(
            "only API keys can serve",
            "Each request costs money, and they serve only with the option codex_overflow=on.",
            LOG_IN,
        )
    if ended:
        return warn(f"needs a login: {_reasons(ended)}", "The others serve in its place.", LOG_IN)
    return ok(f"{len(working)} of them can serve")


def _reasons(accounts: Iterable[Account]) -> str:
    return "; ".join(f"{account.label} ({account.health_reason or 'unknown'})" for account in accounts)


def shared(machine: Machine) -> Result:
    """Whether another program has a login of the pool."""
    pool = machine.stored.pool
    return skipped("the accounts cannot be read") if pool is None else judge_shared(pool, machine.login_files())


def judge_shared(pool: Pool, files: Sequence[LoginFile]) -> Result:
    """`files`: the login files of other programs. Tokens are compared by what they are hashed to."""
    ours = {digest(account.tokens.refresh): account.label for account in pool.accounts if account.tokens.refresh}
    both = [(file, label) for file in files for label in _labels(file, ours)]
    if both:
        which = ", ".join(f"{label} ({file.program}, {file.path})" for file, label in both)
        return warn(
            f"another program has the same login: {which}",
            "A refresh token is good for one use: the next refresh, here or there, logs the other out.",
            LOG_IN,
        )
    return ok(f"no other program has one ({len(files)} login files found)")


def _labels(file: LoginFile, ours: Mapping[bytes, str]) -> list[str]:
    tokens = (found.login.tokens.refresh for found in file.found.logins)
    return [ours[digest(token)] for token in tokens if token and digest(token) in ours]


def digest(token: Secret) -> bytes:
    """SHA-256."""
    return hashlib.sha256(token.reveal().encode()).digest()


CHECKS = (Check("accounts", usable),)
LATER = (Check("shared logins", shared),)
"""What breaks later than all else."""
