"""What a program's own words make the model do: calls of the tools it offers, quotes of their outputs, documents."""

import json
from collections.abc import Iterator

import pytest

from sandbox.client import ask, events, scenario, text
from understudy.sandbox.server import Sandbox
from understudy.sandbox.steps import DEFAULT_TEXT

Json = dict[str, object]
FUNCTION: Json = {"type": "function", "name": "look_up", "parameters": {"type": "object"}}
CUSTOM: Json = {"type": "custom", "name": "exec"}
GROUP: Json = {"type": "namespace", "name": "functions", "tools": [CUSTOM, FUNCTION]}
TOOLS: Json = {"type": "additional_tools", "role": "developer", "tools": [GROUP]}
LITE = {"x-openai-internal-codex-responses-lite": "true"}


def said(words: str) -> Json:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": words}]}


def calls(answer: bytes) -> list[Json]:
    done = [event["item"] for event in events(answer) if event["type"] == "response.output_item.done"]
    return [item for item in done if isinstance(item, dict) and str(item["type"]).endswith("_call")]


def put(sandbox: Sandbox, *items: Json, **changes: object) -> bytes:
    return ask(sandbox, "work", more=None, input=list(items), tools=[FUNCTION, CUSTOM], **changes).content


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(scenario()) as sandbox:
        yield sandbox


def test_a_cue_calls_the_function(sandbox: Sandbox) -> None:
    answer = put(sandbox, said('Please @call look_up {"what": {"the": "cue"}} now'))
    (item,) = calls(answer)
    assert (item["type"], item["name"], item["arguments"]) == ("function_call", "look_up", '{"what": {"the": "cue"}}')
    deltas = [str(e["delta"]) for e in events(answer) if e["type"] == "response.function_call_arguments.delta"]
    assert "".join(deltas) == item["arguments"] and text(answer) == ""


def test_a_cue_may_be_quoted(sandbox: Sandbox) -> None:
    (item,) = calls(put(sandbox, said('"@call look_up {\\"what\\": 1}"')))
    assert item["arguments"] == '{"what": 1}'


def test_a_cue_calls_the_custom_tool_with_the_rest_of_its_line(sandbox: Sandbox) -> None:
    answer = put(sandbox, said("@custom exec text(1 + 1)\nThank you."))
    (item,) = calls(answer)
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "exec", "text(1 + 1)")
    kinds = [event["type"] for event in events(answer)]
    assert "response.custom_tool_call_input.delta" in kinds and "response.custom_tool_call_input.done" in kinds
    assert str(item["id"]).startswith("ctc_")


def test_a_tool_in_a_namespace_is_called_with_that(sandbox: Sandbox) -> None:
    content = ask(sandbox, more=LITE, input=[TOOLS, said("@custom exec 1")]).content
    (item,) = calls(content)
    assert (item["name"], item["namespace"]) == ("exec", "functions")


def test_two_cues_are_two_calls_in_parallel(sandbox: Sandbox) -> None:
    one, two = calls(put(sandbox, said('@call look_up {"n": 1} and @call look_up {"n": 2}')))
    assert [one["arguments"], two["arguments"]] == ['{"n": 1}', '{"n": 2}']
    assert one["id"] != two["id"] and one["call_id"] != two["call_id"]


def test_encrypted_reasoning_comes_before_the_calls(sandbox: Sandbox) -> None:
    answer = put(sandbox, said("@call look_up"), include=["reasoning.encrypted_content"])
    items = [event["item"] for event in events(answer) if event["type"] == "response.output_item.done"]
    first, second = (item for item in items if isinstance(item, dict))
    assert (first["type"], second["type"]) == ("reasoning", "function_call") and first["encrypted_content"]
    assert second["arguments"] == "{}"


def test_the_text_after_the_calls_quotes_their_outputs(sandbox: Sandbox) -> None:
    words = said('@call look_up {"n": 1} @custom exec 2')
    made = calls(put(sandbox, words))
    outputs: list[Json] = [
        {"type": "function_call_output", "call_id": made[0]["call_id"], "output": "sunny"},
        {
            "type": "custom_tool_call_output",
            "call_id": made[1]["call_id"],
            "output": [{"type": "input_text", "text": "dry"}],
        },
    ]
    answer = put(sandbox, words, *made, *outputs)
    assert text(answer) == "The tool said: sunny | dry" and not calls(answer)


def test_a_new_message_is_a_new_cue(sandbox: Sandbox) -> None:
    made = calls(put(sandbox, said("@call look_up")))
    output: Json = {"type": "function_call_output", "call_id": made[0]["call_id"], "output": "sunny"}
    earlier = (said("@call look_up"), *made, output)
    assert len(calls(put(sandbox, *earlier, said("Again: @call look_up")))) == 1
    assert text(put(sandbox, *earlier, said("Thank you."))) == DEFAULT_TEXT


def test_calls_that_were_compacted_are_not_made_again(sandbox: Sandbox) -> None:
    answer = put(sandbox, said("@call look_up"), sandbox.item("work", "compaction"))
    assert text(answer) == "The tool said: (compacted)"


@pytest.mark.parametrize("words", ["@call other {}", "@custom look_up x", "@call exec {}", "call look_up"])
def test_what_is_not_offered_is_not_called(sandbox: Sandbox, words: str) -> None:
    assert text(put(sandbox, said(words))) == DEFAULT_TEXT


def test_a_step_that_says_what_is_answered_has_the_last_word() -> None:
    with Sandbox(scenario({"do": "answer", "text": "no"})) as sandbox:
        answer = put(sandbox, said("@call look_up"))
    assert text(answer) == "no" and not calls(answer)


def test_a_step_can_call_a_custom_tool() -> None:
    tool = {"name": "exec", "kind": "custom", "namespace": "functions", "arguments": "1 + 1"}
    with Sandbox(scenario({"do": "answer", "tool": tool})) as sandbox:
        (item,) = calls(put(sandbox, said("hello")))
    assert item.items() >= {"type": "custom_tool_call", "namespace": "functions", "input": "1 + 1"}.items()


def test_a_schema_gets_a_document_that_fits(sandbox: Sandbox) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    wanted = {"format": {"type": "json_schema", "name": "place", "strict": True, "schema": schema}}
    assert json.loads(text(put(sandbox, said("Where?"), text=wanted))) == {"city": DEFAULT_TEXT}


def test_any_json_is_an_empty_object(sandbox: Sandbox) -> None:
    assert text(put(sandbox, said("Where?"), text={"format": {"type": "json_object"}})) == "{}"
