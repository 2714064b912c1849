"""A Responses answer told in the chunks of Chat Completions, and as one completion."""

import json
import subprocess
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.hosts import PROGRAMS
from support.proxy import ROOT
from understudy.wire.chat.options import ChatOptions
from understudy.wire.chat.voice import ChatVoice
from understudy.wire.sse import Decoder, Event
from understudy.wire.voice import Voice

Json = dict[str, Any]
PLAIN = ChatOptions("asked-for")
USAGE: Json = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 17,
}
COUNTED: Json = {
    "prompt_tokens": 10,
    "completion_tokens": 7,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 3,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}


def event(type: str, **data: object) -> Event:
    text = json.dumps({"type": type, **data}).encode()
    return Event(type, text, b"event: " + type.encode() + b"\ndata: " + text + b"\n\n")


def response(**more: object) -> Json:
    named = {"id": "resp_1", "object": "response", "created_at": 1700000000, "model": "gpt-5.5"}
    return {**named, "status": "completed", "output": [], "usage": USAGE, **more}


CREATED = event("response.created", response=response(status="in_progress", usage=None))


def completed(**more: object) -> Event:
    return event("response.completed", response=response(**more))


def incomplete(reason: str) -> Event:
    return event("response.incomplete", response=response(incomplete_details={"reason": reason}))


def said(*texts: str, id: str = "msg_1", annotations: Sequence[object] = ()) -> Json:
    parts = [{"type": "output_text", "text": text, "annotations": list(annotations)} for text in texts]
    return {"type": "message", "id": id, "role": "assistant", "content": parts}


def called(id: str, arguments: str = '{"a":1}', name: str = "f") -> Json:
    return {"type": "function_call", "id": f"fc_{id}", "call_id": id, "name": name, "arguments": arguments}


def custom(id: str, text: str) -> Json:
    return {"type": "custom_tool_call", "id": f"ctc_{id}", "call_id": id, "name": "c", "input": text}


def added(at: int, item: Json) -> Event:
    return event("response.output_item.added", output_index=at, item=item)


def done(at: int, item: Json) -> Event:
    return event("response.output_item.done", output_index=at, item=item)


def text(at: int, delta: str, part: int = 0) -> Event:
    return event("response.output_text.delta", output_index=at, content_index=part, delta=delta)


def arguments(at: int, delta: str) -> Event:
    return event("response.function_call_arguments.delta", output_index=at, delta=delta)


def tell(*events: Event, options: ChatOptions = PLAIN) -> bytes:
    voice: Voice = ChatVoice(options, "seed", 1_800_000_000.5)
    return b"".join(map(voice.tell, events))


def chunks(told: bytes) -> list[Json]:
    found = [event.data for event in Decoder().feed(told)]
    assert b"".join(b"data: " + data + b"\n\n" for data in found) == told
    return [json.loads(data) for data in found if data != b"[DONE]"]


def deltas(told: bytes) -> list[Json]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(told)]


def reason(told: bytes) -> object:
    assert told.endswith(b"data: [DONE]\n\n")
    return chunks(told)[-1]["choices"][0]["finish_reason"]


def content(told: bytes) -> str:
    return "".join(delta.get("content", "") for delta in deltas(told))


def whole(output: Sequence[Json], options: ChatOptions = PLAIN, **more: object) -> Json:
    made = ChatVoice(options, "seed", 1_800_000_000.5).whole(json.dumps(response(output=output, **more)).encode())
    value = json.loads(made)
    assert isinstance(value, dict)
    return value


def message(output: Sequence[Json], options: ChatOptions = PLAIN) -> Json:
    given = whole(output, options)["choices"][0]["message"]
    assert isinstance(given, dict)
    return given


def test_a_text_is_told_as_it_comes() -> None:
    told = tell(CREATED, added(0, said()), text(0, "Hel"), text(0, "lo"), done(0, said("Hello")), completed())
    assert deltas(told) == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "Hel"},
        {"content": "lo"},
        {},
    ]
    assert reason(told) == "stop"


