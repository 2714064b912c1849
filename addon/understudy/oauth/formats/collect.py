"""Reads the accounts in a file, and tells them apart: one login for each account, one account for each login."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from understudy.oauth.claims import Claims, mask_email
from understudy.oauth.formats.found import Found, FoundLogin
from understudy.oauth.formats.records import ITS_OWN, account_named, read_record
from understudy.pool.account import Tokens
from understudy.pool.identity import is_same

MOST_ACCOUNTS = 200
"""Accounts that a file may hold."""


@dataclass(frozen=True, slots=True)
class _Read:
    number: int
    found: FoundLogin
    workspace: str
    """The account that the file says it is for, which need not be the one that its tokens are for."""

    @property
    def claims(self) -> Claims:
        return self.found.login.claims

    @property
    def tokens(self) -> Tokens:
        return self.found.login.tokens


def collect(program: str, records: Sequence[object]) -> Found:
    """What the records of `program` hold, which are counted from 1. Raises ValueError where they are too many."""
    if len(records) > MOST_ACCOUNTS:
        raise ValueError(f"it has more than {MOST_ACCOUNTS} accounts")
    read: list[_Read] = []
    left_out: dict[int, str] = {}
    for number, record in enumerate(records, 1):
        try:
            read.append(_read(number, record))
        except ValueError as error:
            left_out[number] = f"account {number}{_hint(record)}: {error}"
    kept, doubles = _apart(read)
    reasons = sorted((left_out | doubles).items())
    return Found(program, tuple(one.found for one in kept), tuple(reason for _, reason in reasons))


def _read(number: int, record: object) -> _Read:
    if not isinstance(record, dict):
        raise ValueError("it is not an object")
    found = read_record(record)
    is_for = found.login.claims.account_id
    workspace = account_named(record) or is_for
    # What the user has called another workspace is not for this one.
    return _Read(number, found if workspace == is_for else FoundLogin(found.login, enabled=found.enabled), workspace)


def _hint(record: object) -> str:
    email = record.get("email") if isinstance(record, dict) else None
    masked = mask_email(email) if isinstance(email, str) else ""
    return f" ({masked})" if masked else ""


def _apart(read: Iterable[_Read]) -> tuple[list[_Read], dict[int, str]]:
    """What is kept of them; and, by number, why the others are left out.

    One login may be written down for several workspaces, but it is good for one: the one that its tokens name.
    Of several logins of an account the one whose access token ends last is the newest.
    """
    kept: list[_Read] = []
    doubles: dict[int, str] = {}
    for one in sorted(read, key=lambda one: (one.workspace != one.claims.account_id, -one.tokens.expires_at)):
        twin = next((other for other in kept if _is_double(one, other)), None)
        if twin is None:
            kept.append(one)
        else:
            doubles[one.number] = f"account {one.number}: {_why_double(one, twin)}"
    return sorted(kept, key=lambda one: one.number), doubles


def _is_double(one: _Read, other: _Read) -> bool:
    return one.tokens.refresh == other.tokens.refresh or is_same(other.claims, one.claims)


def _why_double(one: _Read, twin: _Read) -> str:
    if one.workspace == twin.workspace:
        return f"it is account {twin.number} once more"
    return f"it shares the login of account {twin.number}, and {ITS_OWN}"
