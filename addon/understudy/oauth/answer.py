"""What all answers of the login server have in common: a JSON object, and the places of an error's code."""

from understudy.wire.jsontext import loads


def read_object(body: bytes) -> dict[str, object] | None:
    """The answer's JSON object, or None where it is none."""
    try:
        answer = loads(body)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def error_code(answer: dict[str, object]) -> str:
    """The code in `error.code`, `error` or `code`, in lower case; empty where there is none."""
    error = answer.get("error")
    candidates = (error.get("code") if isinstance(error, dict) else error, answer.get("code"))
    return next((code.lower() for code in candidates if isinstance(code, str)), "")
