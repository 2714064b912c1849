"""What comes to the issuer as members: read from JSON, a form or a query, and shown without its secrets."""

import json
from urllib.parse import parse_qsl

SECRET_FIELDS = ("refresh_token", "code", "code_verifier", "subject_token", "token", "device_auth_id", "user_code")


def read_form(content: bytes, content_type: str) -> dict[str, object] | None:
    """The members of a request's body; None where it is neither JSON nor a form."""
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            return dict(parse_qsl(content.decode(), keep_blank_values=True))
        form = json.loads(content) if kind == "application/json" else None
    except (ValueError, RecursionError):
        return None
    return form if isinstance(form, dict) else None


def shown(form: dict[str, object]) -> dict[str, object]:
    """The members as the journal may have them."""
    return {name: "<hidden>" if name in SECRET_FIELDS else value for name, value in form.items()}
