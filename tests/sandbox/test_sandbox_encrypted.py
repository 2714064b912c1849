"""Encrypted content: whose it is, who takes it, and in which words it is refused."""

import httpx
import pytest

from sandbox.client import ask, events, scenario
from understudy.sandbox.encrypted import PREFIXES, STAND_INS, decrypt, encrypt
from understudy.sandbox.server import Sandbox

USER = {"type": "message", "role": "user", "content": "go on"}
TRIGGER = {"type": "compaction_trigger"}
BOUND = [kind for kind in PREFIXES if kind != "reasoning"]


def two(**more: object) -> dict[str, object]:
    """Two accounts that answer with reasoning, and perhaps a rule."""
    spec = {"steps": [{"do": "answer", "reasoning": True}]}
    return {"accounts": {"work": spec, "home": spec}, **more}


def items_of(answer: httpx.Response) -> list[dict[str, object]]:
    """The items of an answer, as a host sends them back."""
    response = events(answer.content)[-1]["response"]
    assert isinstance(response, dict)
    return [{name: value for name, value in item.items() if name != "status"} for item in response["output"]]


def reasoned(sandbox: Sandbox, label: str) -> dict[str, object]:
    return items_of(ask(sandbox, label, include=["reasoning.encrypted_content"]))[0]


def words(answer: httpx.Response) -> str:
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return str(error["message"])


def test_a_ciphertext_is_sealed_against_the_change_of_any_character() -> None:
    ciphertext = encrypt("rs_0123456789abcdef")
    assert ciphertext.startswith("gAAAA") and decrypt(ciphertext) == "rs_0123456789abcdef"
    changed = [
        f"{ciphertext[:i]}{'x' if ciphertext[i] != 'x' else 'y'}{ciphertext[i + 1 :]}" for i in range(len(ciphertext))
    ]
    assert {decrypt(text) for text in [*changed, ciphertext[:-1], ciphertext + "x", "", "gAAAA"]} == {None}


@pytest.mark.parametrize("mode", ["portable", "bound", "bound_late"])
def test_reasoning_comes_back_to_the_account_that_made_it(mode: str) -> None:
    with Sandbox(two(encrypted=mode)) as sandbox:
        item = reasoned(sandbox, "work")
        answer = ask(sandbox, input=[USER, item, USER])
        assert sandbox.maker(str(item["id"])) == "work"
        assert sandbox.maker(sandbox.journal[-1].response_id) == "work"
    assert (answer.status_code, events(answer.content)[-1]["type"]) == (200, "response.completed")


def test_portable_reasoning_is_taken_by_any_account() -> None:
    with Sandbox(two()) as sandbox:
        answer = ask(sandbox, "home", input=[USER, reasoned(sandbox, "work"), USER])
    assert events(answer.content)[-1]["type"] == "response.completed"


def test_bound_reasoning_is_refused_by_the_name_of_the_first_such_item() -> None:
    with Sandbox(two(encrypted="bound")) as sandbox:
        own, first, second = (sandbox.item(label) for label in ("home", "work", "work"))
        answer = ask(sandbox, "home", input=[own, USER, first, second, USER])
        assert sandbox.journal[-1].step == "", "the refused request took no step"
    assert answer.json()["error"]["code"] == "invalid_encrypted_content"
    assert words(answer) == (
        f"The encrypted content for item {first['id']} could not be verified. "
        "Reason: Encrypted content organization_id did not match the target organization."
    )


def test_a_refusal_may_show_the_ciphertext_in_place_of_the_item() -> None:
    with Sandbox(two(encrypted="bound", encrypted_names_item=False)) as sandbox:
        item = sandbox.item("work")
        message = words(ask(sandbox, "home", input=[item, USER]))
    assert message.startswith(f"The encrypted content gAAA...{str(item['encrypted_content'])[-4:]} could not be")


def test_a_late_refusal_comes_after_the_answer_has_begun() -> None:
    with Sandbox(two(encrypted="bound_late")) as sandbox:
        item = sandbox.item("work")
        answer = ask(sandbox, "home", input=[item, USER])
    found = events(answer.content)
    assert [event["type"] for event in found] == ["response.created", "response.in_progress", "response.failed"]
    error = found[-1]["response"]["error"]  # type: ignore[index]
    assert error["code"] == "invalid_encrypted_content" and str(item["id"]) in error["message"]
    assert "x-codex-primary-used-percent" in answer.headers


