"""What a session's answers have used, and what it costs that another account answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.pool.ledger import EMPTY, Answer, Figures, Ledger, by_account, record, share


def after(*answers: tuple[str, int, int]) -> tuple[Ledger, list[int]]:
    """The ledger after answers of (account, input tokens, cached tokens), and what each move cost."""
    ledger, costs = EMPTY, []
    for answer in answers:
        ledger, cost = record(ledger, *answer)
        costs.append(cost)
    return ledger, costs


@pytest.mark.parametrize(
    ("answers", "costs"),
    [
        pytest.param([("work", 1000, 0)], [0], id="a first answer"),
        pytest.param([("work", 1000, 0), ("work", 1200, 0)], [0, 0], id="the same account, whatever it had cached"),
        pytest.param([("work", 1000, 0), ("home", 1200, 0)], [0, 1000], id="the prefix that the former had cached"),
        pytest.param([("work", 1000, 0), ("home", 1200, 300)], [0, 700], id="but for what was cached here too"),
        pytest.param([("work", 1000, 0), ("home", 400, 0)], [0, 400], id="at most this prompt, after a compaction"),
        pytest.param([("work", 1000, 0), ("home", 1200, 1100)], [0, 0], id="never less than nothing"),
        pytest.param(
            [("work", 1000, 0), ("home", 1200, 0), ("work", 1400, 900)], [0, 1000, 300], id="and back, half warm"
        ),
    ],
)
def test_what_a_move_costs(answers: list[tuple[str, int, int]], costs: list[int]) -> None:
    ledger, found = after(*answers)
    assert found == costs
    assert ledger.moved_tokens == sum(costs)


def test_every_answer_by_another_account_than_the_one_before_is_a_move() -> None:
    ledger, _ = after(("work", 1, 0), ("work", 1, 0), ("home", 1, 1), ("work", 1, 0))
    assert ledger.moves == 2
    assert ledger.last == Answer(3, "work", 1)


def test_figures_are_kept_account_by_account() -> None:
    ledger, _ = after(("work", 100, 10), ("home", 200, 20), ("work", 300, 30))
    assert ledger.accounts == {"work": Figures(2, 400, 40), "home": Figures(1, 200, 20)}


def test_what_accounts_have_used_is_summed_over_sessions() -> None:
    one, _ = after(("work", 100, 10), ("home", 200, 20))
    other, _ = after(("work", 300, 30))
    assert by_account([one, other]) == {"work": Figures(2, 400, 40), "home": Figures(1, 200, 20)}


def test_the_share_that_was_cached() -> None:
    assert share(Figures(2, 400, 100)) == 0.25
    assert share(Figures(1, 0, 0)) is None
    assert share(Figures(1, 100, 150)) == 1.0


tokens = st.integers(0, 10**9)


@given(st.lists(st.tuples(st.sampled_from(["work", "home", "spare"]), tokens, tokens), max_size=20))
def test_whatever_is_answered_no_cost_is_negative_or_larger_than_the_prompt(
    answers: list[tuple[str, int, int]],
) -> None:
    ledger, costs = after(*answers)
    assert all(0 <= cost <= answer[1] for cost, answer in zip(costs, answers, strict=True))
    assert sum(figures.requests for figures in ledger.accounts.values()) == len(answers)
