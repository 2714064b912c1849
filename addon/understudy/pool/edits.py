"""What the user may do to the pool by name: each a change of the pool that a command, or the proxy, carries out.

They raise ValueError, in words for the user, where it cannot be done.
"""

from collections.abc import Sequence
from dataclasses import replace

from understudy.pool.account import Account, Lane
from understudy.pool.choose import find
from understudy.pool.identity import is_same
from understudy.pool.labels import FORM, check_label, is_label
from understudy.pool.pool import Pin, Pool, with_account, with_accounts
from understudy.wire.text import safe_text

MOST_TAGS = 16
LONGEST_NOTE = 240
"""Characters."""


def named(pool: Pool, name: str) -> Account:
    """The account that the user calls `name`: by its label, our id, or ChatGPT's account id."""
    found = find(pool.accounts, name)
    if found is None:
        labels = ", ".join(account.label for account in pool.accounts)
        raise ValueError(
            f"no account is called {safe_text(name)!r} ({f'there are: {labels}' if labels else 'there is none'})"
        )
    return found


def pin(pool: Pool, name: str, *, soft: bool) -> Pool:
    """The account is used from the next request on, by every session. A disabled one is not used by being pinned."""
    account = named(pool, name)
    if not account.enabled:
        raise ValueError(f"{account.label} is disabled; enable it first: understudy accounts enable {account.label}")
    wanted = Pin(account.id, soft)
    return pool if pool.pin == wanted else _switched(replace(pool, pin=wanted))


def unpin(pool: Pool) -> Pool:
    """The proxy chooses again. Sessions that the pin moved are free too."""
    return pool if pool.pin is None else _switched(replace(pool, pin=None))


def enable(pool: Pool, name: str, enabled: bool) -> Pool:
    """An account that is disabled is never asked, and never refreshed by itself. A pin on it would have every request
    refused, so it goes.
    """
    account = named(pool, name)
    changed = with_account(pool, replace(account, enabled=enabled))
    return changed if enabled or not is_pinned(pool, account) else unpin(changed)


def is_pinned(pool: Pool, account: Account) -> bool:
    """Whether the user has pinned this account, be it softly."""
    return pool.pin is not None and pool.pin.name == account.id


def relabel(pool: Pool, name: str, label: str) -> Pool:
    """Another label, which has to be unique, in lower and upper case alike."""
    account = named(pool, name)
    check_label(label, [other for other in pool.accounts if other.id != account.id])
    return with_account(pool, replace(account, label=label))


def tag(pool: Pool, name: str, tags: Sequence[str]) -> Pool:
    """The account's tags, in place of those that it had; none to take them away."""
    for text in tags:
        if not is_label(text):
            raise ValueError(f"not a tag: {safe_text(text)!r} ({FORM})")
    if len(set(tags)) > MOST_TAGS:
        raise ValueError(f"an account has {MOST_TAGS} tags at most")
    return with_account(pool, replace(named(pool, name), tags=tuple(dict.fromkeys(tags))))


def note(pool: Pool, name: str, text: str) -> Pool:
    """The account's note, in place of the one that it had; empty to take it away."""
    if len(text) > LONGEST_NOTE:
        raise ValueError(f"a note has {LONGEST_NOTE} characters at most, and this one {len(text)}")
    return with_account(pool, replace(named(pool, name), note=safe_text(text, LONGEST_NOTE)))


def reserve(pool: Pool, name: str, percent: float) -> Pool:
    """The last `percent` of every window of the account's main limit are the user's own; 0 to keep nothing back."""
    account = named(pool, name)
    if not 0 <= percent <= 100:
        raise ValueError(f"not a part of a limit: {percent:g} % (0 to 100)")
    if account.lane is Lane.PLATFORM:
        raise ValueError(f"{account.label} is an API key: it has no limits of a plan to keep a part of")
    return with_account(pool, replace(account, reserve_percent=percent))


def order(pool: Pool, names: Sequence[str]) -> Pool:
    """These accounts first, in this order; the others after them, in theirs."""
    first = list(dict.fromkeys(named(pool, name) for name in names))
    if len(first) < len(names):
        raise ValueError("an account is named twice")
    return with_accounts(pool, (*first, *(account for account in pool.accounts if account not in first)))


def remove(pool: Pool, names: Sequence[str]) -> Pool:
    """The pool without these accounts."""
    gone = {named(pool, name).id for name in names}
    return with_accounts(pool, tuple(account for account in pool.accounts if account.id not in gone))


def restored(copy: Pool, present: Pool) -> Pool:
    """The pool `copy` of an earlier day in the place of `present`. An account that is in both keeps its present tokens,
    and what is known of them: those in the copy may have been used since, and a refresh token is good for one use.
    """
    return _switched(
        replace(
            copy,
            accounts=tuple(_with_login_of(account, present.accounts) for account in copy.accounts),
            affinity_generation=max(copy.affinity_generation, present.affinity_generation),
        )
    )


def _with_login_of(account: Account, others: Sequence[Account]) -> Account:
    now = next((other for other in others if other.id == account.id or is_same(other, account)), account)
    return replace(
        account,
        tokens=now.tokens,
        health=now.health,
        health_reason=now.health_reason,
        health_at=now.health_at,
        refreshes=now.refreshes,
        spending=now.spending,
    )


def _switched(pool: Pool) -> Pool:
    """Sessions would go on with the account that they are bound to."""
    return replace(pool, affinity_generation=pool.affinity_generation + 1)
