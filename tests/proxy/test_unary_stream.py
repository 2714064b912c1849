"""An answer that comes in one piece, when it is ready: a compaction."""

import time
from dataclasses import replace

import pytest

from support.connection import BACKEND, REQUEST, Clock, HostConnection, attempt
from understudy.proxy.attempts import UNARY_TIMEOUT
from understudy.proxy.turn import Attempt, Turn
from understudy.wire.endpoints import Op
from understudy.wire.outcome import Kind
from understudy.wire.relay import RelayOptions
from understudy.wire.request import read_request

ASKED = read_request((), b'{"model": "m", "input": "hi"}')
ANSWER = b'{"output": []}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)


def unary() -> Attempt:
    return replace(attempt(), path=BACKEND.target(BACKEND.rules_for(Op.COMPACT)))


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> HostConnection:
    """Its request has been sent; a stall of 120 s is too long."""
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    connection = HostConnection(clock, unary(), options=RelayOptions(stream=False))

    def change(turn: Turn) -> None:
        turn.request = ASKED

    connection.change = change
    return connection.ask(REQUEST.replace(b"/codex/responses", b"/codex/responses/compact"))


def ended(host: HostConnection) -> Kind | None:
    outcome = host.turn.sent[-1].outcome
    return outcome.kind if outcome else None


def test_it_may_take_its_time(host: HostConnection) -> None:
    host.pass_time(UNARY_TIMEOUT - 1)
    host.backend(HEAD + ANSWER)
    assert host.hear().endswith(b'"output":[]}')


def test_but_not_for_ever(host: HostConnection) -> None:
    host.pass_time(UNARY_TIMEOUT + 1)
    assert ended(host) is Kind.TRANSPORT


def test_once_it_comes_it_may_come_slowly(host: HostConnection) -> None:
    host.backend(HEAD)
    for at in range(len(ANSWER)):
        host.pass_time(100)
        host.backend(ANSWER[at : at + 1])
    assert host.hear().endswith(b'"output":[]}')


def test_but_not_fall_silent(host: HostConnection) -> None:
    host.backend(HEAD + ANSWER[:3])
    host.pass_time(121)
    assert ended(host) is Kind.TRANSPORT


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"output": 1}', b'{"output": ['])
def test_what_is_no_answer_is_none(host: HostConnection, body: bytes) -> None:
    host.backend(HEAD.replace(b"14", b"%d" % len(body)) + body)
    assert ended(host) is Kind.TRANSPORT
