"""Turns a step of the scenario into a performance: exactly which bytes leave when, and how it ends. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from understudy.sandbox import replies
from understudy.sandbox.coding import Encoder
from understudy.sandbox.compose import compaction, compose
from understudy.sandbox.items import add_message
from understudy.sandbox.meters import quota_headers
from understudy.sandbox.quota import Quota
from understudy.sandbox.refusals import whole_reply
from understudy.sandbox.steps import (
    Cut,
    EarlyFailure,
    HeaderChanges,
    PlatformStep,
    Reset,
    RetryAfter,
    SlowHeaders,
    Stall,
    Step,
    Stream,
    UsageLimit,
)
from understudy.sandbox.stream import Asked, Composer, Event, Form, encode_json

Pairs = tuple[tuple[str, str], ...]
NEWLINES = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}


class Ending(Enum):
    """How an answer ends: in good order, by a TCP reset, a TCP close, an HTTP/2 RST_STREAM."""

    FINISHED = "finished"
    RST = "rst"
    FIN = "fin"
    STREAM = "stream"
    BROKEN = "broken"
    """RST_STREAM on HTTP/2, TCP reset on HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Performance:
    """An answer as it will happen. No status: nothing is sent before the ending. Times in seconds."""

    status: int | None
    headers: Pairs = ()
    pieces: tuple[Event, ...] = ()
    wait: float = 0.0
    delay: float = 0.0
    pause_at: int | None = None
    """Before which piece there is a pause; the number of pieces: after the last."""
    pause: float = 0.0
    linger: float = 0.0
    """Between the last piece and the ending."""
    ending: Ending = Ending.FINISHED
    input_tokens: int | None = None
    """How many tokens the answer's end says that the request had; None where it says nothing of the kind."""
    cached_tokens: int | None = None
    """How many of them it says were cached."""

    @property
    def ends_with_its_last_piece(self) -> bool:
        """Whether nothing happens between the last piece and a good end."""
        return self.ending is Ending.FINISHED and not self.linger and self.pause_at != len(self.pieces)


@dataclass(frozen=True, slots=True)
class Scene:
    """What a performance depends on besides the step. `resets_at`: epoch seconds, of the limit in force."""

    asked: Asked
    quota: Quota
    now: float
    resets_at: int
    headers: Pairs
    """Header fields of every answer."""
    changes: HeaderChanges
    """The account's own changes to them."""


def stage(step: Step | PlatformStep, scene: Scene) -> Performance:
    """The performance of a step."""
    match step:
        case UsageLimit() if step.after_words:
            performance = _limit_midway(step, scene)
        case UsageLimit():
            performance = _usage_limit(step, scene)
        case EarlyFailure():
            performance = _early_failure(step, scene)
        case Stream():
            performance = _stream(step, scene)
        case RetryAfter():
            performance = complete(whole_reply(step, scene.asked.model), scene.headers)
        case _:
            performance = _complete(whole_reply(step, scene.asked.model), scene)
    changes = {**scene.changes, **step.headers}
    return replace(performance, wait=performance.wait + step.wait, headers=_changed(performance.headers, changes))


def complete(reply: replies.Reply, headers: Pairs = (), *, wait: float = 0.0) -> Performance:
    """A complete answer, with more header fields besides its own."""
    length = (("content-length", str(len(reply.body))),)
    return Performance(reply.status, (*reply.headers, *length, *headers), (Event("", reply.body),), wait=wait)


def _complete(reply: replies.Reply, scene: Scene) -> Performance:
    return complete(reply, (*scene.headers, *_meters(scene)))


def _meters(scene: Scene) -> Pairs:
    return tuple(quota_headers(scene.quota, scene.asked.model, scene.now))


def _usage_limit(step: UsageLimit, scene: Scene) -> Performance:
    error = {"type": step.type, "message": _MESSAGES["usage_limit_reached"], **_limit_facts(step, scene)}
    reply = replies.json_reply(step.status, {"error": error})
    if step.tell not in ("both", "headers"):
        return complete(reply, scene.headers)
    reached = (("x-codex-rate-limit-reached-type", "rate_limit_reached"),)
    return _complete(replace(reply, headers=(*reply.headers, *reached)), scene)


