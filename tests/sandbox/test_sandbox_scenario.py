"""Scenarios as data: what is understood, and that a slip of the pen is refused in words that find it."""

import pytest

from understudy.sandbox.scenario import DEMO, read_scenario, read_steps
from understudy.sandbox.steps import Answer, Preset, Reset, Status, UsageLimit


def test_an_account_without_steps_answers() -> None:
    assert read_scenario('{"accounts": {"work": {}}}').accounts["work"].steps == (Answer(),)


def test_steps_are_told_apart_by_what_they_do() -> None:
    steps = read_steps(
        [{"do": "usage_limit", "resets_in": 60}, {"do": "reset", "when": "mid_text"}, {"do": "burst"}, Answer()]
    )
    assert steps == (UsageLimit(resets_in=60), Reset(when="mid_text"), Preset(do="burst"), Answer())


def test_a_status_may_have_any_body() -> None:
    assert read_steps([{"do": "status", "status": 418, "body": [1]}]) == (Status(status=418, body=[1]),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"accounts": {"w": {"steps": [{"do": "anwser"}]}}}', "accounts.w.steps.0"),
        ('{"accounts": {"w": {"steps": [{"do": "answer", "wrods": 3}]}}}', "wrods"),
        ('{"accounts": {"w": {"step": []}}}', "accounts.w.step"),
        ('{"accounts": {"w/x": {}}}', "accounts.w/x"),
        ("{}", "accounts"),
        ("[", "Invalid JSON"),
    ],
    ids=["step", "member", "account", "label", "empty", "no JSON"],
)
def test_a_slip_of_the_pen_is_refused_by_its_place(text: str, words: str) -> None:
    with pytest.raises(ValueError, match="not a scenario") as caught:
        read_scenario(text)
    assert words in str(caught.value)


def test_no_steps_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        read_steps([])


def test_the_demo_shows_a_limit_and_an_answer_from_another_account() -> None:
    assert [account.steps[0].do for account in DEMO.accounts.values()] == ["usage_limit", "answer"]
