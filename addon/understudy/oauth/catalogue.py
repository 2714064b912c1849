"""ChatGPT's list of the models that an account may use."""

from understudy.oauth.request import OAuthRequest, as_account
from understudy.pool.account import Account
from understudy.wire.provider import Provider


def models_request(backend: Provider, account: Account, version: str) -> OAuthRequest:
    """`GET {backend}/models?client_version=...` as the account. Raises ValueError for an account id that is none.

    `version`: our own; the list depends on it, and on who says to ask.
    """
    return as_account(backend, f"{backend.path}/models?client_version={version}", account, version)