def _limit_midway(step: UsageLimit, scene: Scene) -> Performance:
    composer = Composer(scene.asked, scene.asked.model)
    composer.begin()
    _add_words(composer, step.after_words)
    error = {"code": step.type, "message": _MESSAGES["usage_limit_reached"], **_limit_facts(step, scene)}
    composer.add("response.failed", response=composer.response("failed", error=error))
    return _answering(scene, composer.events, scene.asked.model)


def _limit_facts(step: UsageLimit, scene: Scene) -> dict[str, object]:
    """What the backend says of a limit in force: the plan, and the reset if the step tells it in the body."""
    facts: dict[str, object] = {"plan_type": scene.quota.plan}
    if step.tell in ("both", "body"):
        left = max(0, scene.resets_at - math.ceil(scene.now))
        facts |= {"resets_at": scene.resets_at, "eligible_promo": None, "resets_in_seconds": left}
    return facts


def _add_words(composer: Composer, count: int) -> None:
    """The beginning of a message that never ends."""
    add_message(composer, [f" word{number}" for number in range(count)], close=False)


def _early_failure(step: EarlyFailure, scene: Scene) -> Performance:
    composer = Composer(scene.asked, scene.asked.model)
    if step.vendor:
        composer.add_vendor(scene.asked.rate_limits)
    if step.lifecycle:
        composer.begin()
    if step.words:
        _add_words(composer, step.words)
    error: dict[str, object] = {"code": step.code, "message": step.message or _MESSAGES.get(step.code, step.code)}
    if step.resets_in is not None:
        error |= {"resets_at": math.ceil(scene.now + step.resets_in), "resets_in_seconds": math.ceil(step.resets_in)}
    if step.do == "early_failed":
        composer.add("response.failed", response=composer.response("failed", error=error))
    elif step.nested:
        composer.add("error", error={"type": step.code, **error, "param": None})
    else:
        composer.add("error", **error, param=None)
    performance = _answering(scene, composer.events, scene.asked.model)
    return replace(performance, delay=step.delay, linger=step.hold_open)


_MESSAGES = {
    "rate_limit_exceeded": "Rate limit reached for requests. Please try again in 1.5s.",
    "usage_limit_reached": "The usage limit has been reached",
    "insufficient_quota": "You exceeded your current quota, please check your plan and billing details.",
    "server_is_overloaded": "Our servers are currently overloaded. Please try again later.",
    "server_error": "An error occurred while processing your request.",
    "context_length_exceeded": (
        "Your input exceeds the context window of this model. Please adjust your input and try again."
    ),
}


def _answering(scene: Scene, pieces: Sequence[Event], model: str) -> Performance:
    """A 200 of the kind that was asked for."""
    kind = "text/event-stream; charset=utf-8" if scene.asked.streams else "application/json"
    headers = (("content-type", kind), ("cache-control", "no-cache"))
    fields = (*headers, *scene.headers, ("openai-model", model), *_meters(scene))
    return Performance(200, fields, tuple(pieces))


def _stream(step: Stream, scene: Scene) -> Performance:
    asked = scene.asked
    step = _for_frames(step, asked) if asked.on_socket else step
    composer = compose(step, asked)
    pieces = _framed(step, composer.events) if asked.streams else (_whole(composer),)
    performance = replace(_answering(scene, pieces, composer.model), delay=step.delay)
    whole = not isinstance(step, Cut | Reset)
    if whole:
        performance = replace(performance, input_tokens=asked.input_tokens, cached_tokens=asked.cached_tokens)
    match step:
        case SlowHeaders():
            performance = replace(performance, wait=step.seconds)
        case Reset():
            performance = _reset(step, performance)
        case Cut():
            performance = replace(performance, pieces=_before(performance.pieces, step.when, step.events))
        case Stall() if step.when == "before_headers":
            performance = replace(performance, wait=step.seconds)
        case Stall():
            head, tail = _split(performance.pieces, step.when, step.events)
            performance = replace(performance, pieces=head + tail, pause_at=len(head), pause=step.seconds)
    return _chunked(step, _compressed(step, performance, finish=whole))


