"""Limits of accounts and of models: what counts against which, what they enforce by themselves, and how they end."""

import json
import time
from email.utils import parsedate_to_datetime

import httpx
import pytest

from sandbox.client import ask, connect, events, headers, scenario
from understudy.sandbox.quota import open_quota
from understudy.sandbox.scenario import Credits, Limit, Window
from understudy.sandbox.server import Sandbox

SPARK = "gpt-5.3-codex-spark"
FAMILY = {"codex_bengalfox": {"models": [SPARK], "name": "gpt-5.2-codex-sonic", "windows": [{"minutes": 300}]}}
LIMITED = {"do": "usage_limit", "resets_in": 3600}
ANSWER = {"do": "answer"}


def percent(answer: httpx.Response, family: str = "codex", slot: str = "primary") -> str:
    return answer.headers[f"x-{family}-{slot}-used-percent"]


def usage(sandbox: Sandbox, label: str = "work") -> httpx.Response:
    with connect() as client:
        return client.get(f"{sandbox.origin}/backend-api/wham/usage", headers=headers(sandbox, label))


def models(sandbox: Sandbox, label: str) -> httpx.Response:
    with connect() as client:
        return client.get(f"{sandbox.backend}/models", headers=headers(sandbox, label))


# Models


def test_an_account_has_the_scenarios_models_or_its_own() -> None:
    accounts: dict[str, object] = {"work": {"models": ["gpt-5.5", "gpt-5.4*"]}, "home": {}}
    with Sandbox({"accounts": accounts, "models": ["gpt-5.1*", "gpt-5.5"]}) as sandbox:
        refused = ask(sandbox, "work", model="gpt-5.1-codex")
        assert (ask(sandbox, "work", model="gpt-5.4-mini").status_code, refused.status_code) == (200, 400)
        assert ask(sandbox, "home", model="gpt-5.1-codex").status_code == 200
        lists = [models(sandbox, label) for label in accounts]
        told = [ask(sandbox, label, model="gpt-5.5").headers["x-models-etag"] for label in accounts]
    words = "The 'gpt-5.1-codex' model is not supported when using Codex with a ChatGPT account."
    assert refused.json() == {"detail": words}
    assert [[model["slug"] for model in answer.json()["models"]] for answer in lists] == [
        ["gpt-5.5", "gpt-5.4"],
        ["gpt-5.1", "gpt-5.5"],
    ]
    assert told == [answer.headers["etag"] for answer in lists] and told[0] != told[1]


# Limits of some models


def test_an_answer_counts_against_the_limit_of_its_model_alone() -> None:
    with Sandbox(scenario(limits=FAMILY)) as sandbox:
        spark, other = ask(sandbox, model=SPARK), ask(sandbox, model="gpt-5.5")
    assert (percent(spark, "codex-bengalfox"), percent(spark)) == ("1", "12")
    assert (percent(other, "codex-bengalfox"), percent(other)) == ("1", "13")
    assert [a.headers["x-codex-active-limit"] for a in (spark, other)] == ["codex_bengalfox", "codex"]
    assert other.headers["x-codex-bengalfox-limit-name"] == "gpt-5.2-codex-sonic"
    assert other.headers["x-codex-bengalfox-primary-window-minutes"] == "300"


def test_a_usage_limit_fills_the_limit_of_its_model_alone() -> None:
    with Sandbox(scenario(LIMITED, ANSWER, limits=FAMILY)) as sandbox:
        limited, after = ask(sandbox, model=SPARK), ask(sandbox, model="gpt-5.5")
    assert limited.status_code == 429 and percent(limited, "codex-bengalfox") == "100"
    assert limited.headers["x-codex-active-limit"] == "codex_bengalfox"
    assert limited.json()["error"]["resets_at"] == int(limited.headers["x-codex-bengalfox-primary-reset-at"])
    assert (percent(limited), percent(after)) == ("12", "13")


def test_the_usage_endpoint_lists_further_limits() -> None:
    with Sandbox(scenario(LIMITED, limits=FAMILY)) as sandbox:
        ask(sandbox, model=SPARK)
        value = usage(sandbox).json()
    (family,) = value["additional_rate_limits"]
    assert (family["limit_name"], family["metered_feature"]) == ("gpt-5.2-codex-sonic", "codex_bengalfox")
    assert family["rate_limit"]["limit_reached"] and not value["rate_limit"]["limit_reached"]
    assert family["rate_limit"]["primary_window"]["used_percent"] == 100


