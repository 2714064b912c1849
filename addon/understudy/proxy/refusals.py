"""What a host is told when its request is not carried out: one function a case, in OpenAI's shape."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from math import ceil

from understudy.pool.choose import Exhausted
from understudy.wire.reply import Reply, header, openai_error
from understudy.wire.text import safe_text

TYPE = "understudy_error"
NO_ACCOUNT = "understudy_no_account"
ADD_ACCOUNT = "understudy login"
"""The command that gives an empty pool its first account."""
LONGEST_PAUSE = 60
"""Seconds that a person may be left without a word."""
DETAILS = "Details: understudy status"
PINNED = "Only the pinned account may serve; free it with: understudy accounts unpin"
BY_OPTION = "Only the account that the option codex_account names may serve."


def no_account(exhausted: Exhausted, now: float, only: str = "") -> Reply:
    """No account can serve: a 429 that stops the host where limits are the reason, else a 503 that it may retry.

    `resets_at` (epoch seconds), `resets_in_seconds` and Retry-After are the soonest reset that the backend named
    itself; where it named none, they are left out. `now`: epoch seconds. `only`: why no other account was asked, and
    what to do about that; a sentence or nothing.
    """
    if not exhausted.obstacles:
        message = f"Understudy has no ChatGPT account to carry out this request. Add one: {ADD_ACCOUNT}"
        return openai_error(503, message, type=NO_ACCOUNT, code=NO_ACCOUNT)
    reasons = exhausted.words(now, told=True)
    if not exhausted.by_limits:
        message = f"No ChatGPT account can carry out this request now ({reasons})."
        return openai_error(503, f"{message} {only or DETAILS}", type=NO_ACCOUNT, code=NO_ACCOUNT)
    message = f"The usage limit of every ChatGPT account that may serve has been reached ({reasons})."
    return _usage_limit(f"{message} {only}".rstrip(), exhausted, now)


def code_of(reply: Reply) -> str:
    """What a refusal is called, for the log: its error's code or type, which holds nothing of the request."""
    try:
        error = json.loads(reply.body)["error"]
        return str(error["code"] or error["type"])
    except (ValueError, TypeError, KeyError):
        return "refused"


def unentitled(model: str, models: Mapping[str, Sequence[str]], said: Reply | None) -> Reply:
    """No account has the model: the backend's words where it has said any (`said`), and what the accounts do have.

    `models`: by label, for the accounts that told.
    """
    words = f"The '{safe_text(model)}' model is not supported when using Codex with a ChatGPT account."
    status, error = (said.status, _error_of(said)) if said else (400, {})
    message = error.get("message")
    there_is = "; ".join(f"{label}: {', '.join(names)}" for label, names in models.items())
    told = f"{message if isinstance(message, str) else words}{f' Models there are: {there_is}.' if there_is else ''}"
    error = {"type": "invalid_request_error", "param": "model", "code": "model_not_found"} | error | {"message": told}
    return Reply(status, (("content-type", "application/json"),), json.dumps({"error": error}).encode())


def _error_of(reply: Reply) -> dict[str, object]:
    try:
        error = json.loads(reply.body)["error"]
    except (ValueError, TypeError, KeyError):
        error = None
    return {name: value for name, value in error.items() if value is not None} if isinstance(error, dict) else {}


def challenged() -> Reply:
    """Cloudflare has stopped a request a moment ago, and one is out to see if it lets the next pass."""
    message = (
        "Cloudflare stopped a request a moment ago, before it reached the backend. This concerns your network, not an "
        "account. One request at a time tries whether it is over."
    )
    return openai_error(502, message, type="server_error", code="upstream_challenge")


def no_state(why: str) -> Reply:
    """The pool on disk cannot be read or written; `why` is for the user."""
    return openai_error(503, f"Understudy cannot use its accounts: {why}", type=TYPE, code=NO_ACCOUNT)


def _usage_limit(message: str, exhausted: Exhausted, now: float) -> Reply:
    error: dict[str, object] = {"message": message, "type": "usage_limit_reached", "param": None}
    error["code"] = "usage_limit_reached"
    headers = [("content-type", "application/json"), ("x-should-retry", "false")]
    if exhausted.resets_at is not None:
        seconds = max(0, ceil(exhausted.resets_at - now))
        error |= {"resets_at": ceil(exhausted.resets_at), "resets_in_seconds": seconds}
        headers.append(("retry-after", str(seconds)))
    return Reply(429, tuple(headers), json.dumps({"error": error}).encode())


def without_long_pause(reply: Reply) -> Reply:
    """For a host that sleeps through Retry-After, whatever it says, and shows nothing meanwhile: OpenCode does."""
    pause = header(reply.headers, "retry-after") or "0"
    if int(pause) <= LONGEST_PAUSE:
        return reply
    return replace(reply, headers=tuple(field for field in reply.headers if field[0] != "retry-after"))