def _whole(composer: Composer) -> Event:
    """The answer as one body of JSON."""
    return encode_json(compaction(composer) if composer.asked.form is Form.COMPACTION else composer.final)


def _for_frames(step: Stream, asked: Asked) -> Stream:
    """The answer as it is on a WebSocket: no bytes to play with, and the quota as an event, for want of a header."""
    vendor = step.vendor or bool(asked.rate_limits)
    return replace(step, vendor=vendor, compress=None, newline="lf", final_newline=True, bom=False, chunk_bytes=0)


def _reset(step: Reset, performance: Performance) -> Performance:
    ending = Ending.BROKEN if step.how == "default" else Ending(step.how)
    if step.when == "before_headers":
        return Performance(None, linger=step.linger, ending=ending)
    pieces = _before(performance.pieces, step.when, step.events)
    return replace(performance, pieces=pieces, linger=step.linger, ending=ending)


def _before(pieces: tuple[Event, ...], when: str, events: int) -> tuple[Event, ...]:
    return _split(pieces, when, events)[0]


def _split(pieces: tuple[Event, ...], when: str, events: int) -> tuple[tuple[Event, ...], tuple[Event, ...]]:
    """The pieces before and after a fault; one that comes in the middle of a text delta is cut in two."""
    if when != "mid_text":
        index = 0 if when == "after_headers" else events
        return pieces[:index], pieces[index:]
    deltas = [index for index, piece in enumerate(pieces) if piece.type == "response.output_text.delta"]
    if events >= len(deltas):
        raise ValueError(f"mid_text after {events} text deltas, but the answer has only {len(deltas)}")
    index = deltas[events]
    cut = pieces[index]
    half = len(cut.data) // 2
    return (*pieces[:index], Event("", cut.data[:half])), (Event(cut.type, cut.data[half:]), *pieces[index + 1 :])


def _framed(step: Stream, events: Sequence[Event]) -> tuple[Event, ...]:
    """The events with the line ends, the byte order mark and the end that the step wants."""
    newline = NEWLINES[step.newline]
    framed = [replace(event, data=event.data.replace(b"\n", newline)) for event in events]
    if not step.final_newline:
        framed[-1] = replace(framed[-1], data=framed[-1].data.rstrip(b"\r\n"))
    if step.bom:
        framed[0] = replace(framed[0], data=b"\xef\xbb\xbf" + framed[0].data)
    return tuple(framed)


def _compressed(step: Stream, performance: Performance, *, finish: bool) -> Performance:
    if step.compress is None:
        return performance
    encoder = Encoder(step.compress)
    pieces = performance.pieces
    encoded = [Event(p.type, data) for p, data in zip(pieces, encoder.encode(p.data for p in pieces), strict=True)]
    if finish:
        encoded.append(Event("", encoder.finish()))
    headers = (*performance.headers, ("content-encoding", step.compress))
    return replace(performance, pieces=tuple(encoded), headers=headers)


def _chunked(step: Stream, performance: Performance) -> Performance:
    if not step.chunk_bytes:
        return performance
    at = len(performance.pieces) if performance.pause_at is None else performance.pause_at
    before = _sliced(performance.pieces[:at], step.chunk_bytes)
    after = _sliced(performance.pieces[at:], step.chunk_bytes)
    pause_at = None if performance.pause_at is None else len(before)
    return replace(performance, pieces=before + after, pause_at=pause_at)


def _sliced(pieces: Sequence[Event], size: int) -> tuple[Event, ...]:
    body = b"".join(piece.data for piece in pieces)
    return tuple(Event("", body[start : start + size]) for start in range(0, len(body), size))


def _changed(headers: Pairs, changes: HeaderChanges) -> Pairs:
    """The header fields with `changes` applied; names are compared without regard to case."""
    names = {name.lower() for name in changes}
    kept = [(name, value) for name, value in headers if name.lower() not in names]
    return (*kept, *((name, value) for name, value in changes.items() if value is not None))
