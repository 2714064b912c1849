"""What the backend refuses, in whose words, and that a refused request takes no step of the scenario."""

import gzip
import json

import httpx
import pytest
import zstandard

from sandbox.client import BODY, ask, body, connect, headers, scenario
from understudy.sandbox.server import Sandbox
from understudy.sandbox.validate import refusal

MESSAGE: dict[str, object] = {"type": "message", "role": "user", "content": "hi"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "1"}


def refused(changes: dict[str, object], *, without: str = "", lite: bool = False) -> str | None:
    """The words of the refusal, from either of its two shapes."""
    asked = {name: value for name, value in {**BODY, **changes}.items() if name != without}
    reply = refusal(asked, models=("gpt-5*", "codex-mini"), lite_header=lite)
    if reply is None:
        return None
    assert reply.status == 400
    value = json.loads(reply.body)
    return str(value["detail"] if "detail" in value else value["error"]["message"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"store": True}, "Store must be set to false"),
        ({"stream": False}, "Stream must be set to true"),
        ({"instructions": None}, "Instructions are required"),
        ({"input": "hello"}, "Input must be a list"),
        ({"temperature": 1}, "Unsupported parameter: temperature"),
        ({"max_output_tokens": None}, "Unsupported parameter: max_output_tokens"),
        ({"previous_response_id": "resp_1"}, "Unsupported parameter: previous_response_id"),
        ({"service_tier": "flex"}, "Unsupported service_tier: flex"),
        ({"stream_options": {"include_usage": True}}, "Unsupported parameter: stream_options.include_usage"),
        ({"tools": [{"type": "file_search"}]}, "Unsupported tool type: file_search"),
        ({"model": "gpt-4o"}, "The 'gpt-4o' model is not supported when using Codex with a ChatGPT account."),
        ({"input": [{"role": "system", "content": "x"}]}, "System messages are not allowed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_backends_own_layer_refuses_in_a_detail(changes: dict[str, object], words: str) -> None:
    assert refused(changes) == words


@pytest.mark.parametrize("name", ["store", "stream", "instructions", "input", "model"])
def test_what_the_backend_needs_must_be_there(name: str) -> None:
    assert refused({}, without=name) is not None


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([{"type": "item_reference", "id": "rs_1"}], "Item with id 'rs_1' not found."),
        ([{"type": "reasoning", "id": "rs_2", "summary": []}], "Item with id 'rs_2' not found."),
        (
            [{"type": "reasoning", "id": "r", "encrypted_content": "c", "content": [{"text": "t"}]}],
            "Invalid 'input[0].content': array too long.",
        ),
        ([OUTPUT], "No tool call found for function call output with call_id call_1."),
        ([CALL], "No tool output found for function call call_1."),
        ([{"type": "web_search_call"}], "Missing required parameter: 'input[0].id'."),
        (["text"], "Invalid type for 'input[0]'"),
    ],
    ids=["reference", "reasoning", "reasoning content", "output alone", "call alone", "search without id", "no object"],
)
def test_items_are_refused_in_openais_error_object(items: list[object], words: str) -> None:
    assert (refused({"input": items}) or "").startswith(words)


@pytest.mark.parametrize(
    "items",
    [
        [MESSAGE, CALL, OUTPUT],
        [{"role": "developer", "content": "x"}, MESSAGE],
        [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}, MESSAGE],
    ],
    ids=["call with output", "developer", "encrypted reasoning"],
)
def test_good_items_are_taken(items: list[object]) -> None:
    assert refused({"input": items}) is None


def test_the_lite_shape_needs_its_header_and_no_instructions() -> None:
    lite: dict[str, object] = {"input": [{"type": "additional_tools", "role": "developer", "tools": []}, MESSAGE]}
    assert refused(lite, without="instructions", lite=True) is None
    assert refused(lite, without="instructions") is not None
    assert refused({}, lite=True) is not None


def test_an_effort_that_does_not_exist_is_refused_with_its_parameter() -> None:
    reply = refusal({**BODY, "reasoning": {"effort": "ultra"}}, models=("gpt-5*",), lite_header=False)
    assert reply is not None
    error = json.loads(reply.body)["error"]
    assert (error["param"], error["code"]) == ("reasoning.effort", "unsupported_value")


