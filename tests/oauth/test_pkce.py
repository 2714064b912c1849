"""Each attempt has secrets of its own, of which only the challenge and the state are ever sent to a browser."""

import pytest

from understudy.oauth.pkce import RANDOM_BYTES, Attempt, new_attempt
from understudy.wire.secret import Secret

RANDOM = bytes(range(RANDOM_BYTES))


def test_the_challenge_is_that_of_the_rfcs_example() -> None:
    # RFC 7636, appendix B.
    attempt = Attempt(Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), Secret("state"))
    assert attempt.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_verifier_and_state_have_the_codex_clis_sizes_and_share_nothing() -> None:
    attempt = new_attempt(RANDOM)
    verifier, state = attempt.verifier.reveal(), attempt.state.reveal()
    assert (len(verifier), len(state)) == (86, 43), "64 and 32 bytes; RFC 7636, 4.1 has 43 to 128 characters"
    assert state not in verifier and "=" not in verifier + state


@pytest.mark.parametrize("size", [0, RANDOM_BYTES - 1, RANDOM_BYTES + 1])
def test_too_little_randomness_is_refused(size: int) -> None:
    with pytest.raises(ValueError):
        new_attempt(bytes(size))


def test_an_attempt_does_not_show_its_secrets() -> None:
    attempt = new_attempt(RANDOM)
    assert attempt.verifier.reveal() not in repr(attempt) and attempt.state.reveal() not in repr(attempt)