def test_the_vendor_event_names_the_limit_that_counts() -> None:
    with Sandbox(scenario({"do": "answer", "vendor": True}, limits=FAMILY)) as sandbox:
        spark, other = (events(ask(sandbox, model=model).content)[0] for model in (SPARK, "gpt-5.5"))
    assert (spark["metered_limit_name"], spark["limit_name"]) == ("codex_bengalfox", "gpt-5.2-codex-sonic")
    assert spark["rate_limits"]["primary"]["used_percent"] == 1  # type: ignore[index]
    assert "metered_limit_name" not in other


def test_the_last_of_several_windows_that_are_used_up_is_the_one_that_counts() -> None:
    windows = [Window(300, 100.0), Window(10080, 100.0), Window(43200, 99.0)]
    quota = open_quota("plus", (), Credits(), 0.0, {"codex_x": Limit(("gpt-*",), tuple(windows))})
    assert quota.meter("gpt-5").used_up == 1 and quota.meter("other").used_up is None


# Windows that really fill


def test_an_account_that_enforces_its_windows_refuses_by_itself_once_one_is_full() -> None:
    windows = [{"minutes": 300, "used": 98, "resets_in": 2000}, {"minutes": 10080, "used": 50}]
    with Sandbox(scenario(enforce=True, windows=windows)) as sandbox:
        answers = [ask(sandbox) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    error = answers[-1].json()["error"]
    assert error["type"] == "usage_limit_reached" and 1990 < error["resets_in_seconds"] <= 2000
    assert [percent(answer) for answer in answers] == ["99", "100", "100", "100"]


def test_an_enforced_refusal_takes_no_step_and_ends_with_its_window() -> None:
    windows = [{"minutes": 300, "used": 100, "resets_in": 1}]
    with Sandbox(scenario({"do": "overloaded"}, ANSWER, enforce=True, windows=windows)) as sandbox:
        first = ask(sandbox)
        time.sleep(max(0.0, first.json()["error"]["resets_at"] - time.time()))
        assert [first.status_code, ask(sandbox).status_code, ask(sandbox).status_code] == [429, 503, 200]


def test_a_limit_of_other_models_is_not_in_the_way() -> None:
    full = {"codex_bengalfox": {"models": [SPARK], "windows": [{"minutes": 300, "used": 100}]}}
    with Sandbox(scenario(enforce=True, limits=full)) as sandbox:
        assert [ask(sandbox, model=model).status_code for model in (SPARK, "gpt-5.5")] == [429, 200]


@pytest.mark.parametrize("credits", [{"has_credits": True, "balance": "5"}, {"unlimited": True}])
def test_with_credits_an_account_goes_on_past_its_windows(credits: dict[str, object]) -> None:
    with Sandbox(scenario(enforce=True, windows=[{"minutes": 300, "used": 100}], credits=credits)) as sandbox:
        assert ask(sandbox).status_code == 200


def test_unless_it_enforces_them_an_account_goes_on_past_its_windows() -> None:
    with Sandbox(scenario(windows=[{"minutes": 300, "used": 100}])) as sandbox:
        assert ask(sandbox).status_code == 200


def test_a_step_that_fills_an_enforced_window_is_in_force_until_its_reset() -> None:
    with Sandbox(scenario({"do": "usage_limit", "after_words": 2}, ANSWER, enforce=True)) as sandbox:
        assert [ask(sandbox).status_code for _ in range(3)] == [200, 429, 429]


# Limits that are lifted


@pytest.mark.parametrize("how", ["python", "endpoint"])
@pytest.mark.parametrize(
    "spec",
    [
        {"steps": [LIMITED]},
        {"steps": [{**LIMITED, "until_reset": True}, ANSWER]},
        {"steps": [LIMITED, ANSWER], "enforce": True},
        {"windows": [{"minutes": 300, "used": 100}], "enforce": True},
    ],
    ids=["step", "until its reset", "enforced step", "full window"],
)
def test_a_limit_can_be_lifted_before_the_reset_that_it_named(spec: dict[str, object], how: str) -> None:
    with Sandbox({"accounts": {"work": spec}}) as sandbox, connect() as client:
        refused = ask(sandbox)
        if how == "python":
            sandbox.lift("work")
        else:
            assert client.post(f"{sandbox.origin}/sandbox/lift/work").status_code == 204
        answer = ask(sandbox)
        assert client.post(f"{sandbox.origin}/sandbox/lift/nobody").status_code == 404
    assert (refused.status_code, answer.status_code, percent(answer)) == (429, 200, "1")
    assert int(answer.headers["x-codex-primary-reset-after-seconds"]) == pytest.approx(300 * 60, abs=3)


def test_lifting_leaves_other_accounts_and_other_steps_alone() -> None:
    spec = {"steps": [{"do": "overloaded"}, LIMITED]}
    with Sandbox({"accounts": {"work": spec, "home": {"steps": [LIMITED]}}}) as sandbox:
        sandbox.lift("work")
        assert [ask(sandbox).status_code for _ in range(2)] == [503, 429]
        assert ask(sandbox, "home").status_code == 429


# Clocks that are wrong


def test_a_clock_that_is_wrong_moves_every_moment_and_no_duration() -> None:
    skew = 5 * 3600
    windows = [{"minutes": 300, "used": 10, "resets_in": 600}]
    with Sandbox(scenario(ANSWER, LIMITED, clock_skew=skew, windows=windows)) as sandbox:
        now = time.time()
        answer, limited, shown = ask(sandbox), ask(sandbox), usage(sandbox)
    for heard in (answer, limited, shown):
        assert parsedate_to_datetime(heard.headers["date"]).timestamp() == pytest.approx(now + skew, abs=3)
        assert len(heard.headers.get_list("date")) == 1
    assert int(answer.headers["x-codex-primary-reset-at"]) == pytest.approx(now + skew + 600, abs=3)
    assert int(answer.headers["x-codex-primary-reset-after-seconds"]) == pytest.approx(600, abs=3)
    error = limited.json()["error"]
    assert error["resets_at"] == pytest.approx(now + skew + 3600, abs=3)
    assert error["resets_in_seconds"] == pytest.approx(3600, abs=3)
    window = shown.json()["rate_limit"]["primary_window"]
    assert window["reset_at"] == error["resets_at"] and window["reset_after_seconds"] == pytest.approx(3600, abs=3)


# The usage endpoint


@pytest.mark.parametrize(
    ("step", "status", "words"),
    [
        ({"do": "html403"}, 403, "Just a moment"),
        ({"do": "server_error"}, 500, "server_error"),
        ({"do": "status", "status": 418, "body": {"a": 1}}, 418, '{"a": 1}'),
        ({"do": "garbage", "headers": {"x-odd": "1"}}, 200, "{"),
    ],
    ids=lambda value: str(value["do"]) if isinstance(value, dict) else "",
)
def test_the_usage_endpoint_fails_by_steps_of_its_own(step: dict[str, object], status: int, words: str) -> None:
    with Sandbox(scenario(usage_steps=[step, ANSWER])) as sandbox:
        assert ask(sandbox).status_code == 200
        failed, answered = usage(sandbox), usage(sandbox)
        steps = [entry.step for entry in sandbox.journal]
    assert (failed.status_code, words in failed.text) == (status, True)
    assert answered.json()["plan_type"] == "plus"
    assert steps == ["answer", f"usage: {step['do']}", "usage: answer"]


def test_garbage_from_the_usage_endpoint_claims_to_be_json() -> None:
    with Sandbox(scenario(usage_steps=[{"do": "garbage"}])) as sandbox:
        answer = usage(sandbox)
    assert answer.headers["content-type"] == "application/json"
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_a_token_that_the_usage_endpoint_refuses_is_dead() -> None:
    with Sandbox(scenario(usage_steps=[{"do": "unauthorized"}])) as sandbox:
        assert usage(sandbox).json()["error"]["code"] == "token_expired"
        assert ask(sandbox).status_code == 401


def test_the_usage_endpoint_may_be_slow_and_is_changed_while_it_runs() -> None:
    with Sandbox(scenario()) as sandbox:
        sandbox.set_usage_steps("work", [{"do": "answer", "wait": 0.2}])
        before = time.monotonic()
        assert usage(sandbox).status_code == 200 and time.monotonic() - before >= 0.2
        with pytest.raises(ValueError, match="not a list of steps"):
            sandbox.set_usage_steps("work", [{"do": "reset"}])


def test_the_usage_endpoint_counts_reset_credits() -> None:
    with Sandbox(scenario(reset_credits=3)) as sandbox:
        assert usage(sandbox).json()["rate_limit_reset_credits"] == {"available_count": 3}
