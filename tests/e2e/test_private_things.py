"""What programs send beside their prompts: what is private stays here, and what is not ours is not touched."""

import httpx
import pytest

from support.hosts import HOST_KEY
from support.theatre import Theatre, TheatreFactory
from understudy.wire.identity import DUMMY_KEY

ORIGIN = "https://api.openai.com/v1"


@pytest.fixture(scope="module")
def theatre(theatres: TheatreFactory) -> Theatre:
    return theatres()


def post(theatre: Theatre, path: str, key: str) -> httpx.Response:
    return theatre.client().post(ORIGIN + path, json={"model": "m"}, headers={"authorization": f"Bearer {key}"})


def test_traces_of_agents_are_taken_and_thrown_away(theatre: Theatre) -> None:
    theatre.cast(work={"do": "answer"})
    answered = post(theatre, "/traces/ingest", HOST_KEY)
    assert (answered.status_code, answered.content) == (204, b"")
    assert theatre.sandbox.journal.entries() == ()


@pytest.mark.parametrize("path", ["/embeddings", "/audio/speech", "/files", "/moderations", "/images/generations"])
def test_what_only_an_api_key_can_do_is_refused_here_where_there_is_none(theatre: Theatre, path: str) -> None:
    refused = post(theatre, path, DUMMY_KEY)
    assert refused.status_code == 401
    error = refused.json()["error"]
    assert error["code"] == "invalid_api_key" and "OPENAI_API_KEY" in error["message"] and path in error["message"]
