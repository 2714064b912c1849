"""References to what is stored: what stands for them in a request, and what is refused."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.wire.coding import RequestRefused
from understudy.wire.stored import Latest, Recall, Stored, as_stored, reasoning_of_call, restore

USER = '{"role": "user", "content": "hi"}'
REASONING = '{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA"}'
MESSAGE = '{"type":"message","id":"msg_1","role":"assistant","content":[]}'
CALL = '{"type":"function_call","id":"fc_1","call_id":"call_1","name":"f","arguments":"{}"}'


@dataclass
class Known:
    """A memory with just this in it."""

    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    items: dict[str, str] = field(default_factory=dict)
    conversations: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def items_of(self, response_id: str) -> tuple[str, ...] | None:
        return self.chains.get(response_id)

    def item(self, item_id: str) -> str | None:
        return self.items.get(item_id)

    def conversation(self, conversation_id: str) -> tuple[str, ...] | None:
        return self.conversations.get(conversation_id)

    def reasoning_before(self, call_id: str) -> tuple[str, ...]:
        return (REASONING,) if call_id == "call_1" else ()


KNOWN = Known({"resp_1": (USER, MESSAGE)}, {"rs_1": REASONING, "msg_1": MESSAGE}, {"conv_1": (USER, MESSAGE)})


def body(**parameters: object) -> bytes:
    return json.dumps({"model": "gpt-5", **parameters}).encode()


def raw(items: Sequence[str], rest: str = "") -> bytes:
    return f'{{"model": "gpt-5", "input": [{", ".join(items)}]{rest}}}'.encode()


def refusal(content: bytes, recall: Recall | None = KNOWN) -> tuple[int, dict[str, object]]:
    with pytest.raises(RequestRefused) as refused:
        restore(content, recall)
    return refused.value.reply.status, json.loads(refused.value.reply.body)["error"]


def test_the_input_of_the_response_before_and_its_output_stand_in_front() -> None:
    restored = restore(raw([USER], ', "previous_response_id": "resp_1", "temperature": 1.0'), KNOWN)
    assert restored.body == f'{{"model":"gpt-5","input":[{USER},{MESSAGE},{USER}],"temperature":1.0}}'.encode()
    assert (restored.previous, restored.before, restored.given) == ("resp_1", (USER, MESSAGE), (USER,))


def test_a_conversation_s_items_stand_in_front() -> None:
    for named in ("conv_1", {"id": "conv_1"}):
        restored = restore(body(input="more", conversation=named), KNOWN)
        assert [json.loads(USER), json.loads(MESSAGE)] == json.loads(restored.body)["input"][:2]
        assert "conversation" not in json.loads(restored.body)
        assert (restored.previous, restored.conversation) == (None, "conv_1")


def test_a_plain_string_is_one_message_of_the_user() -> None:
    restored = restore(body(input="m\u00f6re", previous_response_id="resp_1"), KNOWN)
    message = '{"type":"message","role":"user","content":[{"type":"input_text","text":"m\\u00f6re"}]}'
    assert restored.given == (message,)
    assert restored.body.endswith(f"{MESSAGE},{message}]}}".encode())
    assert restore(body(input="m\u00f6re"), KNOWN).given == (message,)


@pytest.mark.parametrize(
    "reference",
    [
        '{"type": "item_reference", "id": "rs_1"}',
        '{"id": "rs_1"}',
        '{ "id" : "rs_1" }',
        '{"id": "rs_1", "type": null}',
        '{"type": null, "id": "rs_1"}',
        '{"id": "rs_1", "type": "item_reference"}',
    ],
)
def test_an_item_stands_in_the_place_of_its_reference(reference: str) -> None:
    restored = restore(raw([USER, reference, MESSAGE]), KNOWN)
    assert restored.body == f'{{"model":"gpt-5","input":[{USER},{REASONING},{MESSAGE}]}}'.encode()
    assert restored.given == (USER, REASONING, MESSAGE)


WHOLE = {
    "plain": raw([USER]),
    "reasoning with its ciphertext": raw([USER, REASONING, CALL], ', "store": false'),
    "the id comes last": raw(['{"type":"message","role":"user","content":"x","id":"msg_9"}']),
    "null for the response before": raw([USER], ', "previous_response_id": null, "conversation": null'),
    "the names in a text": body(input='"previous_response_id" "conversation" {"id":"rs_1"}'),
    "the names in metadata": body(input="hi", metadata={"conversation": "conv_9", "type": "item_reference"}),
    "no JSON": b'{"previous_response_id": ',
    "no object": b'["previous_response_id"]',
    "not UTF-8": b'{"conversation": "\xff"}',
}


@pytest.mark.parametrize("content", WHOLE.values(), ids=WHOLE.keys())
@pytest.mark.parametrize("recall", [KNOWN, None], ids=["kept", "off"])
def test_a_body_that_refers_to_nothing_is_passed_on_as_it_is(content: bytes, recall: Recall | None) -> None:
    assert restore(content, recall).body is content


def test_an_input_that_is_none_is_left_to_whoever_reads_it() -> None:
    restored = restore(body(input=7, previous_response_id="resp_1"), KNOWN)
    assert json.loads(restored.body) == {"model": "gpt-5", "input": 7}
    assert restored.given == ()
    assert restore(b"[", KNOWN).given == ()


@pytest.mark.parametrize(
    ("content", "status", "param", "code", "message"),
    [
        pytest.param(
            body(input="x", previous_response_id="resp_9"),
            400,
            "previous_response_id",
            "previous_response_not_found",
            "Previous response with id 'resp_9' not found.",
            id="response",
        ),
        pytest.param(
            body(input="x", conversation="conv_9"),
            404,
            None,
            None,
            "Conversation with id 'conv_9' not found.",
            id="conversation",
        ),
        pytest.param(
            raw(['{"type":"item_reference","id":"rs_9"}']),
            400,
            "input",
            None,
            "Item with id 'rs_9' not found.",
            id="item",
        ),
    ],
)
def test_what_is_not_there_is_refused_in_the_api_s_words(
    content: bytes, status: int, param: str | None, code: str | None, message: str
) -> None:
    error = {"type": "invalid_request_error", "param": param, "code": code}
    assert refusal(content) == (status, {"message": message, **error})
    status_off, off = refusal(content, None)
    assert status_off == status
    assert str(off.pop("message")).startswith(f"{message} Understudy keeps no answers: codex_history is off.")
    assert off == error


def test_a_response_and_a_conversation_exclude_each_other() -> None:
    status, error = refusal(body(input="x", previous_response_id="resp_1", conversation="conv_1"))
    assert (status, error["code"]) == (400, "mutually_exclusive_parameters")


@pytest.mark.parametrize("parameters", [{"previous_response_id": 7}, {"conversation": 7}, {"conversation": {"id": 7}}])
def test_what_is_no_id_is_refused(parameters: dict[str, object]) -> None:
    status, error = refusal(body(input="x", **parameters))
    assert (status, error["code"], error["param"]) == (400, "invalid_type", next(iter(parameters)))


@pytest.mark.parametrize(
    ("content", "store"),
    [
        (raw([USER]), True),
        (raw([USER], ', "store": null'), True),
        (raw([USER], ', "store": true'), True),
        (raw([USER], ', "store": false'), False),
        (raw([USER], ', "store" : false, "tools": [{"store": true}]'), False),
        (raw([USER], ', "store": false, "text": "\\"store\\": true"'), False),
        (raw([USER], ', "store": false, "text": "x\\"store"'), False),
        (raw([USER], ', "text": "store"'), True),
        (b'{"store": false, "input": [{"store": true}]}', False),
        (b'{"metadata": {"store": false}, "input": []}', True),
        (b'{"tools": [{"store": false}], "input": []}', True),
        (b'{"store": false', True),
    ],
)
def test_the_answer_is_stored_unless_the_request_says_no(content: bytes, store: bool) -> None:
    assert restore(content, None).store is store


def test_a_restored_request_still_says_whether_its_answer_is_stored() -> None:
    assert not restore(raw([USER], ', "previous_response_id": "resp_1", "store": false'), KNOWN).store


texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
).map(lambda value: json.dumps({"type": "message", "content": value}))
turns = st.lists(st.tuples(st.lists(texts, max_size=3), st.lists(texts, max_size=3)), min_size=2, max_size=6)


@given(turns, st.sampled_from([",", ", ", " ,\n"]))
def test_each_turn_s_input_begins_with_that_of_the_turn_before(
    turns: list[tuple[list[str], list[str]]], comma: str
) -> None:
    memory, before = Latest(), ""
    for number, (asked, answered) in enumerate(turns):
        rest = f', "previous_response_id": "resp_{number - 1}"' if number else ""
        restored = restore(f'{{"input": [{comma.join(asked)}]{rest}}}'.encode(), memory)
        sent = ",".join((*restored.before, *restored.given))
        if number:
            assert restored.body == f'{{"input":[{sent}]}}'.encode()
        assert sent.startswith(before)
        before = sent
        stored = Stored(f"resp_{number}", 0.0, restored.previous, None, restored.given, tuple(answered))
        memory.keep(stored, restored.before)


def test_a_connection_remembers_its_newest_answer_alone() -> None:
    memory = Latest()
    memory.keep(Stored("resp_a", 0.0, given=(USER,), output=(REASONING, CALL)))
    assert memory.items_of("resp_a") == (USER, REASONING, CALL)
    assert memory.item("rs_1") == REASONING
    assert memory.reasoning_before("call_1") == (REASONING,)
    memory.keep(Stored("resp_b", 0.0, output=(MESSAGE,)))
    assert memory.items_of("resp_a") is None
    assert memory.item("rs_1") is None
    assert memory.reasoning_before("call_1") == ()


def test_what_a_connection_does_not_remember_it_asks_the_memory_of_all() -> None:
    memory = Latest(lambda: KNOWN)
    memory.keep(Stored("resp_b", 0.0, output=(USER,)))
    assert memory.items_of("resp_1") == (USER, MESSAGE)
    assert memory.item("rs_1") == REASONING
    assert memory.conversation("conv_1") == (USER, MESSAGE)
    assert memory.reasoning_before("call_1") == (REASONING,)
    assert Latest().conversation("conv_1") is None


def call(name: str) -> str:
    return json.dumps({"type": "function_call", "call_id": name})


def reasoning(name: str) -> str:
    return json.dumps({"type": "reasoning", "id": name})


def test_reasoning_belongs_to_the_call_directly_behind_it() -> None:
    custom = json.dumps({"type": "custom_tool_call", "call_id": "c"})
    output = [reasoning("1"), MESSAGE, reasoning("2"), reasoning("3"), call("a"), call("b"), reasoning("4"), custom]
    assert reasoning_of_call(output, "a") == (reasoning("2"), reasoning("3"))
    assert reasoning_of_call(output, "b") == ()
    assert reasoning_of_call(output, "c") == (reasoning("4"),)
    assert reasoning_of_call(output, "d") == ()


def test_the_output_of_a_call_is_not_the_call() -> None:
    assert reasoning_of_call([REASONING, '{"type":"function_call_output","call_id":"call_1"}'], "call_1") == ()


def test_the_response_object_says_what_the_host_asked_for_and_else_what_the_backend_sent() -> None:
    upstream = '{"id":"resp_1","store":false,"previous_response_id":null,"output":[ 1.0 ]}'
    told = as_stored(upstream, previous="resp_0", conversation=None, store=True)
    assert '"output":[ 1.0 ]' in told
    assert json.loads(told) == {
        "id": "resp_1",
        "store": True,
        "previous_response_id": "resp_0",
        "output": [1.0],
        "background": False,
        "conversation": None,
    }
    in_conversation = json.loads(as_stored("{}", previous=None, conversation="conv_1", store=True, background=True))
    assert in_conversation["conversation"] == {"id": "conv_1"}
    assert in_conversation["background"] is True


def test_no_prompt_is_in_what_is_printed_of_these_values() -> None:
    restored = restore(body(input="s3cret", previous_response_id="resp_1"), Known({"resp_1": ("s3cret",)}))
    assert "s3cret" not in repr(restored)
    assert "s3cret" not in repr(Stored("resp_1", 0.0, given=("s3cret",), output=("s3cret",), response="s3cret"))
