"""What the backend tells Codex of its account before the first turn: where to go, and the user's settings.

The real answers are not known; these are what Codex CLI 0.169 takes.
"""

from understudy.sandbox.scenario import Identity


def accounts_check(who: Identity, origin: str) -> dict[str, object]:
    """The body of `GET wham/accounts/check`. Codex then sends its Responses calls to `origin`, which is https."""
    entry = {
        "id": who.account_id,
        "name": None,
        "plan_type": who.plan,
        "structure": "personal",
        "profile_picture_url": None,
        "is_deactivated": False,
        "is_fedramp_compliant_workspace": who.fedramp,
        "can_access_with_session": True,
        "sso_connection_name": None,
        "workspace_backend_origin": origin,
        "account_routing_override": "NO_CONSTRAINT",
    }
    return {"accounts": [entry], "account_ordering": [who.account_id], "default_account_id": who.account_id}


def user_settings() -> dict[str, object]:
    """The body of `GET wham/settings/user`."""
    return {"commit_attribution_enabled": False}
