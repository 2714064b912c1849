"""The login that the codex-oauth plugin of Claude Code keeps in `~/.claude/auth.json`."""

from collections.abc import Mapping

from understudy.oauth.formats.collect import collect
from understudy.oauth.formats.found import Found

_LOGIN, _KEY = "openai_codex", "openai_api_key"


def read(document: Mapping[str, object]) -> Found | None:
    """`{"openai_codex"?: {"access_token", "refresh_token", "id_token"?, "expires_at", "expires_in", ...},
    "openai_api_key"?, "auth_method"?: "oauth" | "api_key"}`: the login server's answer with the time of its end,
    in epoch seconds, added.

    Source: anthropics/claude-code plugins/codex/servers/codex-mcp-server/{config.py, infrastructure/token_storage.py,
    services/oauth_flow.py}, a version of its history.
    """
    if _LOGIN in document:
        return collect("codex-oauth", [document[_LOGIN]])
    if _KEY in document:
        return Found("codex-oauth", left_out=("an API key is no ChatGPT login",))
    return None
