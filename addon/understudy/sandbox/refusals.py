"""Refusals in the words of the real backend: the presets of scenarios by their names, and steps that are one answer."""

import math

from understudy.sandbox.replies import (
    EXPIRED_TOKEN,
    Reply,
    detail,
    error_reply,
    html,
    json_reply,
    revoked_token,
)
from understudy.sandbox.steps import (
    Garbage,
    InvalidRequest,
    PlatformStep,
    Preset,
    Redirect,
    RetryAfter,
    Revoked,
    ShortLimit,
    Status,
    Step,
    Unauthorized,
    UsageStep,
)

CHALLENGE = (
    "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>"
    "<script>window._cf_chl_opt={}</script><noscript>Enable JavaScript and cookies to continue</noscript></body></html>"
)
GATEWAY = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    "<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
)


def _usage_not_included(status: int) -> Reply:
    """The plan has no Codex. Only the type is known for certain."""
    error = {
        "type": "usage_not_included",
        "message": "Codex is not included in your plan",
        "plan_type": "free",
    }
    return json_reply(status, {"error": error})


PRESETS: dict[str, Reply] = {
    # No code and no reset data: a burst of requests, never a quota.
    "burst": detail(429, "Too Many Requests"),
    "html403": html(403, CHALLENGE, (("cf-mitigated", "challenge"),)),
    "html503": html(503, CHALLENGE, (("cf-mitigated", "challenge"),)),
    "overloaded": error_reply(
        503,
        "Selected model is at capacity. Please try a different model.",
        code="server_is_overloaded",
        type="service_unavailable_error",
    ),
    "server_error": error_reply(
        500,
        "An error occurred while processing your request. You can retry your request.",
        code="server_error",
        type="server_error",
    ),
    "bad_gateway": html(502, GATEWAY),
    # A 200 that promises events and has none.
    "empty": Reply(200, headers=(("content-type", "text/event-stream; charset=utf-8"),)),
    "cyber_policy": error_reply(
        400,
        "This content was flagged for possible cybersecurity risk. If this seems wrong, try rephrasing your request.",
        code="cyber_policy",
    ),
    "deactivated": detail(402, {"code": "deactivated_workspace"}),
    # The wording is not known; what is known is that there are others than the one above.
    "payment_required": detail(402, {"code": "payment_required"}),
    "insufficient_quota": error_reply(
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        code="insufficient_quota",
        type="insufficient_quota",
    ),
    "usage_not_included": _usage_not_included(429),
    "usage_not_included_403": _usage_not_included(403),
    # Cloudflare's stealth block: no body at all.
    "not_found": Reply(404),
    "forbidden": detail(403, "Your account is not permitted to use this service."),
}


def whole_reply(step: Step | UsageStep | PlatformStep, model: str) -> Reply:
    """The answer of a step that is a complete one. `model`: the one that was asked for. Raises TypeError for others."""
    match step:
        case Preset(do="model_not_found"):
            message = f"The model `{model}` does not exist or you do not have access to it."
            return error_reply(404, message, code="model_not_found")
        case Preset():
            return PRESETS[step.do]
        case ShortLimit():
            message = f"Rate limit reached for requests. Please try again in {step.seconds:g}s."
            wait = (("retry-after", str(math.ceil(step.seconds))), ("retry-after-ms", str(int(step.seconds * 1000))))
            return error_reply(429, message, code="rate_limit_exceeded", type="requests", headers=wait)
        case RetryAfter():
            burst = PRESETS["burst"]
            return Reply(429, burst.body, (*burst.headers, ("retry-after", str(step.seconds))))
        case InvalidRequest():
            return error_reply(400, step.message, code=step.code, param=step.param)
        case Status():
            if isinstance(step.body, str):
                return Reply(step.status, step.body.encode(), (("content-type", "text/plain"),))
            return json_reply(step.status, step.body)
        case Redirect():
            return Reply(step.status, headers=(("location", step.location),))
        case Garbage():
            return Reply(200, b'{"plan_type": "pl', (("content-type", "application/json"),))
        case Unauthorized():
            return EXPIRED_TOKEN
        case Revoked():
            return revoked_token(step.code)
    raise TypeError(f"{step!r} is no complete answer")
