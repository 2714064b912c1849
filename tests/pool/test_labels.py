"""Labels are what users type and what stands in logs: short, plain, unique, and never to be taken for an id."""

import pytest

from support.logins import account
from understudy.pool.labels import check_label, is_label


@pytest.mark.parametrize("label", ["plus-ada.2", "a", "A" * 32, "work_1"])
def test_a_label_is_a_short_word(label: str) -> None:
    assert is_label(label)


@pytest.mark.parametrize("label", ["", "-v", "a" * 33, "two words", "acct_ada", "ada\n", "\x1b[1m", "zoë"])
def test_what_a_command_line_or_a_log_could_misread_is_no_label(label: str) -> None:
    assert not is_label(label)
    with pytest.raises(ValueError, match="not a label"):
        check_label(label, ())


@pytest.mark.parametrize("label", ["ada", "ADA", "ws-ada"])
def test_a_label_is_no_other_account_s_name(label: str) -> None:
    with pytest.raises(ValueError, match="already"):
        check_label(label, [account("ada")])
