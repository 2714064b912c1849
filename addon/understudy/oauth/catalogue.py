"""ChatGPT's list of the models that an account may use."""

from dataclasses import replace
from urllib.parse import quote

from understudy.oauth.request import OAuthRequest, as_account
from understudy.pool.account import Account
from understudy.wire.provider import Provider


def models_request(
    backend: Provider, account: Account, version: str, client_version: str, etag: str = ""
) -> OAuthRequest:
    """`GET {backend}/models?client_version=...` as the account. Raises ValueError for an account id that is none.

    `version`: our own. `client_version`: whom the list is for; it depends on that. `etag`: of the list that is there,
    if any: where it is still the one, the answer is a 304.
    """
    path = f"{backend.path}/models?client_version={quote(client_version, safe='')}"
    request = as_account(backend, path, account, version)
    return replace(request, headers=(*request.headers, ("if-none-match", etag))) if etag else request
