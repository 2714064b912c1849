"""What hosts hear that ask for kept answers and conversations: the API's shapes and words."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from understudy.proxy.shelf import OPS, answer
from understudy.state.answers.store import Answers, Mode
from understudy.wire.endpoints import Op, find
from understudy.wire.stored import Stored, as_stored

HI = {"role": "user", "content": "hi"}
RESPONSE = '{"id":"resp_1","object":"response","store":false,"output":[ 1.0 ]}'


class Asking:
    """Asks as a host does: by method, path and body."""

    def __init__(self, answers: Answers | None) -> None:
        self._answers = answers

    def text(self, method: str, target: str, body: object = None) -> tuple[int, str]:
        endpoint = find(method, f"/v1{target}", websocket=False, codex=False)
        assert endpoint is not None
        raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        reply = answer(endpoint, raw, self._answers)
        assert reply.headers == (("content-type", "application/json"),)
        return reply.status, reply.body.decode()

    def __call__(self, method: str, target: str, body: object = None) -> Any:
        """The object of a 200."""
        status, text = self.text(method, target, body)
        assert status == 200, text
        return json.loads(text)

    def error(self, method: str, target: str, body: object = None) -> tuple[int, str, str | None]:
        """Status, message and param."""
        status, text = self.text(method, target, body)
        error = json.loads(text)["error"]
        assert error["type"] == "invalid_request_error"
        return status, error["message"], error["param"]


@pytest.fixture
def answers(home: Path) -> Iterator[Answers]:
    answers = Answers(home, Mode.MEMORY)
    yield answers
    answers.close()


@pytest.fixture
def ask(answers: Answers) -> Asking:
    return Asking(answers)


def stored(name: str, previous: str | None = None, *, listed: bool = True, background: bool = False) -> Stored:
    response = json.dumps({"id": f"resp_{name}", "object": "response"})
    return Stored(
        id=f"resp_{name}",
        created_at=1000.0,
        previous=previous and f"resp_{previous}",
        given=(json.dumps({"role": "user", "content": f"{name}?"}),),
        output=(json.dumps({"type": "message", "id": f"msg_{name}", "role": "assistant", "content": []}),),
        response=as_stored(response, previous=previous, conversation=None, store=True, background=background),
        listed=listed,
    )


def test_a_response_is_given_byte_for_byte_as_it_was_kept(answers: Answers, ask: Asking) -> None:
    answers.put(Stored("resp_1", 0.0, response=RESPONSE))
    assert ask.text("GET", "/responses/resp_1?include=reasoning.encrypted_content") == (200, RESPONSE)


def test_a_response_that_was_not_to_be_stored_is_not_there(answers: Answers, ask: Asking) -> None:
    answers.put(stored("1", listed=False))
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")):
        status, message, _ = ask.error(method, f"/responses/resp_1{path}")
        assert (status, message) == (404, "Response with id 'resp_1' not found.")


def test_a_deleted_response_is_not_found_any_more(answers: Answers, ask: Asking) -> None:
    answers.put(stored("1"))
    assert ask("DELETE", "/responses/resp_1") == {"id": "resp_1", "object": "response", "deleted": True}
    assert ask.error("GET", "/responses/resp_1") == (404, "Response with id 'resp_1' not found.", None)


def test_only_what_runs_in_the_background_can_be_cancelled(answers: Answers, ask: Asking) -> None:
    answers.put(stored("1"))
    answers.put(stored("2", background=True))
    assert ask.error("POST", "/responses/resp_1/cancel") == (400, "Cannot cancel a synchronous response.", None)
    assert ask("POST", "/responses/resp_2/cancel")["id"] == "resp_2"


def test_input_items_are_those_of_the_whole_chain_without_the_answer_itself(answers: Answers, ask: Asking) -> None:
    answers.put(stored("1"))
    answers.put(stored("2", "1"))
    told = ask("GET", "/responses/resp_2/input_items?order=asc")
    assert [item["role"] for item in told["data"]] == ["user", "assistant", "user"]
    assert told["data"][0]["content"] == [{"type": "input_text", "text": "1?"}]
    assert (told["object"], told["has_more"]) == ("list", False)
    assert ask("GET", "/responses/resp_2/input_items?limit=1")["data"] == told["data"][2:]
    after = ask("GET", f"/responses/resp_2/input_items?order=asc&after={told['first_id']}")
    assert after["data"] == told["data"][1:]
    assert ask.error("GET", "/responses/resp_2/input_items?limit=0")[0] == 400


def test_input_items_of_a_chain_that_lacks_a_link_are_not_found(answers: Answers, ask: Asking) -> None:
    answers.put(stored("2", "1"))
    status, message, _ = ask.error("GET", "/responses/resp_2/input_items")
    assert (status, message) == (404, "Previous response with id 'resp_1' not found.")


def test_a_conversation_is_made_told_changed_and_deleted(ask: Asking) -> None:
    made = ask("POST", "/conversations", {"metadata": {"topic": "x"}, "items": [HI]})
    assert made["id"].startswith("conv_") and made["metadata"] == {"topic": "x"}
    assert (made["object"], isinstance(made["created_at"], int)) == ("conversation", True)
    path = f"/conversations/{made['id']}"
    assert ask("GET", path) == made
    assert ask("POST", path, {"metadata": {"topic": "y"}}) == {**made, "metadata": {"topic": "y"}}
    assert ask("POST", path, {"metadata": None}) == {**made, "metadata": {}}
    assert ask("DELETE", path) == {"id": made["id"], "object": "conversation.deleted", "deleted": True}
    for method, rest in (("GET", ""), ("DELETE", ""), ("GET", "/items"), ("GET", "/items/msg_1")):
        assert ask.error(method, path + rest) == (404, f"Conversation with id '{made['id']}' not found.", None)
    for rest, body in (("", {"metadata": {}}), ("/items", {"items": []})):
        assert ask.error("POST", path + rest, body)[0] == 404


@pytest.mark.parametrize("body", [None, {}, {"items": None, "metadata": None}])
def test_a_conversation_may_begin_with_nothing(ask: Asking, body: object) -> None:
    made = ask("POST", "/conversations", body)
    assert made["metadata"] == {}
    empty: dict[str, object] = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    assert ask("GET", f"/conversations/{made['id']}/items") == empty


def test_items_are_added_listed_told_and_taken_out(ask: Asking) -> None:
    made = ask("POST", "/conversations", {"items": [HI]})
    path = f"/conversations/{made['id']}/items"
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": []}
    added = ask("POST", path, {"items": [{"role": "assistant", "content": "hello"}, reasoning]})
    assert [item["type"] for item in added["data"]] == ["message", "reasoning"]
    assert (added["first_id"], added["last_id"]) == (added["data"][0]["id"], "rs_1")
    listed = ask("GET", f"{path}?order=asc")
    assert listed["data"][1:] == added["data"]
    assert ask("GET", f"{path}/{added['first_id']}") == added["data"][0]
    assert ask("DELETE", f"{path}/rs_1") == made
    assert ask("GET", path)["data"] == [added["data"][0], listed["data"][0]]
    assert ask.error("GET", f"{path}/rs_1") == (404, "Item with id 'rs_1' not found in conversation.", None)


def test_an_item_that_is_only_referred_to_is_put_there_itself(answers: Answers, ask: Asking) -> None:
    answers.put(stored("1"))
    made = ask("POST", "/conversations", {"items": [{"type": "item_reference", "id": "msg_1"}]})
    (item,) = ask("GET", f"/conversations/{made['id']}/items")["data"]
    assert (item["id"], item["role"]) == ("msg_1", "assistant")
    reference = {"items": [{"type": "item_reference", "id": "msg_9"}]}
    assert ask.error("POST", "/conversations", reference) == (400, "Item with id 'msg_9' not found.", "input")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"[", None),
        ({"items": "hi"}, "items"),
        ({"items": ["hi"]}, "items"),
        ({"items": [HI] * 21}, "items"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"n": 1}}, "metadata"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"metadata": {"n" * 65: ""}}, "metadata"),
        ({"metadata": {"n": "x" * 513}}, "metadata"),
    ],
)
def test_a_conversation_that_cannot_be_is_refused(ask: Asking, body: object, param: str | None) -> None:
    status, _, named = ask.error("POST", "/conversations", body)
    assert (status, named) == (400, param)


def test_what_a_change_needs_is_asked_for(ask: Asking) -> None:
    path = f"/conversations/{ask('POST', '/conversations')['id']}"
    assert ask.error("POST", path, {}) == (400, "Missing required parameter: 'metadata'.", "metadata")
    assert ask.error("POST", f"{path}/items", {}) == (400, "Missing required parameter: 'items'.", "items")


@pytest.mark.parametrize(
    ("method", "target", "begin"),
    [
        ("GET", "/responses/resp_1", "Response with id 'resp_1' not found. "),
        ("GET", "/conversations/conv_1/items/msg_1", "Conversation with id 'conv_1' not found. "),
        ("POST", "/conversations", ""),
    ],
)
def test_where_nothing_is_kept_that_is_why_nothing_is_found(method: str, target: str, begin: str) -> None:
    status, message, _ = Asking(None).error(method, target)
    assert status == 404
    assert message.startswith(f"{begin}Understudy keeps no answers: codex_history is off.")


def test_every_operation_on_what_is_stored_has_its_answer() -> None:
    elsewhere = {Op.CREATE, Op.CONNECT, Op.COMPACT, Op.INPUT_TOKENS}
    families = ("responses.", "conversations.")
    assert {op for op in Op if op.value.startswith(families)} - elsewhere == OPS.keys()
