"""What Codex asks the backend beside the model: its models, its account, its settings."""

import httpx
import pytest

from sandbox.client import ask, connect, headers, scenario
from understudy.sandbox.server import Sandbox


def get(sandbox: Sandbox, path: str) -> httpx.Response:
    with connect() as client:
        return client.get(f"{sandbox.origin}/backend-api/{path}", headers=headers(sandbox))


def test_the_account_is_told_where_its_backend_is() -> None:
    with Sandbox(scenario()) as sandbox:
        value = get(sandbox, "wham/accounts/check").json()
        (entry,) = value["accounts"]
        assert entry["workspace_backend_origin"] == sandbox.origin.replace("http:", "https:")
        assert entry["id"] == value["default_account_id"] == sandbox.account_id("work")
    assert entry["account_routing_override"] == "NO_CONSTRAINT"


def test_the_scenario_can_say_another_place() -> None:
    with Sandbox({**scenario(), "workspace_origin": "https://chatgpt.com"}) as sandbox:
        (entry,) = get(sandbox, "wham/accounts/check").json()["accounts"]
    assert entry["workspace_backend_origin"] == "https://chatgpt.com"


def test_the_users_settings_are_there() -> None:
    with Sandbox(scenario()) as sandbox:
        assert get(sandbox, "wham/settings/user").json() == {"commit_attribution_enabled": False}


@pytest.mark.parametrize("path", ["wham/accounts/check", "wham/settings/user"])
def test_nobody_else_is_told(path: str) -> None:
    with Sandbox(scenario()) as sandbox, connect() as client:
        assert client.get(f"{sandbox.origin}/backend-api/{path}").status_code == 401


@pytest.mark.parametrize("websocket", [True, False])
def test_models_say_how_they_are_asked(websocket: bool) -> None:
    given = {**scenario(), "models": ["gpt-6.1-sol", "gpt-5.5"], "websocket": websocket}
    with Sandbox(given) as sandbox:
        lite, classic = get(sandbox, "codex/models").json()["models"]
    assert (lite["use_responses_lite"], classic["use_responses_lite"]) == (True, False)
    assert lite["tool_mode"] == "code_mode_only" and classic["tool_mode"] is None
    assert lite["prefer_websockets"] is classic["prefer_websockets"] is websocket


@pytest.mark.parametrize("kinds", [["model.base_instructions"], ["host_skills.instructions"]], ids=["base", "others"])
def test_instructions_may_come_as_codex_marks_them(kinds: list[str]) -> None:
    marked = {"internal_chat_message_metadata_passthrough": {"content_item_kinds": kinds}}
    items = [{"role": "developer", "content": "Be brief.", **marked}, {"role": "user", "content": "hello"}]
    with Sandbox(scenario()) as sandbox:
        answer = ask(sandbox, input=items, instructions=None)
    assert answer.status_code == (200 if kinds == ["model.base_instructions"] else 400)
