"""Labels: what the user calls an account. Short, unique in the pool, and safe in logs and on a command line."""

import re
from collections.abc import Iterable

from understudy.pool.account import Account
from understudy.wire.text import safe_text

FORM = "up to 32 letters, digits, '.', '_' and '-'"
_LABEL = re.compile(r"(?!acct_)[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


def is_label(text: str) -> bool:
    """Whether `text` may be a label: up to 32 of ASCII letters, digits, `.`, `_` and `-`, and nothing like our ids."""
    return _LABEL.fullmatch(text) is not None


def check_label(label: str, others: Iterable[Account]) -> None:
    """Raises ValueError, in words for the user, unless `label` is one that none of the `others` answers to."""
    if not is_label(label):
        raise ValueError(f"not a label: {safe_text(label)!r} ({FORM})")
    if label.casefold() in taken(others):
        raise ValueError(f"another account is called {label} already; choose another label")


def taken(accounts: Iterable[Account]) -> set[str]:
    """What a label must not read like, in lower case: the labels of accounts, and ids that would mean another one."""
    return {name.casefold() for account in accounts for name in (account.label, account.id, account.account_id)}
