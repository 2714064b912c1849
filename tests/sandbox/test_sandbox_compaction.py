"""Compaction, both ways: an item that ends a streamed request, and an endpoint of its own."""

import httpx
import pytest

from sandbox.client import BODY, ask, connect, events, headers, scenario
from understudy.sandbox.encrypted import decrypt
from understudy.sandbox.server import Sandbox

KEY = "sk-sandbox-canary-key"
USER = {"role": "user", "content": "hello"}
GIVEN = {name: value for name, value in BODY.items() if name not in ("store", "stream")}


def compact(sandbox: Sandbox, **changes: object) -> httpx.Response:
    with connect() as client:
        url = f"{sandbox.backend}/responses/compact"
        return client.post(url, headers=headers(sandbox), json={**GIVEN, **changes})


def test_a_trigger_at_the_end_is_answered_with_one_compaction() -> None:
    with Sandbox(scenario()) as sandbox:
        answer = ask(sandbox, input=[USER, {"type": "compaction_trigger"}]).content
    done = [event["item"] for event in events(answer) if event["type"] == "response.output_item.done"]
    (item,) = (item for item in done if isinstance(item, dict))
    assert item["type"] == "compaction" and decrypt(str(item["encrypted_content"])) == item["id"]


def test_the_endpoint_answers_with_one_compaction_as_json() -> None:
    with Sandbox(scenario({"do": "answer", "text": "not this"})) as sandbox:
        answer = compact(sandbox)
        (entry,) = [entry for entry in sandbox.journal if entry.path.endswith("/responses/compact")]
        (item,) = answer.json()["output"]
        assert sandbox.maker(item["id"]) == "work"
    assert answer.headers["content-type"] == "application/json" and "x-codex-plan-type" in answer.headers
    assert (item["type"], decrypt(item["encrypted_content"])) == ("compaction", item["id"])
    assert (entry.account, entry.step, entry.status) == ("work", "answer", 200)


def test_what_it_answers_is_for_its_account_alone() -> None:
    with Sandbox({"accounts": {"work": {}, "home": {}}}) as sandbox:
        (item,) = compact(sandbox).json()["output"]
        own, other = (ask(sandbox, label, input=[item, USER]) for label in ("work", "home"))
    assert (own.status_code, other.status_code) == (200, 400)


@pytest.mark.parametrize(
    "changes",
    [
        {"store": False},
        {"stream": True},
        {"include": []},
        {"tool_choice": "auto"},
        {"client_metadata": {}},
        {"temperature": 1},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_endpoint_takes_fewer_parameters(changes: dict[str, object]) -> None:
    with Sandbox(scenario({"do": "server_error"})) as sandbox:
        answer = compact(sandbox, **changes)
    name = next(iter(changes))
    assert (answer.status_code, answer.json()) == (400, {"detail": f"Unsupported parameter: {name}"})


def test_the_endpoint_refuses_what_the_other_does() -> None:
    with Sandbox(scenario()) as sandbox:
        refused = [compact(sandbox, model="gpt-4.1"), compact(sandbox, input="hello"), compact(sandbox, instructions=1)]
    assert [answer.status_code for answer in refused] == [400, 400, 400]


@pytest.mark.parametrize(
    ("step", "status"),
    [({"do": "usage_limit"}, 429), ({"do": "server_error"}, 500), ({"do": "unauthorized"}, 401)],
    ids=lambda value: str(value["do"]) if isinstance(value, dict) else "",
)
def test_the_endpoint_takes_steps_like_the_other(step: dict[str, object], status: int) -> None:
    with Sandbox(scenario(step)) as sandbox:
        assert compact(sandbox).status_code == status


def test_the_endpoint_can_break_off() -> None:
    with Sandbox(scenario({"do": "reset"})) as sandbox, pytest.raises(httpx.TransportError):
        compact(sandbox)


def test_the_platform_has_it_for_keys() -> None:
    with Sandbox({**scenario(), "api_keys": {"paid": {"key": KEY}}}) as sandbox, connect() as client:
        url, fields = f"{sandbox.origin}/v1/responses/compact", {"authorization": f"Bearer {KEY}"}
        value = client.post(url, headers=fields, json={"model": "gpt-4.1", "input": "hello"}).json()
    assert value["object"] == "response.compaction" and [item["type"] for item in value["output"]] == ["compaction"]
