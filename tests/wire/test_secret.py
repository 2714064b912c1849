"""A token that never shows itself."""

from understudy.wire.secret import Secret

CANARY = "canary-access-token"


def test_a_secret_is_shown_only_to_who_asks_for_it() -> None:
    secret = Secret(CANARY)
    assert CANARY not in f"{secret} {secret!r} {[secret]} {secret!s:>40}"
    assert secret.reveal() == CANARY


def test_secrets_are_equal_by_what_they_hide() -> None:
    assert Secret(CANARY) == Secret(CANARY)
    assert Secret(CANARY) != Secret("other")


def test_an_empty_secret_is_none() -> None:
    assert not Secret("")
    assert Secret(CANARY)
