"""Claims are hints: whatever a token holds, what comes out of it is safe to store, to show and to put into a header."""

import time
from collections.abc import Mapping

import pytest

from support.logins import CANARY, NOW, access_token, jwt
from understudy.oauth.claims import Claims, mask_email, read_claims
from understudy.wire.secret import Secret

AUTH = "https://api.openai.com/auth"


def claims(values: Mapping[str, object]) -> Claims:
    return read_claims(Secret(jwt(values)))


def repr_of(value: object) -> str:
    return repr(value)[:20]


def test_an_access_token_says_whose_it_is_and_until_when() -> None:
    read = read_claims(Secret(access_token("ada", expires_at=NOW, chatgpt_account_is_fedramp=True)))
    assert read == Claims("ws-ada", "user-ada", "ada@example.com", "plus", True, NOW)


def test_an_expired_token_is_read_like_any_other() -> None:
    assert claims({"exp": 1}).expires_at == 1.0


def test_the_user_id_has_an_older_name_which_counts_where_the_new_one_is_absent() -> None:
    assert claims({AUTH: {"user_id": "user-old"}}).user_id == "user-old"
    assert claims({AUTH: {"user_id": "user-old", "chatgpt_user_id": "user-new"}}).user_id == "user-new"


def test_the_address_at_the_top_goes_before_the_profiles() -> None:
    profile = {"https://api.openai.com/profile": {"email": "profile@example.com"}}
    assert claims({"email": "top@example.com", **profile}).email == "top@example.com"
    assert claims(profile).email == "profile@example.com"


@pytest.mark.parametrize(
    "account_id",
    ["a\r\nx-injected: 1", "a b", "a\x00", "a\x1b[2J", "a\x85", "a\u2028", "", "x" * 129, 7, None, ["a"], "ä"],
)
def test_an_id_that_could_break_out_of_a_header_counts_as_absent(account_id: object) -> None:
    assert claims({AUTH: {"chatgpt_account_id": account_id, "chatgpt_user_id": account_id}}) == Claims()


@pytest.mark.parametrize("exp", ["1", True, -1, 10**400, 1e300, None, [1]], ids=repr_of)
def test_an_expiry_that_is_no_time_counts_as_absent(exp: object) -> None:
    assert claims({"exp": exp}).expires_at is None


def test_text_from_a_token_does_nothing_to_a_terminal() -> None:
    read = claims({"email": "a\x1b]0;x\x07@b.c", AUTH: {"chatgpt_plan_type": "PLUS\x1b[31m\u202e"}})
    assert (read.email, read.plan) == ("a]0;x@b.c", "plus[31m")


@pytest.mark.parametrize("auth", [None, "text", [], 7])
def test_a_claim_that_is_no_object_counts_as_absent(auth: object) -> None:
    assert claims({AUTH: auth}) == Claims()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(f"{CANARY}-opaque", id="opaque"),
        pytest.param(f"{CANARY}.b.c", id="no base64"),
        pytest.param("eyJhbGciOiJub25lIn0.W10.x", id="payload no object"),
        pytest.param("eyJhbGciOiJub25lIn0." + "W1tb" * 3000 + ".x", id="deep"),
        pytest.param("a b.c.d", id="space"),
    ],
)
def test_what_is_no_jwt_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a (JWT|token)$") as caught:
        read_claims(Secret(text))
    assert CANARY not in repr(caught.value)


def test_a_huge_token_is_not_decoded() -> None:
    huge = jwt({"pad": "x" * 5_000_000})
    started = time.perf_counter()
    with pytest.raises(ValueError):
        read_claims(Secret(huge))
    assert time.perf_counter() - started < 0.1


def test_claims_do_not_show_the_address() -> None:
    assert "ada@" not in repr(claims({"email": "ada@example.com"}))


@pytest.mark.parametrize(
    ("email", "masked"),
    [("ada@example.com", "a***@example.com"), ("", ""), ("no address", ""), ("@example.com", "***@example.com")],
)
def test_a_masked_address_tells_its_owner_which_it_is_and_others_little(email: str, masked: str) -> None:
    assert mask_email(email) == masked
