"""The Platform's Responses API beside the backend: for keys, and as the public reference has it."""

import json
import time
from collections.abc import Mapping

import httpx
import pytest

from sandbox.client import BODY, ask, connect, events, headers, scenario, text
from understudy.sandbox.server import Sandbox
from understudy.sandbox.steps import DEFAULT_TEXT

KEY = "sk-sandbox-canary-key"
ASKED: dict[str, object] = {"model": "gpt-4.1", "input": "hello"}


def with_key(*steps: dict[str, object], **more: object) -> dict[str, object]:
    """An account, and a key with these steps."""
    return {**scenario(), "api_keys": {"paid": {"key": KEY, "steps": list(steps) or [{"do": "answer"}]}}, **more}


def post(
    sandbox: Sandbox, body: Mapping[str, object], *, bearer: str | None = KEY, more: Mapping[str, str] | None = None
) -> httpx.Response:
    """One request and its whole answer."""
    fields = {"authorization": f"Bearer {bearer}"} if bearer else {}
    with connect() as client:
        return client.post(f"{sandbox.origin}/v1/responses", headers={**fields, **(more or {})}, json=body)


def call(sandbox: Sandbox, **parameters: object) -> httpx.Response:
    """One request with the good key."""
    return post(sandbox, {**ASKED, **parameters})


def error(answer: httpx.Response) -> dict[str, object]:
    value = answer.json()["error"]
    assert isinstance(value, dict) and value.keys() == {"message", "type", "param", "code"}
    return value


def test_without_keys_there_is_no_platform() -> None:
    with Sandbox(scenario()) as sandbox:
        answer = call(sandbox)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


def test_what_it_does_not_have_is_an_error_of_its_own() -> None:
    with Sandbox(with_key()) as sandbox, connect() as client:
        answer = client.get(f"{sandbox.origin}/v1/batches", headers={"authorization": f"Bearer {KEY}"})
    assert (answer.status_code, error(answer)["message"]) == (404, "Invalid URL (GET /v1/batches)")


def test_an_answer_is_one_json_object_unless_a_stream_is_asked_for() -> None:
    with Sandbox(with_key({"do": "answer", "text": "two words"})) as sandbox:
        whole, streamed = call(sandbox), call(sandbox, stream=True)
    assert whole.headers["content-type"] == "application/json"
    value = whole.json()
    assert (value["object"], value["status"], value["model"]) == ("response", "completed", "gpt-4.1")
    assert value["output"][0]["content"][0]["text"] == "two words"
    assert value["usage"]["input_tokens"] > 0
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert text(streamed.content) == "two words" and events(streamed.content)[-1]["type"] == "response.completed"


def test_nothing_that_is_the_backends_own_is_said() -> None:
    with Sandbox(with_key()) as sandbox:
        names = set(call(sandbox, stream=True).headers)
    assert not [name for name in names if name.startswith(("x-codex", "x-models"))] and "openai-version" in names


def test_public_parameters_are_taken_and_echoed() -> None:
    given: dict[str, object] = {
        "store": True,
        "instructions": "Be brief.",
        "temperature": 0.2,
        "max_output_tokens": 64,
        "metadata": {"a": "b"},
        "previous_response_id": "resp_1",
    }
    with Sandbox(with_key()) as sandbox:
        value = call(sandbox, **given).json()
        assert call(sandbox, input=[{"role": "system", "content": "x"}], include=[], store=False).status_code == 200
    assert value.items() >= given.items()


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"of_tomorrow": 1}, "unknown_parameter", "of_tomorrow"),
        ({"model": ""}, "missing_required_parameter", "model"),
        ({"input": None}, "missing_required_parameter", "input"),
    ],
    ids=["unknown", "no model", "no input"],
)
def test_a_request_that_is_wrong_is_refused_by_its_parameter(changes: dict[str, object], code: str, param: str) -> None:
    with Sandbox(with_key({"do": "server_error"})) as sandbox:
        answer = call(sandbox, **changes)
        assert sandbox.journal[0].step == "", "the refused request took no step"
    assert answer.status_code == 400 and (error(answer)["code"], error(answer)["param"]) == (code, param)


@pytest.mark.parametrize("content", [b"?", b"[]"], ids=["no JSON", "no object"])
def test_a_body_that_is_no_object_is_refused(content: bytes) -> None:
    with Sandbox(with_key()) as sandbox, connect() as client:
        url = f"{sandbox.origin}/v1/responses"
        answer = client.post(url, headers={"authorization": f"Bearer {KEY}"}, content=content)
    assert answer.status_code == 400 and "JSON" in str(error(answer)["message"])


