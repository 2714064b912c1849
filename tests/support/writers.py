"""Writers of a pool, each write of which replaces all tokens; and what is true of it, whenever they are killed."""

import json
from dataclasses import replace
from pathlib import Path

from support.logins import account, tokens
from understudy.pool.account import Account
from understudy.pool.pool import Accounts, Pool, with_accounts
from understudy.state import files, schema
from understudy.state.accounts import AccountStore

PROGRAM = f"""
import sys
from pathlib import Path

sys.path.append({str(Path(__file__).parents[1])!r})

import filelock  # it would be loaded at the first write
from support.writers import rotate
from understudy.state.accounts import AccountStore
"""
"""How a program begins that writes by `rotate`."""


def members(number: int) -> Accounts:
    """The accounts as write `number` leaves them."""
    return tuple(
        replace(account(name), last_used_at=float(number), tokens=tokens(name, mark=str(number)))
        for name in ("ada", "bob", "cy")
    )


def rotate(pool: Pool) -> Pool:
    """The next write."""
    return with_accounts(pool, members(number_of(pool) + 1))


def number_of(pool: Pool) -> int:
    """The number of the write that left this pool. It is a pool that a write leaves, and not a mixture of two."""
    number = int(pool.accounts[0].last_used_at or 0)
    assert pool.accounts == members(number)
    return number


def number_on_disk(home: Path, writers: int = 1) -> int:
    """The number of the write that left the pool on disk, by one of so many `writers`, all of them dead.

    Its backup is whole too, and older by no more writes than could be interrupted between the two.
    """
    store = AccountStore(home)
    number = number_of(store.read())
    backup = files.read(store.backup)
    assert backup is not None and number_of(schema.decode(backup.data)) in range(number - writers, number + 1)
    return number


def version_1(accounts: tuple[Account, ...], revision: int = 1) -> bytes:
    """The pool as the first version of Understudy wrote it."""
    return json.dumps({"version": 1, "revision": revision, "accounts": list(map(_account, accounts))}).encode()


def _account(account: Account) -> dict[str, object]:
    held = account.tokens
    return {
        "id": account.id,
        "label": account.label,
        "account_id": account.account_id,
        "user_id": account.user_id,
        "email": account.email,
        "plan": account.plan,
        "fedramp": False,
        "enabled": account.enabled,
        "health": "ok",
        "health_reason": "",
        "block": None,
        "last_used_at": account.last_used_at,
        "tokens": {
            "access": held.access.reveal(),
            "refresh": held.refresh.reveal(),
            "id_token": held.id_token.reveal(),
            "expires_at": held.expires_at,
        },
    }
