"""The upstream's answer head and its errors, as the host is to see them."""

import json
import re
from functools import lru_cache
from math import ceil

from understudy.wire.answer import ErrorWords, read_error
from understudy.wire.coding import MIB
from understudy.wire.jsontext import loads
from understudy.wire.reply import Headers, Reply, header, openai_error
from understudy.wire.text import is_field_value, safe_text

_PASSED = frozenset(
    {
        "content-type",
        "openai-model",
        "openai-processing-ms",
        "openai-version",
        "retry-after",
        "retry-after-ms",
        "x-error-json",
        "x-models-etag",
        "x-oai-request-id",
        "x-openai-authorization-error",
        "x-reasoning-included",
        "x-request-id",
    }
)
# Quota comes in families, one for each limit id: x-codex-primary-used-percent, x-codex-bengalfox-limit-name, ...
_PASSED_FAMILY = re.compile(
    r"x-codex-[a-z0-9_-]{1,96}"
    r"|x-[a-z0-9_-]{1,64}-(?:primary|secondary|tertiary)-(?:used-percent|window-minutes|reset-at|reset-after-seconds)"
    r"|x-[a-z0-9_-]{1,64}-limit-name"
)
_LONGEST = 16 * 1024

_LONGEST_ERROR = MIB
_LONGEST_TEXT = 500
_HEAD = 4096
_MARKUP = re.compile(rb"\s*<|.*<(?:!doctype|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_CHALLENGE = re.compile(
    rb"just a moment|attention required! \| cloudflare|used cloudflare to restrict access|_cf_chl", re.IGNORECASE
)
_CHALLENGING = frozenset({403, 429, 503})
_CHALLENGED = "Cloudflare stopped the request before it reached the backend"
_BLOCKED = "The answer was empty, which is Cloudflare's way to stop a request before it reaches the backend"