def test_every_chunk_says_which_completion_it_is_of() -> None:
    for chunk in chunks(tell(CREATED, text(0, "Hi"), completed(id="resp_other"))):
        assert {name: chunk[name] for name in ("id", "object", "created", "model", "system_fingerprint")} == {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1700000000,
            "model": "gpt-5.5",
            "system_fingerprint": None,
        }
        assert "usage" not in chunk


def test_an_answer_without_a_name_is_told_by_what_the_voice_was_given() -> None:
    first = chunks(tell(text(0, "Hi")))[0]
    assert (first["id"], first["created"], first["model"]) == ("chatcmpl-seed", 1_800_000_000, "asked-for")


def test_the_tier_is_told_once_it_is_known() -> None:
    told = chunks(tell(CREATED, text(0, "Hi"), completed(service_tier="priority")))
    assert [chunk.get("service_tier") for chunk in told] == [None, None, "priority"]


def test_usage_comes_last_and_alone_where_it_is_asked_for() -> None:
    *others, last = chunks(tell(CREATED, text(0, "Hi"), completed(), options=ChatOptions("m", include_usage=True)))
    assert (last["choices"], last["usage"]) == ([], COUNTED)
    assert [chunk["usage"] for chunk in others] == [None] * 3


def test_usage_that_is_not_known_is_not_made_up() -> None:
    options = ChatOptions("m", include_usage=True)
    assert reason(tell(CREATED, completed(usage=None), options=options)) == "stop"
    assert whole([], usage=None)["usage"] is None


def test_usage_without_details_counts_none() -> None:
    used = whole([], usage={"input_tokens": 1, "input_tokens_details": None, "output_tokens": 2})["usage"]
    assert (used["total_tokens"], used["prompt_tokens_details"]["cached_tokens"]) == (3, 0)


def test_calls_in_parallel_are_told_apart_by_their_index() -> None:
    told = tell(
        CREATED,
        done(0, {"type": "reasoning", "summary": []}),
        added(1, called("a", "")),
        arguments(1, '{"a"'),
        added(2, called("b", "", "g")),
        arguments(2, "{}"),
        arguments(1, ":1}"),
        done(1, called("a")),
        done(2, called("b", "{}", "g")),
        completed(),
    )
    assert [delta["tool_calls"] for delta in deltas(told)[1:-1]] == [
        [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": '{"a"'}}],
        [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}],
        [{"index": 1, "function": {"arguments": "{}"}}],
        [{"index": 0, "function": {"arguments": ":1}"}}],
    ]
    assert reason(told) == "tool_calls"


def test_a_custom_tool_is_called_with_its_input() -> None:
    delta = event("response.custom_tool_call_input.delta", output_index=0, delta="te")
    told = tell(CREATED, added(0, custom("c1", "")), delta, done(0, custom("c1", "text")), completed())
    assert [given["tool_calls"][0] for given in deltas(told)[1:-1]] == [
        {"index": 0, "id": "c1", "type": "custom", "custom": {"name": "c", "input": ""}},
        {"index": 0, "custom": {"input": "te"}},
        {"index": 0, "custom": {"input": "xt"}},
    ]
    assert message([custom("c1", "text")])["tool_calls"] == [
        {"id": "c1", "type": "custom", "custom": {"name": "c", "input": "text"}}
    ]


def test_a_legacy_host_hears_of_one_call_in_its_own_words() -> None:
    options = ChatOptions("m", legacy_functions=True)
    told = tell(
        CREATED, added(0, called("a", "")), done(0, called("a")), done(1, called("b")), completed(), options=options
    )
    assert deltas(told)[1:-1] == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": '{"a":1}'}},
    ]
    assert reason(told) == "function_call"
    assert message([called("a"), called("b")], options)["function_call"] == {"name": "f", "arguments": '{"a":1}'}
    assert whole([called("a")], options)["choices"][0]["finish_reason"] == "function_call"


def test_a_refusal_is_told_beside_the_text() -> None:
    item = {"type": "message", "content": [{"type": "refusal", "refusal": "I must not."}]}
    delta = event("response.refusal.delta", output_index=0, content_index=0, delta="I must ")
    told = tell(CREATED, delta, done(0, item), completed())
    assert deltas(told)[1:-1] == [{"refusal": "I must "}, {"refusal": "not."}]
    assert (message([item])["refusal"], message([item])["content"]) == ("I must not.", None)


