"""A login that is given up is said so to the login server."""

import json

import pytest

from support.logins import CANARY
from understudy.oauth.refresh import Transient
from understudy.oauth.request import CLIENT_ID
from understudy.oauth.revoke import read_revoke, revoke_request
from understudy.wire.secret import Secret


def test_the_request_names_the_refresh_token_and_the_client() -> None:
    request = revoke_request("https://auth.openai.com", Secret(f"rt_{CANARY}"))
    assert (request.method, request.url) == ("POST", "https://auth.openai.com/oauth/revoke")
    assert json.loads(request.body) == {
        "token": f"rt_{CANARY}",
        "token_type_hint": "refresh_token",
        "client_id": CLIENT_ID,
    }
    assert CANARY not in repr(request)


@pytest.mark.parametrize(("status", "worked"), [(200, True), (204, True), (302, False), (400, False), (503, False)])
def test_only_a_success_is_one(status: int, worked: bool) -> None:
    answer = read_revoke(status)
    assert answer is None if worked else answer == Transient(f"the login server answered {status}")
