"""The device login: a code for the user, then polls until the user has decided."""

import json

import pytest

from support.logins import CANARY
from understudy.oauth import device
from understudy.oauth.device import DeviceCode, Granted, Waiting, read_begin, read_poll
from understudy.oauth.refresh import Transient
from understudy.oauth.refused import Reason, Refused
from understudy.oauth.request import CLIENT_ID
from understudy.wire.secret import Secret

ISSUER = "https://auth.openai.com"
BEGUN = {"device_auth_id": f"da_{CANARY}", "user_code": "ABCD-1234", "interval": "5"}
CODE = DeviceCode(Secret(f"da_{CANARY}"), "ABCD-1234", 5.0)


def begin(**changes: object) -> DeviceCode | Refused | Transient:
    return read_begin(200, json.dumps(BEGUN | changes).encode())


def poll(status: int, body: object) -> object:
    return read_poll(status, json.dumps(body).encode())


def test_the_requests_are_json_below_the_issuer() -> None:
    first, second = device.begin_request(ISSUER), device.poll_request(ISSUER, CODE)
    assert first.url == "https://auth.openai.com/api/accounts/deviceauth/usercode"
    assert json.loads(first.body) == {"client_id": CLIENT_ID}
    assert second.url == "https://auth.openai.com/api/accounts/deviceauth/token"
    assert json.loads(second.body) == {"device_auth_id": CODE.id.reveal(), "user_code": "ABCD-1234"}
    assert CANARY not in repr(second) + repr(CODE)


def test_the_user_types_the_code_on_the_issuers_page_and_nobody_is_sent_back() -> None:
    assert device.device_page(ISSUER) == "https://auth.openai.com/codex/device"
    assert device.device_redirect(ISSUER) == "https://auth.openai.com/deviceauth/callback"


def test_a_code_and_its_interval_are_given() -> None:
    assert begin() == CODE


def test_the_code_has_an_older_name() -> None:
    assert begin(user_code=None, usercode="ABCD-1234") == CODE


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [("5", 5.0), (7, 7.0), ("0", 1.0), ("-3", 1.0), ("9e99", 60.0), ("nan", 5.0), ("x", 5.0), (None, 5.0), ([], 5.0)],
)
def test_the_interval_is_a_text_and_kept_within_reason(interval: object, seconds: float) -> None:
    code = begin(interval=interval)
    assert isinstance(code, DeviceCode) and code.interval == seconds


@pytest.mark.parametrize(
    "changes",
    [
        {"user_code": "\x1b[2J"},
        {"user_code": "ABCD 1234"},
        {"user_code": "A" * 21},
        {"user_code": 7},
        {"user_code": None},
        {"device_auth_id": "a b"},
        {"device_auth_id": None},
    ],
    ids=str,
)
def test_a_code_that_cannot_be_shown_or_sent_is_refused(changes: dict[str, object]) -> None:
    assert begin(**changes) == Transient("the login server's answer has no usable code")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, Refused(Reason.NOT_ENABLED)),
        (403, Refused(Reason.OTHER)),
        (503, Transient("the login server answered 503")),
        (429, Transient("the login server answered 429")),
    ],
)
def test_a_device_login_that_cannot_be_begun_says_why(status: int, expected: object) -> None:
    assert read_begin(status, json.dumps(BEGUN).encode()) == expected


def test_a_granted_login_brings_a_code_and_the_verifier_for_it() -> None:
    granted = poll(200, {"authorization_code": f"ac_{CANARY}", "code_challenge": "x", "code_verifier": f"v{CANARY}"})
    assert granted == Granted(Secret(f"ac_{CANARY}"), Secret(f"v{CANARY}"))
    assert CANARY not in repr(granted)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (403, {}, Waiting.PENDING),
        (404, {"error": {"code": "deviceauth_authorization_unknown"}}, Waiting.PENDING),
        (400, {"error": "authorization_pending"}, Waiting.PENDING),
        (400, {"error": "slow_down"}, Waiting.SLOW_DOWN),
        (403, {"error": {"code": "slow_down"}}, Waiting.SLOW_DOWN),
        (429, {}, Waiting.SLOW_DOWN),
        (403, {"error": "access_denied"}, Refused(Reason.DENIED)),
        (400, {"error": "expired_token"}, Refused(Reason.EXPIRED)),
        (400, {"error": CANARY}, Refused(Reason.OTHER)),
        (401, [], Refused(Reason.OTHER)),
        (502, {}, Transient("the login server answered 502")),
        (200, {"authorization_code": "x"}, Transient("the login server's answer has no usable code")),
        (
            200,
            {"authorization_code": "x", "code_verifier": "a b"},
            Transient("the login server's answer has no usable code"),
        ),
    ],
)
def test_a_poll_says_how_it_stands(status: int, body: object, expected: object) -> None:
    assert poll(status, body) == expected