def test_two_messages_are_one_text_with_a_blank_line_between_them() -> None:
    first, second = said("I ", "look.", id="msg_1"), said("Here.", id="msg_2")
    assert content(tell(CREATED, done(0, first), done(1, second), completed())) == "I look.\n\nHere."
    assert message([first, second])["content"] == "I look.\n\nHere."


URL = {"type": "url_citation", "start_index": 0, "end_index": 5, "url": "https://e.test", "title": "t"}


def test_pages_that_a_text_is_taken_from_are_told_with_their_place_in_the_whole_text() -> None:
    output = [said("First."), said("Cited.", id="msg_2", annotations=[URL, {"type": "file_citation"}])]
    moved = {"start_index": 8, "end_index": 13, "url": "https://e.test", "title": "t"}
    cited = [{"type": "url_citation", "url_citation": moved}]
    told = tell(CREATED, *(done(at, item) for at, item in enumerate(output)), completed())
    assert {"annotations": cited} in deltas(told)
    assert message(output)["annotations"] == cited


@pytest.mark.parametrize(
    ("why", "becomes"), [("max_output_tokens", "length"), ("content_filter", "content_filter"), ("other", "length")]
)
def test_an_answer_that_is_not_complete_says_why(why: str, becomes: str) -> None:
    assert reason(tell(CREATED, text(0, "Hi"), added(1, called("a")), incomplete(why))) == becomes
    ended = whole([], status="incomplete", incomplete_details={"reason": why})
    assert ended["choices"][0]["finish_reason"] == becomes


def test_what_chat_has_no_room_for_is_not_told() -> None:
    silent = [
        event("response.reasoning_summary_text.delta", output_index=0, delta="thinking"),
        event("response.reasoning_text.delta", output_index=0, delta="thinking"),
        event("response.web_search_call.searching", output_index=0),
        event("codex.rate_limits"),
        event("keepalive"),
        Event("", b"", b": comment\n\n"),
        Event("response.output_text.delta", b"{", b"data: {\n\n"),
        Event("response.output_text.delta", b"7", b"data: 7\n\n"),
    ]
    assert tell(*silent) == b""
    assert b"thinking" not in json.dumps(message([{"type": "reasoning", "summary": ["thinking"]}])).encode()


FAILURES = {
    "an answer that failed": event(
        "response.failed", response={"error": {"code": "context_length_exceeded", "message": "Too long."}}
    ),
    "an error": event(
        "error", error={"type": "server_error", "code": "context_length_exceeded", "message": "Too long."}
    ),
    "a flat error": event("error", code="context_length_exceeded", message="Too long."),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_failure_ends_the_stream_with_an_error_and_without_done(failure: Event) -> None:
    told = tell(CREATED, text(0, "Hi"), failure, text(0, "more"), completed())
    assert chunks(told)[-1] == {
        "error": {
            "message": "Too long.",
            "type": "server_error",
            "param": None,
            "code": "context_length_exceeded",
        }
    }
    assert b"[DONE]" not in told


def test_a_stream_that_breaks_is_told_by_the_same_kind_of_event() -> None:
    told = ChatVoice(PLAIN, "seed", 0).error("It broke.", "server_error", "server_error")
    assert told.startswith(b"data: {") and told.endswith(b"}\n\n")
    assert chunks(told)[0]["error"]["message"] == "It broke."


def test_the_whole_answer_is_one_completion() -> None:
    assert whole([said("Hello")], service_tier="default") == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt-5.5",
        "system_fingerprint": None,
        "service_tier": "default",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": COUNTED,
    }


def test_a_call_without_a_word_has_null_for_a_text() -> None:
    assert message([called("a")]) == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "annotations": [],
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
    }


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"output":{}}'])
def test_what_is_no_response_cannot_be_told(answer: bytes) -> None:
    with pytest.raises(ValueError):
        ChatVoice(PLAIN, "seed", 0).whole(answer)


