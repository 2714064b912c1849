"""Programs that are logged in with ChatGPT themselves, where the user wants the pool to carry out their calls."""

import json

import httpx
import pytest
import zstandard

from support.theatre import Theatre, TheatreFactory

BASE = "https://chatgpt.com/backend-api"
OWN = {"authorization": "Bearer own-login-of-the-program", "chatgpt-account-id": "own", "originator": "codex_exec"}
ASKED = {"model": "gpt-5.5", "instructions": "", "input": [], "stream": True, "store": False}


@pytest.fixture(scope="module")
def theatre(theatres: TheatreFactory) -> Theatre:
    return theatres(codex_capture_chatgpt="true")


def headers(**more: str) -> dict[str, str]:
    return OWN | more


def post(theatre: Theatre, path: str, content: bytes, **more: str) -> httpx.Response:
    fields = headers(**{"content-type": "application/json", **more})
    return theatre.client().post(BASE + path, content=content, headers=fields)


def test_its_calls_are_carried_out_by_the_pool_and_its_own_login_goes_nowhere(theatre: Theatre) -> None:
    theatre.cast(work={"do": "usage_limit", "resets_in": 3600}, home={"do": "answer"})
    body = zstandard.compress(json.dumps(ASKED).encode())
    answered = post(theatre, "/codex/responses", body, **{"content-encoding": "zstd"})
    assert answered.status_code == 200 and "response.completed" in answered.text
    assert theatre.asked == ["work", "home"]
    assert all("own-login" not in str(entry) for entry in theatre.sandbox.journal.entries())


def test_models_and_usage_are_the_pool_s_too(theatre: Theatre) -> None:
    theatre.cast(work={"do": "answer"})
    models = theatre.client().get(f"{BASE}/codex/models?client_version=0.144.0", headers=headers())
    assert models.status_code == 200 and models.json()["models"][0]["slug"], models.text
    usage = theatre.client().get(f"{BASE}/wham/usage", headers=headers())
    assert usage.status_code == 200, usage.text
    assert usage.json()["account_id"] == theatre.account("work").account_id


def test_a_path_that_might_be_taken_for_one_of_them_is_refused(theatre: Theatre) -> None:
    theatre.cast(work={"do": "answer"})
    assert post(theatre, "/x/..%2fcodex/responses", b"{}").status_code == 400
    assert theatre.asked == []
