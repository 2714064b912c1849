"""Where an account's token may go: into the request as it was prepared, and to its own provider alone."""

from dataclasses import replace
from pathlib import Path

import pytest
from mitmproxy.connection import Server
from mitmproxy.test import tflow

from support.desk import Desk, able, paid
from understudy.proxy.turn import Attempt, SealRefused, Turn


async def prepared(home: Path, attempt_of: str = "home") -> tuple[Turn, Attempt]:
    """A request, and the attempt that was prepared for it."""
    house = Desk(home, (able("home"),) if attempt_of == "home" else (paid("key"),), "codex_overflow=on")
    turn = await house.ask()
    assert isinstance(turn.next, Attempt)
    return turn, turn.next


def connection_to(attempt: Attempt) -> Server:
    """One over TLS to the origin of the attempt's provider."""
    server = tflow.tserver_conn()
    server.address, server.sni = (attempt.provider.host, attempt.provider.port), attempt.provider.host
    server.timestamp_tls_setup = 1.0
    return server


@pytest.mark.parametrize("lane", ["home", "key"])
async def test_a_token_goes_to_its_own_provider(home: Path, lane: str) -> None:
    turn, attempt = await prepared(home, lane)
    sealed = attempt.seal(turn.flow.request, connection_to(attempt))
    assert sealed.headers["authorization"] == f"Bearer {attempt.token.reveal()}"
    assert sealed.host == {"home": "chatgpt.com", "key": "api.openai.com"}[lane]


@pytest.mark.parametrize(("lane", "other"), [("home", "key"), ("key", "home")])
async def test_a_token_does_not_go_to_another_provider(home: Path, tmp_path: Path, lane: str, other: str) -> None:
    turn, attempt = await prepared(home, lane)
    _, elsewhere = await prepared(tmp_path / "elsewhere", other)
    swapped = replace(elsewhere, choice=attempt.choice, token=attempt.token)
    turn.flow.request.host, turn.flow.request.path = (
        swapped.provider.host,
        swapped.provider.target(swapped.provider.rules),
    )
    with pytest.raises(SealRefused, match="another provider"):
        swapped.seal(turn.flow.request, connection_to(swapped))


async def test_the_length_is_that_of_the_body_which_is_sent(home: Path) -> None:
    turn, attempt = await prepared(home)
    assert turn.flow.request.headers["content-length"] == str(len(attempt.body))
    turn.flow.request.raw_content = b'{"changed": "by another addon"}'
    sealed = attempt.seal(turn.flow.request, connection_to(attempt))
    assert sealed.raw_content == b'{"changed": "by another addon"}'
    assert sealed.headers.get_all("content-length") == [str(len(sealed.raw_content))]