STOPPING = ChatOptions("m", stop=("\nObservation:", "END"))


def test_a_stop_sequence_ends_the_text_and_all_that_follows() -> None:
    output = [said("Thought.\nObservation: made up"), called("a")]
    told = tell(
        CREATED,
        text(0, "Thought.\nObs"),
        text(0, "ervation: made up"),
        done(1, called("a")),
        completed(),
        options=STOPPING,
    )
    assert (content(told), reason(told)) == ("Thought.", "stop")
    assert message(output, STOPPING)["content"] == "Thought."
    assert "tool_calls" not in message(output, STOPPING)
    assert whole(output, STOPPING)["choices"][0]["finish_reason"] == "stop"


def test_a_text_that_was_stopped_has_stopped_whatever_came_of_the_rest() -> None:
    told = tell(
        CREATED, done(0, called("a")), text(1, "One END two"), incomplete("max_output_tokens"), options=STOPPING
    )
    assert (content(told), reason(told)) == ("One ", "stop")


def test_pages_are_not_told_for_a_text_that_was_stopped() -> None:
    assert message([said("One END two", annotations=[URL])], STOPPING)["annotations"] == []


def test_what_only_began_like_a_stop_sequence_is_told_in_the_end() -> None:
    assert content(tell(CREATED, text(0, "Thought.\nObs"), completed(), options=STOPPING)) == "Thought.\nObs"


SCRAPS = st.lists(st.sampled_from(["END", "EN", "E", "D", "aab", "ab", "a", "b", "\n"]), max_size=8).map("".join)


@given(SCRAPS, st.lists(st.sampled_from(["END", "ab", "\n\n", "aab"]), max_size=3), st.data())
def test_however_a_text_is_cut_it_ends_at_the_first_stop_sequence(
    given: str, stop: list[str], data: st.DataObject
) -> None:
    options = ChatOptions("m", stop=tuple(stop))
    expected = min((given.split(sequence)[0] for sequence in stop), key=len, default=given)
    told = tell(CREATED, *(text(0, piece) for piece in cut(given, data)), completed(), options=options)
    assert content(told) == expected


def cut(given: str, data: st.DataObject) -> list[str]:
    at = sorted(data.draw(st.sets(st.integers(0, len(given)))) | {0, len(given)})
    return [given[a:b] for a, b in pairwise(at)]


ITEMS = st.lists(
    st.one_of(
        st.builds(lambda texts: said(*texts), st.lists(st.text(max_size=8), max_size=2)),
        st.builds(lambda n, given: called(f"call_{n}", given), st.integers(0, 99), st.text(max_size=8)),
        st.builds(lambda n, given: custom(f"call_{n}", given), st.integers(0, 99), st.text(max_size=8)),
        st.just({"type": "reasoning", "summary": []}),
    ),
    max_size=4,
)


LEFT_OUT = st.sampled_from(["nothing", "all", "added", "deltas"])


def events_of(at: int, item: Json, left_out: str, data: st.DataObject) -> list[Event]:
    """The events of one item, some of them left out, as backends do."""
    found = [added(at, item | {"content": [], "arguments": "", "input": ""})]
    kinds = {
        "function_call": ("function_call_arguments", "arguments"),
        "custom_tool_call": ("custom_tool_call_input", "input"),
    }
    for part, content in enumerate(item.get("content", ())):
        found += [text(at, piece, part) for piece in cut(content["text"], data)]
        found.append(event("response.output_text.done", output_index=at, content_index=part, text=content["text"]))
    if kind := kinds.get(item["type"]):
        whole_text = item[kind[1]]
        found += [event(f"response.{kind[0]}.delta", output_index=at, delta=piece) for piece in cut(whole_text, data)]
        found.append(event(f"response.{kind[0]}.done", output_index=at, **{kind[1]: whole_text}))
    kept = {
        "nothing": found,
        "all": [],
        "added": found[1:],
        "deltas": [event for event in found if not event.type.endswith(".delta")],
    }
    return kept[left_out]


