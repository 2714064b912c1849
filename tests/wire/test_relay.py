"""What of a streamed answer goes to the host, when, and how it ends."""

import json

import pytest
import zstandard

from understudy.wire.answer import Stage
from understudy.wire.errors import CODEX_ERRORS, PLATFORM_ERRORS, ErrorMap
from understudy.wire.relay import HOLD_LIMIT, Relay, RelayOptions, content_coding, is_event_stream
from understudy.wire.sse import Event

NOW = 1_000_000.0


def event(kind: str, **more: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


CREATED = event("response.created", sequence_number=0, response={"id": "resp_1", "output": []})
STARTED = event("response.in_progress", sequence_number=1, response={"id": "resp_1", "output": []})
DELTA = event("response.output_text.delta", sequence_number=2, delta="Break a leg")
DONE = event("response.output_item.done", sequence_number=3, output_index=0, item={"type": "message", "id": "msg_1"})
COMPLETED = event(
    "response.completed", sequence_number=4, response={"id": "resp_1", "status": "completed", "output": []}
)
FAILED = event("response.failed", sequence_number=2, response={"id": "resp_1", "error": {"code": "server_error"}})
TOO_LONG = event(
    "response.failed",
    sequence_number=2,
    response={"id": "resp_1", "error": {"code": "context_length_exceeded", "message": "too long"}},
)
QUOTA = event(
    "codex.rate_limits",
    plan_type="plus",
    rate_limits={"primary": {"used_percent": 42, "window_minutes": 300, "reset_at": NOW + 60}},
)


def relay(*, stream: bool = True, vendor_events: bool = False, record: int = 0, coding: str | None = None) -> Relay:
    return Relay(RelayOptions(stream, vendor_events, record), coding)


def test_lifecycle_events_are_held_until_output_shows() -> None:
    answer = relay()
    assert answer.feed(CREATED + STARTED, NOW) == b""
    assert not answer.committed
    assert answer.feed(DELTA, NOW) == CREATED + STARTED + DELTA
    assert answer.committed and answer.shown_output


def test_a_committed_stream_passes_byte_for_byte_however_it_is_cut() -> None:
    whole = CREATED + STARTED + DELTA * 3 + DONE + COMPLETED
    for size in (1, 7, 100, len(whole)):
        answer = relay()
        got = b"".join(answer.feed(whole[i : i + size], NOW) for i in range(0, len(whole), size))
        assert got + answer.finish(NOW) == whole
        assert answer.terminal is Stage.COMPLETED


def test_half_an_event_waits_for_its_other_half() -> None:
    answer = relay()
    assert answer.feed(CREATED + DELTA + DELTA[:20], NOW) == CREATED + DELTA
    assert answer.feed(DELTA[20:], NOW) == DELTA


def test_a_failure_before_any_output_is_kept_back_for_the_policy() -> None:
    answer = relay(record=10_000)
    assert answer.feed(CREATED + FAILED, NOW) == b""
    assert answer.failure is not None and answer.failure.type == "response.failed"
    assert answer.recorded == CREATED + FAILED


def test_a_failure_that_nobody_else_can_mend_goes_to_the_host_as_it_is() -> None:
    answer = relay()
    answer.feed(CREATED + TOO_LONG, NOW)
    assert answer.accept_failure() == CREATED + TOO_LONG
    assert answer.terminal is Stage.FAILED


def test_a_failure_after_output_is_the_end_of_the_answer() -> None:
    answer = relay()
    assert answer.feed(CREATED + DELTA + FAILED, NOW) == CREATED + DELTA + FAILED
    assert answer.failure is None
    assert answer.terminal is Stage.FAILED


@pytest.mark.parametrize("understood", [True, False])
def test_vendor_events_reach_only_hosts_that_understand_them(understood: bool) -> None:
    answer = relay(vendor_events=understood)
    got = answer.feed(QUOTA + CREATED + DELTA + QUOTA, NOW)
    assert got == (QUOTA + CREATED + DELTA + QUOTA if understood else CREATED + DELTA)
    assert [window.used_percent for snapshot in answer.snapshots for window in snapshot.windows] == [42.0, 42.0]


def test_a_broken_stream_ends_with_an_event_that_says_so() -> None:
    answer = relay()
    answer.feed(CREATED + DELTA + DELTA[:30], NOW)
    end = answer.cut("the connection broke")
    assert end.startswith(b"event: response.failed\ndata: ") and end.endswith(b"\n\n")
    told = json.loads(end.split(b"data: ")[1])
    assert told["sequence_number"] == 3
    assert told["response"]["id"] == "resp_1"
    assert told["response"]["error"]["message"] == "the connection broke"


def test_a_last_event_without_its_blank_line_is_given_one() -> None:
    answer = relay()
    answer.feed(CREATED + DELTA + COMPLETED[:-2], NOW)
    assert answer.finish(NOW) == COMPLETED[:-2] + b"\n\n"
    assert answer.terminal is Stage.COMPLETED


def test_a_host_that_asked_for_no_stream_gets_one_object_at_the_end() -> None:
    answer = relay(stream=False)
    assert answer.feed(CREATED + STARTED + DELTA + DONE + COMPLETED, NOW) == b""
    assert answer.committed
    reply = answer.collected(NOW)
    assert reply.status == 200
    assert json.loads(reply.body)["output"] == [{"type": "message", "id": "msg_1"}]


def test_a_host_that_asked_for_no_stream_gets_a_failure_as_an_error_answer() -> None:
    answer = relay(stream=False)
    answer.feed(CREATED + TOO_LONG, NOW)
    answer.accept_failure()
    reply = answer.collected(NOW)
    assert reply.status == 400
    assert json.loads(reply.body)["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize(("errors", "status"), [(CODEX_ERRORS, 400), (PLATFORM_ERRORS, 401)])
def test_a_failure_is_read_as_its_backend_means_it(errors: ErrorMap, status: int) -> None:
    answer = Relay(RelayOptions(errors=errors), None)
    answer.feed(event("error", code="invalid_api_key", message="m"), NOW)
    answer.accept_failure()
    assert answer.collected(NOW).status == status


def test_the_reset_of_a_failure_is_told_by_the_clock_at_which_it_is_collected() -> None:
    answer = relay(stream=False)
    answer.feed(CREATED + event("error", code="rate_limit_exceeded", message="m", resets_at=NOW + 3), NOW)
    answer.accept_failure()
    reply = answer.collected(NOW)
    assert (reply.status, dict(reply.headers)["retry-after"]) == (503, "3")


def test_a_hold_has_a_bound_in_bytes_beyond_what_the_answer_echoes() -> None:
    padded = event("response.in_progress", response={"id": "resp_1", "instructions": "x" * HOLD_LIMIT})
    short, echoed = relay(), Relay(RelayOptions(stream=True, request_size=HOLD_LIMIT), None)
    short.feed(padded, NOW)
    echoed.feed(padded, NOW)
    assert short.overdue and not echoed.overdue
    assert short.commit() == padded


def test_what_is_recorded_is_bounded() -> None:
    answer = relay(record=100)
    answer.feed(CREATED + DELTA * 10, NOW)
    assert answer.recorded == (CREATED + DELTA * 10)[:100]
    assert answer.size == len(CREATED + DELTA * 10)


def test_a_compressed_answer_is_decoded_as_it_streams() -> None:
    packer = zstandard.ZstdCompressor().compressobj()
    answer = relay(coding="zstd")
    first = packer.compress(CREATED + DELTA) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    assert answer.feed(first, NOW) == CREATED + DELTA
    assert answer.feed(packer.compress(COMPLETED) + packer.flush(), NOW) == COMPLETED


@pytest.mark.parametrize(
    ("status", "content_type", "expected"),
    [
        (200, "text/event-stream; charset=utf-8", True),
        (200, "Text/Event-Stream", True),
        (200, None, True),
        (200, "application/json", False),
        (200, "text/html", False),
        (429, "text/event-stream", False),
    ],
)
def test_only_a_200_of_events_is_held(status: int, content_type: str | None, expected: bool) -> None:
    headers = () if content_type is None else (("Content-Type", content_type),)
    assert is_event_stream(status, headers) is expected


def test_codings_are_read_in_the_order_they_were_applied() -> None:
    assert content_coding((("Content-Encoding", "gzip"), ("content-encoding", "br"))) == "gzip, br"
    assert content_coding(()) is None


# What is kept, and other dialects


def kept(*, stream: bool) -> Relay:
    return Relay(RelayOptions(stream=stream, keep=True), None)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_an_answer_that_is_to_be_kept_is_there_whole_beside_what_the_host_gets(stream: bool) -> None:
    answer = kept(stream=stream)
    whole = CREATED + DELTA + DONE + COMPLETED
    got = b"".join(answer.feed(event, NOW) for event in (CREATED, DELTA, DONE, COMPLETED))
    assert got == (whole if stream else b"")
    found = answer.kept()
    assert found is not None
    assert found.output == ('{"type": "message", "id": "msg_1"}',)
    assert json.loads(found.response)["output"] == [{"type": "message", "id": "msg_1"}]


def test_nothing_is_kept_of_an_answer_that_broke_off_or_that_nobody_wants_kept() -> None:
    answer = kept(stream=True)
    answer.feed(CREATED + DELTA + DONE, NOW)
    answer.cut("It broke off.")
    assert answer.kept() is None
    whole = relay()
    whole.feed(CREATED + DELTA + DONE + COMPLETED, NOW)
    assert whole.kept() is None


class Loud:
    """A voice that tells the type of each event in capitals."""

    def tell(self, event: Event) -> bytes:
        return f"{event.type.upper()}\n".encode()

    def error(self, message: str, code: str, type: str) -> bytes:
        return f"ERROR {code}: {message}\n".encode()

    def whole(self, response: bytes) -> bytes:
        return response.upper()


def test_a_host_of_another_dialect_hears_each_event_from_its_voice() -> None:
    answer = Relay(RelayOptions(stream=True, voice=Loud), None)
    assert answer.feed(CREATED, NOW) == b""
    told = answer.feed(DELTA + DELTA + COMPLETED, NOW)
    lines = ["CREATED", "OUTPUT_TEXT.DELTA", "OUTPUT_TEXT.DELTA", "COMPLETED"]
    assert told.decode().split() == [f"RESPONSE.{line}" for line in lines]


def test_a_host_of_another_dialect_hears_in_it_that_its_answer_broke_off() -> None:
    answer = Relay(RelayOptions(stream=True, voice=Loud), None)
    answer.feed(CREATED + DELTA, NOW)
    assert answer.cut("It broke off.") == b"ERROR server_error: It broke off.\n"


def test_a_host_of_another_dialect_gets_its_whole_answer_in_it() -> None:
    answer = Relay(RelayOptions(stream=False, voice=Loud), None)
    answer.feed(CREATED + DELTA + DONE + COMPLETED, NOW)
    assert b'"MSG_1"' in answer.collected(NOW).body


def test_the_quota_is_told_as_the_pool_has_it() -> None:
    answer = Relay(RelayOptions(stream=True, vendor_events=True, retell=lambda event: b"told\n"), None)
    other = event("codex.response.metadata")
    assert answer.feed(CREATED + QUOTA + other + DELTA, NOW) == CREATED + b"told\n" + other + DELTA
