"""The login files of other programs, as those programs write them."""

import json
from collections.abc import Mapping

from support.logins import NOW, tokens

Object = dict[str, object]

MS = 1000


def opencode_entry(name: str = "ada", **more: object) -> Object:
    """A login as OpenCode and opencode-codex-auth write it, times in milliseconds; None takes a member out."""
    given = tokens(name)
    entry: Object = {
        "type": "oauth",
        "refresh": given.refresh.reveal(),
        "access": given.access.reveal(),
        "expires": int(given.expires_at * MS),
        "accountId": f"ws-{name}",
    }
    return _without_none(entry | more)


def opencode(*, openai: object = None, **more: object) -> bytes:
    """OpenCode's `auth.json` with logins of other services in it."""
    others = {"anthropic": {"type": "oauth", "refresh": "sk-ant-ort01-x", "access": "sk-ant-oat01-x", "expires": 1}}
    return dump({"openai": openai or opencode_entry()} | others | more)


def codex_accounts(native: list[Object], codex: list[Object] | None = None) -> bytes:
    """The `codex-accounts.json` of opencode-codex-auth, with its summary of both domains."""
    domains: Object = {"native": {"strategy": "sticky", "accounts": native, "activeIdentityKey": "k"}}
    if codex is not None:
        domains["codex"] = {"accounts": codex}
    openai = {"type": "oauth", "strategy": "sticky", "accounts": [*native, *(codex or ())], "activeIdentityKey": "k"}
    return dump({"openai": openai | domains})


def pool_account(name: str = "ada", **more: object) -> Object:
    """An account as oc-codex-multi-auth, codex-multi-auth and kyoli-gam write it; None takes a member out."""
    given = tokens(name)
    account: Object = {
        "accountId": f"ws-{name}",
        "email": f"{name}@example.com",
        "refreshToken": given.refresh.reveal(),
        "accessToken": given.access.reveal(),
        "expiresAt": int(given.expires_at * MS),
        "addedAt": int(NOW * MS),
        "lastUsed": int(NOW * MS),
        "enabled": True,
    }
    return _without_none(account | more)


def oc_codex_multi_auth(*accounts: Object, version: object = 3) -> bytes:
    """The pool of oc-codex-multi-auth; its accounts say more of themselves than those of its sister."""
    marked = [{"accountUserId": "user-x__ws-x", "accountIdSource": "token", **account} for account in accounts]
    return _pool(version, marked, activeIndexByFamily={"codex": 0})


def codex_multi_auth(*accounts: Object, version: object = 3) -> bytes:
    """The pool of codex-multi-auth."""
    return _pool(version, list(accounts), pinnedAccountIndex=0, affinityGeneration=3)


def first_pool(*accounts: Object) -> bytes:
    """The first version of both, and older: nothing tells which of them wrote it."""
    return _pool(1, list(accounts))


def kyoli_gam(*accounts: Object) -> bytes:
    """The pool of kyoli-gam."""
    own = {"uuid": "7f3c", "planTier": "Plus", "consecutiveAuthFailures": 0, "isAuthDisabled": False}
    return dump({"version": 1, "accounts": [{**own, **account} for account in accounts], "activeAccountUuid": "7f3c"})


def claude(name: str = "ada", **more: object) -> bytes:
    """`~/.claude/auth.json` with the login of the codex-oauth plugin in it, times in seconds."""
    given = tokens(name)
    login: Object = {
        "access_token": given.access.reveal(),
        "refresh_token": given.refresh.reveal(),
        "id_token": given.id_token.reveal(),
        "token_type": "Bearer",
        "expires_in": 3600,
        "expires_at": int(given.expires_at),
    }
    return dump({"openai_codex": _without_none(login | more), "auth_method": "oauth"})


def dump(document: object) -> bytes:
    """JSON as these programs print it."""
    return json.dumps(document, indent=2).encode()


def _pool(version: object, accounts: list[Object], **more: object) -> bytes:
    return dump({"version": version, "accounts": accounts, "activeIndex": 0, **more})


def _without_none(members: Mapping[str, object]) -> Object:
    return {name: value for name, value in members.items() if value is not None}
