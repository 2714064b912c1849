"""Hosts that speak Chat Completions: carried out by the same accounts, replayed like any other request."""

import json

import httpx
import pytest

from support.hosts import HOST_KEY
from support.theatre import Json, Theatre, TheatreFactory

URL = "https://api.openai.com/v1/chat/completions"
ANSWER: Json = {"do": "answer", "text": "Yes, it is."}
LIMITED: Json = {"do": "usage_limit", "resets_in": 3600}
SAY_HI: list[object] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
WEATHER = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
TOOLS = [{"type": "function", "function": WEATHER}]


@pytest.fixture(scope="module")
def theatre(theatres: TheatreFactory) -> Theatre:
    return theatres()


def chat(theatre: Theatre, messages: object = SAY_HI, **parameters: object) -> httpx.Response:
    body = {"model": "gpt-5.5", "messages": messages, **parameters}
    return theatre.client().post(URL, json=body, headers={"authorization": f"Bearer {HOST_KEY}"})


def chunks(response: httpx.Response) -> list[Json]:
    """The chunks of a stream that ends as it should."""
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line.startswith("data:")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def text_of(response: httpx.Response) -> str:
    deltas = (choice["delta"] for chunk in chunks(response) for choice in chunk["choices"])  # type: ignore[attr-defined]
    return "".join(delta.get("content") or "" for delta in deltas)


def test_a_completion_in_one_piece(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER)
    answered = chat(theatre)
    assert answered.status_code == 200, answered.text
    told = answered.json()
    assert told["object"] == "chat.completion"
    assert told["choices"][0]["message"]["content"] == "Yes, it is."
    assert told["choices"][0]["finish_reason"] == "stop"
    assert told["usage"]["total_tokens"] == told["usage"]["prompt_tokens"] + told["usage"]["completion_tokens"]


def test_a_completion_in_chunks(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER)
    answered = chat(theatre, stream=True, stream_options={"include_usage": True})
    assert answered.headers["content-type"].startswith("text/event-stream")
    assert text_of(answered) == "Yes, it is."
    told = chunks(answered)
    assert told[0]["choices"][0]["delta"]["role"] == "assistant"  # type: ignore[index]
    assert told[-1]["choices"] == [] and told[-1]["usage"]
    assert {chunk["object"] for chunk in told} == {"chat.completion.chunk"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_limit_is_not_noticed(theatre: Theatre, stream: bool) -> None:
    theatre.cast(work=LIMITED, home=ANSWER)
    answered = chat(theatre, stream=stream)
    assert answered.status_code == 200
    assert theatre.asked == ["work", "home"]
    assert "Yes, it is." in (text_of(answered) if stream else answered.text)


def test_nobody_can_serve_in_openai_s_shape(theatre: Theatre) -> None:
    theatre.cast(work=LIMITED)
    answered = chat(theatre, stream=True)
    assert answered.status_code == 429
    assert answered.json()["error"]["type"] == "usage_limit_reached"


def test_an_answer_that_breaks_off_ends_in_an_error_of_the_dialect(theatre: Theatre) -> None:
    theatre.cast(work={"do": "cut", "when": "mid_text", "events": 1})
    answered = chat(theatre, stream=True)
    last = answered.text.rstrip().split("\n\n")[-1].removeprefix("data: ")
    assert "broke off" in json.loads(last)["error"]["message"]
    assert "response.failed" not in answered.text


def test_what_cannot_be_served_is_refused_and_nobody_is_asked(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER)
    refused = chat(theatre, n=2)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "n")
    assert theatre.asked == []


def test_the_reasoning_before_a_tool_call_comes_back_with_its_output(theatre: Theatre) -> None:
    theatre.cast(work={"do": "answer"})
    question = {"role": "user", "content": '@call get_weather {"city": "Paris"}'}
    called = chat(theatre, [question], tools=TOOLS)
    message = called.json()["choices"][0]["message"]
    assert called.json()["choices"][0]["finish_reason"] == "tool_calls", called.text
    call = message["tool_calls"][0]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("get_weather", {"city": "Paris"})
    output = {"role": "tool", "tool_call_id": call["id"], "content": "sunny in Paris"}
    again = chat(theatre, [question, message, output], tools=TOOLS)
    assert again.status_code == 200, again.text
    body = theatre.calls[-1].body
    assert isinstance(body, dict)
    kinds = [item.get("type", "message") for item in body["input"]]
    assert kinds == ["message", "reasoning", "function_call", "function_call_output"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_the_backend_refuses_before_any_output_is_refused_with_its_status(theatre: Theatre, stream: bool) -> None:
    theatre.cast(work={"do": "early_failed", "code": "context_length_exceeded"})
    answered = chat(theatre, stream=stream)
    error = answered.json()["error"]
    assert (answered.status_code, error["code"]) == (400, "context_length_exceeded")
    assert error.keys() >= {"type", "param", "message"}