@pytest.mark.parametrize("mode", ["portable", "bound", "bound_late"])
@pytest.mark.parametrize("kind", ["reasoning", "compaction"])
def test_a_changed_ciphertext_is_refused_at_once(mode: str, kind: str) -> None:
    with Sandbox(two(encrypted=mode)) as sandbox:
        item = sandbox.item("work", kind)
        ciphertext = str(item["encrypted_content"])
        changed = {
            **item,
            "encrypted_content": f"{ciphertext[:20]}{'A' if ciphertext[20] != 'A' else 'B'}{ciphertext[21:]}",
        }
        assert "Encrypted content could not be decrypted or parsed." in words(ask(sandbox, input=[changed, USER]))


def test_a_ciphertext_belongs_to_its_item() -> None:
    with Sandbox(two()) as sandbox:
        item, other = sandbox.item("work"), sandbox.item("work")
        swapped = {**item, "id": other["id"]}
        without = {name: value for name, value in item.items() if name != "id"}
        assert "item_id did not match the target item id" in words(ask(sandbox, input=[swapped, USER]))
        assert ask(sandbox, input=[without, USER]).status_code == 200


@pytest.mark.parametrize("mode", ["portable", "bound", "bound_late"])
@pytest.mark.parametrize("kind", BOUND)
def test_other_kinds_are_for_the_account_that_made_them_alone(kind: str, mode: str) -> None:
    with Sandbox(two(encrypted=mode)) as sandbox:
        item = sandbox.item("work", kind)
        assert ask(sandbox, "work", input=[item, USER]).status_code == 200
        refused = ask(sandbox, "home", input=[item, USER])
    assert refused.json()["error"]["code"] == "invalid_encrypted_content"
    agent = "Encrypted function output content could not be decrypted or decoded."
    assert words(refused) == agent if kind == "agent_message" else str(item["id"]) in words(refused)


@pytest.mark.parametrize("place", ["file_id", "image_url", "tool output"])
def test_a_file_is_for_the_account_that_has_it(place: str) -> None:
    with Sandbox(two()) as sandbox:
        id = sandbox.file_id("work")
        part: dict[str, object] = {"type": "input_file", "file_id": id}
        if place == "image_url":
            part = {"type": "input_image", "image_url": f"sediment://{id}"}
        items: list[object] = [{"type": "message", "role": "user", "content": [part]}]
        if place == "tool output":
            call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
            items = [call, {"type": "function_call_output", "call_id": "c", "output": [part]}]
        assert ask(sandbox, "work", input=items).status_code == 200
        assert id in words(ask(sandbox, "home", input=items))


def test_text_that_only_speaks_of_a_file_is_none() -> None:
    with Sandbox(scenario()) as sandbox:
        message = {"role": "user", "content": [{"type": "input_text", "text": "sediment://file_1"}]}
        assert ask(sandbox, input=[message]).status_code == 200


@pytest.mark.parametrize("ciphertext", STAND_INS)
def test_what_recordings_have_in_place_of_a_ciphertext_is_taken(ciphertext: str) -> None:
    with Sandbox(scenario()) as sandbox:
        item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": ciphertext}
        assert ask(sandbox, input=[item, USER]).status_code == 200


def test_a_trigger_is_answered_with_one_compaction_which_its_account_takes_back() -> None:
    with Sandbox(two()) as sandbox:
        answer = ask(sandbox, input=[USER, TRIGGER])
        (item,) = items_of(answer)
        assert (item["type"], str(item["id"])[:4]) == ("compaction", "cmp_")
        assert item.keys() == {"type", "id", "encrypted_content"}
        assert [event["type"] for event in events(answer.content)].count("response.output_item.done") == 1
        assert ask(sandbox, "work", input=[item, USER]).status_code == 200
        assert ask(sandbox, "home", input=[item, USER]).status_code == 400


def test_a_trigger_that_is_not_the_last_item_is_nothing() -> None:
    with Sandbox(two()) as sandbox:
        types = [item["type"] for item in items_of(ask(sandbox, input=[TRIGGER, USER]))]
    assert types == ["reasoning", "message"]
