"""The login files of OpenCode and of its plugin opencode-codex-auth, which keep a login in the same place."""

from collections.abc import Mapping
from dataclasses import replace

from understudy.oauth.formats.collect import collect
from understudy.oauth.formats.found import Found

_TYPES = ("oauth", "api", "wellknown")


def read(document: Mapping[str, object]) -> Found | None:
    """OpenCode's `auth.json`: `{"openai": {"type": "oauth", "access", "refresh", "expires", "accountId"?}, "anthropic":
    ..., ...}`, with the types `api` (a key) and `wellknown` besides.

    opencode-codex-auth's `codex-accounts.json`: `{"openai": {"type": "oauth", "native"?: {"accounts": [...]}, "codex"?:
    {"accounts": [...]}, "accounts": [...]}}`, the last a summary of the others, or, in older files, alone. An account:
    `{"access", "refresh", "expires", "accountId"?, "email"?, "plan"?, "enabled"?}`. `expires`: epoch milliseconds.

    Sources: anomalyco/opencode packages/opencode/src/auth/index.ts; iam-brain/opencode-codex-auth lib/types.ts,
    lib/storage/auth-state.ts.
    """
    services = {name: entry for name, entry in document.items() if _is_service(entry)}
    openai = services.pop("openai", None)
    if openai is None and not services:
        return None
    if isinstance(openai, dict) and (accounts := _accounts(openai)) is not None:
        return collect("opencode-codex-auth", accounts)
    found = _login_of(openai)
    return replace(found, left_out=(*found.left_out, *_others(len(services))))


def _is_service(entry: object) -> bool:
    return isinstance(entry, dict) and entry.get("type") in _TYPES


def _accounts(openai: Mapping[str, object]) -> list[object] | None:
    """The accounts of opencode-codex-auth, None where there are none such."""
    lists = [_list(openai.get(name)) for name in ("native", "codex")]
    if lists == [None, None]:
        return _list(openai)
    return [account for accounts in lists for account in accounts or ()]


def _list(domain: object) -> list[object] | None:
    accounts = domain.get("accounts") if isinstance(domain, dict) else None
    return accounts if isinstance(accounts, list) else None


def _login_of(openai: object) -> Found:
    if not isinstance(openai, dict):
        return Found("OpenCode")
    if openai.get("type") != "oauth":
        return Found("OpenCode", left_out=("openai: an API key is no ChatGPT login",))
    return collect("OpenCode", [openai])


def _others(count: int) -> tuple[str, ...]:
    return (f"logins of other services: {count}",) if count else ()