_TYPES = {
    401: ("authentication_error", "invalid_api_key"),
    403: ("permission_error", "insufficient_permissions"),
    404: ("not_found_error", "not_found"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
}
"""OpenAI's error type and code by status, where the backend gives none."""


def host_headers(headers: Headers) -> Headers:
    """What of an upstream answer's head goes to the host, by an allow-list: content type, request ids, quota.

    Cookies, codings, lengths, Location and all that only concerns the connection or Cloudflare stay behind.
    """
    return tuple((name, value) for name, value in headers if _is_passed(name.lower()) and _is_sound(value))


def challenge(status: int, headers: Headers, body: bytes) -> tuple[str, Reply] | None:
    """Why an answer (`body` decoded) is none of the backend's, but Cloudflare's, which stopped the request; and what
    the host gets instead. None where it is no such thing.
    """
    head = body[:_HEAD]
    page = status in _CHALLENGING and _MARKUP.match(head) and _CHALLENGE.search(head)
    if page or (header(headers, "cf-mitigated") or "").strip().lower() == "challenge":
        return "cloudflare challenge", _stopped(_CHALLENGED, status)
    if status == 404 and not head.strip():
        return "blocked without a word", _stopped(_BLOCKED, status)
    return None


def retryable(reply: Reply, code: str, seconds: float) -> Reply:
    """An error that hosts do not come back after, in a form that they do come back after; `reply`: in OpenAI's shape.

    Codex gives up on any 429 that is no usage limit and on the codes of an overload, and tries again after a 5xx of
    any other (codex-rs, protocol/src/error.rs); OpenAI's SDKs try again after `retry-after` seconds.
    """
    passed = tuple((name, value) for name, value in _beside_the_body(reply.headers) if name.lower() != "retry-after")
    again = ("retry-after", str(ceil(seconds)))
    message = error_in(reply.body).message
    return openai_error(503, message, type="server_error", code=code, headers=(*passed, again))


def error_in(body: bytes) -> ErrorWords:
    """The error of a complete answer: an OpenAI error object, or FastAPI's `detail`."""
    value = _json(body)
    given = value.get("error") or value.get("detail") if isinstance(value, dict) else None
    if isinstance(given, str):
        return ErrorWords("", "", given)
    return read_error(given if isinstance(given, dict) else {})


def translate_error(status: int, headers: Headers, body: bytes, default: tuple[str, str | None] | None = None) -> Reply:
    """An upstream error in OpenAI's shape. `body`: decoded. `default`: type and code of an error that has none.

    An object that has the shape already goes on byte for byte. `{"detail": ...}` of any kind, an error object without
    a message, and what is no JSON at all (a gateway's page, nothing) become one with a message in words.
    """
    passed = _beside_the_body(host_headers(headers))
    value = _json(body)
    given = value.get("error") if isinstance(value, dict) else None
    if isinstance(given, dict) and isinstance(given.get("message"), str):
        return Reply(status, (("content-type", "application/json"), *passed), body)
    type, code = default or error_type(status)
    if isinstance(given, dict):
        said = read_error(given)
        message = _message_of_code(status, said.code or said.type)
        error = {"message": message, "type": type, "param": None, "code": code} | said.body | {"message": message}
        return Reply(status, (("content-type", "application/json"), *passed), json.dumps({"error": error}).encode())
    detail = _detail(value)
    if isinstance(detail, dict):
        code = safe_text(detail["code"]) if isinstance(detail.get("code"), str) else code
        detail = detail["message"] if isinstance(detail.get("message"), str) else _message_of_code(status, code)
    elif isinstance(detail, list):
        detail = "; ".join(map(_validation, detail[:10]))
    message = detail if isinstance(detail, str) and detail else _message(status, body)
    return openai_error(status, message, type=type, code=code, headers=passed)


def error_type(status: int) -> tuple[str, str | None]:
    """OpenAI's error type and code for an error of this status that has none of its own."""
    default = ("server_error", "server_error") if status >= 500 else ("invalid_request_error", None)
    return _TYPES.get(status, default)


def _stopped(what: str, status: int) -> Reply:
    message = (
        f"{what} ({status}). This concerns the network it came from, not the account; try again later or from another "
        "network."
    )
    return openai_error(502, message, type="server_error", code="upstream_challenge")


def _beside_the_body(headers: Headers) -> Headers:
    return tuple((name, value) for name, value in headers if name.lower() != "content-type")


@lru_cache(maxsize=1024)
def _is_passed(name: str) -> bool:
    return name in _PASSED or _PASSED_FAMILY.fullmatch(name) is not None


def _is_sound(value: str) -> bool:
    return len(value) <= _LONGEST and is_field_value(value)


def _json(body: bytes) -> object:
    if len(body) > _LONGEST_ERROR:
        return None
    try:
        return loads(body)
    except ValueError:
        return None


def _detail(value: object) -> object:
    """What a body that is no OpenAI error says: FastAPI's `detail`, or a bare `error` or `message`."""
    if not isinstance(value, dict):
        return None
    return next((value[name] for name in ("detail", "error", "message") if value.get(name)), None)


def _validation(entry: object) -> str:
    """One entry of FastAPI's list, `{"loc": ["body", "model"], "msg": "field required"}`, in words."""
    if not isinstance(entry, dict):
        return safe_text(entry, _LONGEST_TEXT) if isinstance(entry, str) else "invalid"
    place, what = entry.get("loc"), entry.get("msg")
    where = ".".join(str(step) for step in place if isinstance(step, str | int)) if isinstance(place, list) else ""
    what = what if isinstance(what, str) else "invalid"
    return safe_text(f"{where}: {what}" if where else what, _LONGEST_TEXT)


def _message_of_code(status: int, code: str | None) -> str:
    named = f" ({safe_text(code)})" if code else ""
    return f"The backend answered {status}{named} without saying more."


def _message(status: int, body: bytes) -> str:
    """Words for a body that is no JSON object: a page is never passed on, a short text is."""
    head = body[:_HEAD]
    text = "" if _MARKUP.match(head) else safe_text(head.decode(errors="replace").strip(), _LONGEST_TEXT)
    if text and not text.startswith(("{", "[")):
        return f"The backend answered {status}: {text}"
    return f"The backend answered {status} without saying why."
