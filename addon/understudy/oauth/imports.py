"""Reads logins out of the files of other programs, told apart by their structure, and puts them into the pool."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from understudy.oauth.codex_auth import read_auth_file
from understudy.oauth.enrol import Change, Enrolled, enrol
from understudy.oauth.formats import claude, opencode, own, pools
from understudy.oauth.formats.found import Found, FoundLogin
from understudy.oauth.formats.records import ITS_OWN
from understudy.pool.account import Account
from understudy.pool.labels import taken
from understudy.wire.jsontext import loads

MAX_SIZE = 1024 * 1024
"""Bytes of a file that is looked into: a hundred accounts have a few hundred thousand."""
UNDERSTOOD = (
    "the login files of Codex, OpenCode, opencode-codex-auth, oc-codex-multi-auth, codex-multi-auth, kyoli-gam and "
    "codex-oauth are understood, and exports of Understudy"
)


@dataclass(frozen=True, slots=True)
class Sharing:
    """Another account of the pool has this very login, which serves one alone. `reason`: in words for the user."""

    reason: str


def read_logins(text: bytes) -> Found:
    """The logins in a file, whichever program wrote it.

    Raises ValueError, in words for the user that hold nothing of the file, where no program that we know did, or where
    what it wrote cannot be used at all.
    """
    if len(text) > MAX_SIZE:
        raise ValueError(f"it is too large to be a login file; {UNDERSTOOD}")
    if text.startswith(b"SQLite format 3\0"):
        raise ValueError(f"it is a database, and no program's database is read; {UNDERSTOOD}")
    try:
        document = loads(text)
    except ValueError:
        raise ValueError(f"it is not JSON; {UNDERSTOOD}") from None
    if not isinstance(document, dict):
        raise ValueError(f"it is not a login file; {UNDERSTOOD}")
    found = (read(document) for read in _READERS)
    first = next((one for one in found if one is not None), None)
    if first is None:
        raise ValueError(f"it is not a login file; {UNDERSTOOD}")
    return first


def take_in(
    accounts: tuple[Account, ...], found: FoundLogin, new_id: str, label: str | None = None, *, now: float
) -> Enrolled | Sharing:
    """`accounts` with what was found in it, as `enrol` does it; `label`: what the user wants it called.

    What another program says of an account counts for a new one alone: of one that is there the user has told us.
    Raises as `enrol` does.
    """
    enrolled = enrol(accounts, found.login, new_id, label, now=now)
    others = (account for account in accounts if account.id != enrolled.account.id)
    holder = next((account for account in others if account.tokens.refresh == found.login.tokens.refresh), None)
    if holder is not None:
        return Sharing(f"account {found.login.claims.account_id}: it shares the login of {holder.label}, and {ITS_OWN}")
    return _as_told(accounts, enrolled, found, label) if enrolled.change is Change.ADDED else enrolled


def _as_told(accounts: tuple[Account, ...], enrolled: Enrolled, found: FoundLogin, label: str | None) -> Enrolled:
    is_free = found.label and found.label.casefold() not in taken(accounts)
    named = found.label if is_free and label is None else enrolled.account.label
    account = replace(enrolled.account, label=named, tags=found.tags, note=found.note, enabled=found.enabled)
    return replace(enrolled, accounts=(*accounts, account), account=account)


def _codex(document: Mapping[str, object]) -> Found | None:
    if not {"tokens", "OPENAI_API_KEY", "auth_mode"} & set(document):
        return None
    return Found("Codex", (FoundLogin(read_auth_file(document)),))


_READERS: tuple[Callable[[Mapping[str, object]], Found | None], ...] = (
    own.read,
    _codex,
    claude.read,
    opencode.read,
    pools.read,
)
