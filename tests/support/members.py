"""The sandbox's accounts as accounts of a pool."""

from understudy.pool.account import Account, Tokens
from understudy.sandbox.server import Sandbox
from understudy.wire.secret import Secret


def member(sandbox: Sandbox, label: str) -> Account:
    """The account as a login of this moment would have it; its own id is `acct_{label}`."""
    now = sandbox.tokens(label)
    tokens = Tokens(Secret(now.access), Secret(now.refresh), Secret(now.id_token), now.expires_at)
    return Account(f"acct_{label}", label, sandbox.account_id(label), f"user-{label}", tokens)