def test_only_its_keys_are_good() -> None:
    with Sandbox(with_key()) as sandbox:
        nobody = post(sandbox, ASKED, bearer=None)
        stranger = post(sandbox, ASKED, bearer="sk-other")
        chatgpt = post(sandbox, ASKED, bearer=sandbox.tokens("work").access)
        confused = post(sandbox, ASKED, more={"chatgpt-account-id": sandbox.account_id("work")})
        entries = sandbox.journal.responses()
    assert [answer.status_code for answer in (nobody, stranger, chatgpt, confused)] == [401, 401, 401, 400]
    assert error(stranger)["code"] == "invalid_api_key"
    assert "Missing scopes: api.responses.write" in str(error(chatgpt)["message"])
    assert [(entry.account, entry.token) for entry in entries] == [
        (None, "none"),
        (None, "unknown"),
        ("work", "good"),
        ("paid", "good"),
    ]


def test_a_key_is_nothing_to_the_backend() -> None:
    with Sandbox(with_key()) as sandbox:
        assert ask(sandbox, more={"authorization": f"Bearer {KEY}"}).status_code == 401


def test_the_journal_has_the_keys_label_and_never_the_key() -> None:
    with Sandbox(with_key()) as sandbox, connect() as client:
        call(sandbox)
        (entry,) = sandbox.journal.responses("paid")
        page = client.get(f"{sandbox.origin}/sandbox/journal").text
        assert KEY in sandbox.secrets()
    assert (entry.account, entry.step, entry.status, entry.model) == ("paid", "answer", 200, "gpt-4.1")
    assert entry.header("authorization") == "<paid: API key>"
    assert entry.input_tokens == max(1, len(entry.content) // 4) and entry.cached_tokens == 0
    assert KEY not in page and "API key" in page


def test_a_prompt_is_cached_for_the_key() -> None:
    with Sandbox(with_key()) as sandbox:
        usages = [call(sandbox, input="x" * 4096, prompt_cache_key="k").json()["usage"] for _ in range(2)]
    assert [usage["input_tokens_details"]["cached_tokens"] for usage in usages] == [0, 1024]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "no stream"])
@pytest.mark.parametrize(
    ("step", "status", "code"),
    [
        ({"do": "insufficient_quota"}, 429, "insufficient_quota"),
        ({"do": "short_limit", "seconds": 2}, 429, "rate_limit_exceeded"),
        ({"do": "server_error"}, 500, "server_error"),
        ({"do": "model_not_found"}, 404, "model_not_found"),
    ],
    ids=lambda value: str(value["do"]) if isinstance(value, dict) else "",
)
def test_a_key_plays_steps_like_an_account(step: dict[str, object], status: int, code: str, stream: bool) -> None:
    with Sandbox(with_key(step, {"do": "answer"})) as sandbox:
        answer = call(sandbox, stream=stream)
        assert call(sandbox, stream=stream).status_code == 200
    assert (answer.status_code, error(answer)["code"]) == (status, code)
    assert answer.headers.get("retry-after") == ("2" if code == "rate_limit_exceeded" else None)


@pytest.mark.parametrize("when", ["before_headers", "after_headers"])
def test_an_answer_without_a_stream_may_come_late(when: str) -> None:
    with Sandbox(with_key({"do": "stall", "when": when, "seconds": 0.2})) as sandbox:
        before = time.monotonic()
        value = call(sandbox).json()
        assert time.monotonic() - before >= 0.2
    assert value["output"][0]["content"][0]["text"] == DEFAULT_TEXT


def test_steps_of_a_key_can_be_changed_while_it_runs() -> None:
    with Sandbox(with_key()) as sandbox:
        sandbox.set_key_steps("paid", [{"do": "server_error"}])
        assert call(sandbox).status_code == 500
        with pytest.raises(ValueError, match="not a list of steps"):
            sandbox.set_key_steps("paid", [{"do": "revoked"}])


@pytest.mark.parametrize("mode", ["portable", "bound", "bound_late"])
def test_reasoning_never_crosses_between_accounts_and_keys(mode: str) -> None:
    with Sandbox(with_key(encrypted=mode)) as sandbox:
        user = {"role": "user", "content": "go on"}
        made = call(sandbox, input=[sandbox.key_item("paid"), user])
        there = call(sandbox, input=[sandbox.item("work"), user])
        back = ask(sandbox, input=[sandbox.key_item("paid"), user])
    assert made.status_code == 200 and there.status_code == 400
    assert error(there)["code"] == "invalid_encrypted_content"
    assert "organization_id did not match" in back.text
    assert back.status_code == (200 if mode == "bound_late" else 400)


def test_the_backend_beside_it_is_as_strict_as_ever() -> None:
    with Sandbox(with_key()) as sandbox, connect() as client:
        url = f"{sandbox.backend}/responses"
        content = json.dumps({**BODY, "temperature": 1})
        assert client.post(url, headers=headers(sandbox), content=content).status_code == 400