def post(sandbox: Sandbox, content: bytes, **changes: str | None) -> httpx.Response:
    """One request with header fields changed; None takes one away."""
    fields = {**headers(sandbox), **{name.replace("_", "-"): value for name, value in changes.items()}}
    with connect() as client:
        url = f"{sandbox.backend}/responses"
        return client.post(url, headers={n: v for n, v in fields.items() if v is not None}, content=content)


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"authorization": None}, 401, "Unauthorized"),
        ({"authorization": "Basic x"}, 401, "Unauthorized"),
        ({"authorization": "Bearer sk-key"}, 401, "Could not parse your authentication token."),
        ({"chatgpt_account_id": None}, 403, "does not match"),
        ({"chatgpt_account_id": "other"}, 403, "does not match"),
        ({"content_type": "text/plain"}, 400, "Unsupported content type"),
    ],
    ids=["no token", "basic", "a key", "no account id", "another's account id", "content type"],
)
def test_who_asks_is_looked_at_first(changes: dict[str, str | None], status: int, words: str) -> None:
    with Sandbox(scenario({"do": "usage_limit"}, {"do": "answer"})) as sandbox:
        answer = post(sandbox, b"{}", **changes)
        assert (answer.status_code, words in answer.json()["detail"]) == (status, True)
        assert ask(sandbox).status_code == 429, "the refused request took no step"


@pytest.mark.parametrize(
    ("coding", "content"),
    [("zstd", zstandard.compress(body())), ("gzip", gzip.compress(body())), ("identity", body())],
    ids=["zstd", "gzip", "identity"],
)
def test_a_compressed_request_is_read(coding: str, content: bytes) -> None:
    with Sandbox(scenario()) as sandbox:
        assert post(sandbox, content, content_encoding=coding).status_code == 200
        assert sandbox.journal[0].body == BODY and sandbox.journal[0].content == body()


@pytest.mark.parametrize(
    ("coding", "content"),
    [
        ("zstd", b"no zstd"),
        ("lzma", body()),
        ("identity", b'{"model": NaN}'),
        ("identity", b"[" * 100_000),
        ("identity", b"[]"),
    ],
    ids=["broken", "unknown coding", "not a number", "too deep", "no object"],
)
def test_a_body_that_is_no_json_object_is_refused(coding: str, content: bytes) -> None:
    with Sandbox(scenario()) as sandbox:
        answer = post(sandbox, content, content_encoding=coding)
    assert (answer.status_code, answer.json()) == (400, {"detail": "Invalid JSON body"})


def test_a_fedramp_account_needs_its_header() -> None:
    with Sandbox(scenario(fedramp=True)) as sandbox:
        assert post(sandbox, body()).status_code == 403
        assert post(sandbox, body(), x_openai_fedramp="true").status_code == 200


def test_an_unknown_path_is_not_found_but_written_down() -> None:
    with Sandbox(scenario()) as sandbox, connect() as client:
        answer = client.put(f"{sandbox.origin}/v1/files?purpose=x", content=b"payload")
        entry = sandbox.journal[0]
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})
    assert (entry.method, entry.path, entry.query, entry.content) == ("PUT", "/v1/files", "purpose=x", b"payload")


def test_models_and_usage_are_for_accounts_only() -> None:
    with Sandbox(scenario()) as sandbox, connect() as client:
        for path in ("codex/models", "wham/usage", "codex/usage"):
            url = f"{sandbox.origin}/backend-api/{path}"
            assert client.get(url).status_code == 401
            assert client.get(url, headers=headers(sandbox)).status_code == 200


def test_models_are_not_sent_twice() -> None:
    with Sandbox(scenario()) as sandbox, connect() as client:
        url = f"{sandbox.backend}/models?client_version=0.150.0"
        first = client.get(url, headers=headers(sandbox))
        again = client.get(url, headers={**headers(sandbox), "if-none-match": first.headers["etag"]})
    assert first.json()["models"][0]["slug"] == "gpt-5"
    assert (again.status_code, again.content) == (304, b"")


def test_usage_shows_the_windows_in_seconds() -> None:
    with Sandbox(scenario()) as sandbox, connect() as client:
        ask(sandbox)
        value = client.get(f"{sandbox.origin}/backend-api/wham/usage", headers=headers(sandbox)).json()
    window = value["rate_limit"]["primary_window"]
    assert (window["used_percent"], window["limit_window_seconds"]) == (13, 18000)
    assert value["account_id"] == sandbox.account_id("work")