@given(ITEMS, st.sampled_from(["done", "output", "both"]), st.data())
def test_a_stream_tells_what_the_whole_answer_tells_whatever_the_backend_leaves_out(
    output: list[Json], last: str, data: st.DataObject
) -> None:
    told = [CREATED]
    left_out = data.draw(LEFT_OUT)
    for at, item in enumerate(output):
        # Where no item says that it is done, one of which nothing was told comes after all others, not in its place.
        left_out = left_out if last == "output" else data.draw(LEFT_OUT)
        told += events_of(at, item, left_out, data) + ([done(at, item)] if last != "output" else [])
    told.append(completed(output=output if last != "done" else []))
    assert added_up(tell(*told)) == message(output)


def added_up(told: bytes) -> Json:
    """The message that a stream adds up to."""
    text: str | None = None
    calls: dict[int, Json] = {}
    for delta in deltas(told)[1:]:
        text = (text or "") + delta["content"] if "content" in delta else text
        for more in delta.get("tool_calls", ()):
            kind, argument = ("function", "arguments") if "function" in more else ("custom", "input")
            call = calls.setdefault(more["index"], {name: more[name] for name in more if name != "index"})
            if "id" not in more:
                call[kind][argument] += more[kind][argument]
    listed = {"tool_calls": [calls[at] for at in sorted(calls)]} if calls else {}
    nothing = None if calls else ""
    return {"role": "assistant", "content": text or nothing, "refusal": None, "annotations": [], **listed}


def test_items_without_a_place_are_told_apart_by_id_or_by_order() -> None:
    for named in ({}, {"item_id": "msg_1"}):
        one = event("response.output_text.delta", delta="One", **named)
        two = event("response.output_text.delta", delta="Two", **({"item_id": "msg_2"} if named else {}))
        ids = [{"id": "msg_1"}, {"id": "msg_2"}] if named else [{}, {}]
        ends = [
            event("response.output_item.done", item={"type": "message", **id, "content": said(given)["content"]})
            for id, given in zip(ids, ("One.", "Two."), strict=True)
        ]
        output = [json.loads(end.data)["item"] for end in ends]
        assert content(tell(CREATED, one, ends[0], two, ends[1], completed(output=output))) == "One.\n\nTwo."


def sdk(what: str, answer: bytes) -> Json:
    command = [str(PROGRAMS), str(ROOT / "tests" / "programs" / "chat.py"), what]
    run = subprocess.run(command, input=answer, capture_output=True, timeout=60, check=True)
    value = json.loads(run.stdout)
    assert isinstance(value, dict)
    return value


def test_openai_s_sdk_adds_the_chunks_up_to_the_same_completion() -> None:
    output = [said("I look."), called("a"), called("b", "{}", "g")]
    told = tell(
        CREATED,
        *(text(0, piece) for piece in "I look."),
        added(1, called("a", "")),
        *(arguments(1, piece) for piece in '{"a":1}'),
        done(2, called("b", "{}", "g")),
        completed(output=[]),
        options=ChatOptions("m", include_usage=True),
    )
    heard, given = sdk("chunks", told), whole(output)
    assert {"content.done", "tool_calls.function.arguments.done"} <= set(heard["kinds"])
    choice, expected = heard["completion"]["choices"][0], given["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("I look.", "tool_calls")
    calls = [{name: call[name] for name in ("id", "type")} for call in choice["message"]["tool_calls"]]
    assert calls == [{"id": "a", "type": "function"}, {"id": "b", "type": "function"}]
    assert [call["function"]["arguments"] for call in choice["message"]["tool_calls"]] == [
        call["function"]["arguments"] for call in expected["message"]["tool_calls"]
    ]
    assert heard["completion"]["usage"] == COUNTED


def test_openai_s_sdk_raises_the_error_that_ends_a_stream() -> None:
    told = tell(CREATED, text(0, "Hi"), FAILURES["an error"])
    assert sdk("chunks", told) == {"raised": "Too long.", "code": "context_length_exceeded", "type": "server_error"}


def test_openai_s_sdk_reads_the_whole_completion_as_it_is() -> None:
    given = whole([said("Hi"), called("a")])
    assert sdk("completion", json.dumps(given).encode()) == given
