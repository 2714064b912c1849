"""The parts that a chat completion and the chunks of one have in common, made from a Responses object."""

from collections.abc import Iterable, Mapping

from understudy.wire.chat.pieces import Argument, Called, Cited, Json, Piece, Pieces, Refusal, Said

_ARGUMENT = {"function": "arguments", "custom": "input"}
_INCOMPLETE = {"content_filter": "content_filter"}


def chunk_delta(piece: Piece, *, legacy: bool) -> dict[str, object]:
    """The `delta` that tells this piece; empty where there is no room for it. `legacy`: a call is `function_call`."""
    match piece:
        case Said(text):
            return {"content": text}
        case Refusal(text):
            return {"refusal": text}
        case Cited(annotations):
            return {"annotations": list(annotations)}
        case Called(index, kind, id, name):
            said = {"name": name, _ARGUMENT[kind]: ""}
            call = {"index": index, "id": id, "type": kind, kind: said}
        case Argument(index, kind, text):
            said = {_ARGUMENT[kind]: text}
            call = {"index": index, kind: said}
    if legacy:
        return {} if piece.index else {"function_call": said}
    return {"tool_calls": [call]}


def message(pieces: Iterable[Piece], *, legacy: bool) -> dict[str, object]:
    """The whole message. `legacy`: a call is `function_call`."""
    texts: dict[type, str] = {}
    calls: dict[int, Called] = {}
    arguments: dict[int, str] = {}
    annotations: list[Mapping[str, object]] = []
    for piece in pieces:
        match piece:
            case Said(text) | Refusal(text):
                texts[type(piece)] = texts.get(type(piece), "") + text
            case Called(index):
                calls[index] = piece
            case Argument(index, _, text):
                arguments[index] = arguments.get(index, "") + text
            case Cited(found):
                annotations += found
    made = [(call, {"name": call.name, _ARGUMENT[call.kind]: arguments.get(at, "")}) for at, call in calls.items()]
    nothing = None if made or Refusal in texts else ""
    whole = {"role": "assistant", "content": texts.get(Said, nothing), "refusal": texts.get(Refusal)}
    if made and legacy:
        return whole | {"annotations": annotations, "function_call": made[0][1]}
    listed = [{"id": call.id, "type": call.kind, call.kind: said} for call, said in made]
    return whole | {"annotations": annotations} | ({"tool_calls": listed} if listed else {})


def finish_reason(pieces: Pieces, response: Json, *, legacy: bool) -> str:
    """Why the answer ends."""
    if pieces.stopped:
        return "stop"
    if response.get("status") == "incomplete":
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        return _INCOMPLETE.get(str(reason), "length")
    if pieces.calls:
        return "function_call" if legacy else "tool_calls"
    return "stop"


def head(response: Json, model: str, seed: str, now: float) -> dict[str, object]:
    """The members that say which completion it is. `model`, `seed` and `now` (epoch seconds) count where the response
    does not say."""
    id, created, served = response.get("id"), response.get("created_at"), response.get("model")
    tail = id.removeprefix("resp_") if isinstance(id, str) and id else seed
    return {
        "id": f"chatcmpl-{tail}",
        "created": int(created if isinstance(created, int | float) else now),
        "model": served if isinstance(served, str) and served else model,
        "system_fingerprint": None,
    }


def usage(response: Json) -> dict[str, object] | None:
    """The tokens used; None where the response does not say."""
    given = response.get("usage")
    if not isinstance(given, dict):
        return None
    details = {"cached_tokens": 0, "audio_tokens": 0} | _numbers(given.get("input_tokens_details"))
    none = {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}
    counted = _numbers(given)
    prompt, completion = counted.get("input_tokens", 0), counted.get("output_tokens", 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": counted.get("total_tokens", prompt + completion),
        "prompt_tokens_details": details,
        "completion_tokens_details": none | _numbers(given.get("output_tokens_details")),
    }


def _numbers(given: object) -> dict[str, int]:
    return {name: n for name, n in given.items() if type(n) is int} if isinstance(given, dict) else {}