def broken_off(how: str) -> Reply:
    """The answer to a host that did not ask for a stream broke off after it had begun."""
    return openai_error(502, f"The answer broke off: {how}.", type="server_error", code="server_error")


def too_large(limit: int) -> Reply:
    """The request's body, as it came over the wire, is over the bound (bytes)."""
    message = f"The request body is larger than {limit // (1024 * 1024)} MiB."
    closing = (("connection", "close"),)
    return openai_error(413, message, type="invalid_request_error", code="request_too_large", headers=closing)


@cache
def undecided() -> Reply:
    """Nothing has prepared the request: the addon was unloaded, broken or raised. Fail closed."""
    message = (
        "Understudy could not prepare this request, so it was not sent anywhere. If its script was just edited or "
        "updated, restart mitmproxy; its log says more."
    )
    return openai_error(502, message, type=TYPE, code="understudy_not_prepared")


def seal(why: str) -> Reply:
    """The account's token must not go where the request was about to go."""
    message = f"Understudy did not send this request: {why}. Is another addon or a map_remote option changing it?"
    return openai_error(502, message, type=TYPE, code="understudy_not_sealed")


def websocket() -> Reply:
    """Responses over WebSocket is refused in the way that makes hosts fall back to HTTP (RFC 9110, 15.5.22)."""
    message = "Responses over WebSocket is not available here. Use HTTP: POST /v1/responses."
    return openai_error(426, message, type="invalid_request_error", code="websocket_not_supported")


def misaddressed(why: str) -> Reply:
    """The request's names do not agree, or it came in the clear: it is neither claimed nor let through."""
    message = f"Understudy does not carry out this request, and does not let it through either: {why}."
    return openai_error(421, message, type=TYPE, code="understudy_misdirected")


def nothing_kept(param: str) -> Reply:
    """The request needs that answers are kept, and the user does not want that."""
    message = (
        f"'{param}' needs answers to be kept, and codex_history is off. Set codex_history to memory or disk, or leave "
        f"out '{param}'."
    )
    return openai_error(400, message, type="invalid_request_error", code="unsupported_parameter", param=param)


def background_is_stored() -> Reply:
    """An answer that nobody waits for has to be kept until it is asked for."""
    message = "Background mode requires 'store' to be true: the answer has to be kept until it is asked for."
    return openai_error(400, message, type="invalid_request_error", code="unsupported_parameter", param="store")


def too_many_jobs(most: int) -> Reply:
    """Nobody can have meant to begin so many."""
    message = f"{most} answers are being made in the background already. Wait for one of them, or cancel it."
    return openai_error(429, message, type="rate_limit_error", code="rate_limit_exceeded")


def not_followable(id: str) -> Reply:
    """Only what was begun as a stream has events, and not for ever."""
    message = (
        f"The events of the response '{safe_text(id)}' cannot be streamed: it was not created with stream=true, or "
        "they are no longer kept. Retrieve it without stream."
    )
    return openai_error(400, message, type="invalid_request_error", param="stream")


def misspelt() -> Reply:
    """The path might be taken for one of ours, and is not spelt so."""
    message = (
        "Understudy does not carry out this request, and does not let it through either: its path is spelt in a way "
        "that servers may read as another. Write it as the API reference does."
    )
    return openai_error(400, message, type=TYPE, code="understudy_misspelt_path")


def keyless(method: str, path: str) -> Reply:
    """No ChatGPT account can do this, and the program has no key of its own."""
    shown = safe_text(f"{method} {path.partition('?')[0]}")
    message = (
        f"{shown} needs an OpenAI API key: no ChatGPT account can do it. The program has only the placeholder that "
        "Understudy gives to programs which do not start without a key. Set OPENAI_API_KEY to a key of your own."
    )
    return openai_error(401, message, type="authentication_error", code="invalid_api_key")


def stranger() -> Reply:
    """The client is not on this machine: an open proxy would spend the user's quota."""
    message = (
        "Understudy serves programs on its own machine only. To serve others, set mitmproxy's proxyauth option, "
        "and give its user name and password to them."
    )
    return openai_error(403, message, type=TYPE, code="understudy_not_local")


def web_page() -> Reply:
    """A page in a browser may be anybody's: it could spend the user's quota, or read an answer."""
    message = "Understudy serves programs, not web pages: any page that you visit could spend your quota."
    return openai_error(403, message, type=TYPE, code="understudy_web_page")


def not_replayable(why: str) -> Reply:
    """A flow that was to be replayed cannot be."""
    return openai_error(502, f"This flow cannot be replayed: {why}.", type=TYPE, code="understudy_not_replayable")
