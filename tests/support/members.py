"""The sandbox's accounts as accounts of a pool."""

from functools import partial
from pathlib import Path

from understudy.oauth.codex_auth import read_auth_json
from understudy.oauth.enrol import enrol
from understudy.pool.account import Account, Tokens
from understudy.pool.pool import with_accounts
from understudy.sandbox.server import Sandbox
from understudy.state.accounts import AccountStore
from understudy.wire.secret import Secret


def member(sandbox: Sandbox, label: str) -> Account:
    """The account as a login of this moment would have it; its own id is `acct_{label}`."""
    now = sandbox.tokens(label)
    tokens = Tokens(Secret(now.access), Secret(now.refresh), Secret(now.id_token), now.expires_at)
    return Account(f"acct_{label}", label, sandbox.account_id(label), f"user-{label}", tokens)


def pool_of(sandbox: Sandbox, home: Path) -> AccountStore:
    """A pool of the sandbox's accounts, as logins of its own; their ids are `acct_{label}`."""
    store = AccountStore(home)
    for label in sandbox.scenario.accounts:
        login = read_auth_json(sandbox.auth_json(label))
        enrolled = enrol(store.read().accounts, login, f"acct_{label}", label, now=0.0).accounts
        store.update(partial(with_accounts, accounts=enrolled))
    return store
