"""The issuer's pages for people: plain HTML with one form, nothing to load, nothing to run."""

import hashlib
from base64 import b64encode
from collections.abc import Iterable
from html import escape

from understudy.sandbox.replies import Reply, html
from understudy.sandbox.scenario import Identity

Choices = Iterable[tuple[str, str]]
"""Value and text of each button."""

_STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 32rem; margin: 3rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
button, input { font: inherit; display: block; width: 100%; padding: .6rem; margin: .5rem 0; box-sizing: border-box; }
button { text-align: left; cursor: pointer; }
"""
_DIGEST = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# The form's answer is a redirect to the program's listener, and browsers hold that to `form-action` too.
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self' http://localhost:* http://127.0.0.1:*; "
    "frame-ancestors 'none'; base-uri 'none'"
)


def choose_page(accounts: Iterable[Identity], more: Choices, hidden: Choices = ()) -> Reply:
    """One button for every account, and some `more`; the choice comes back as `choice`, with the `hidden` members."""
    choices = [(f"account:{who.label}", f"{who.label}: {who.email}, {who.plan}") for who in accounts]
    buttons = "\n".join(
        f'<button name="choice" value="{escape(value)}">{escape(text)}</button>' for value, text in (*choices, *more)
    )
    kept = "\n".join(f'<input type="hidden" name="{escape(n)}" value="{escape(v)}">' for n, v in hidden)
    return _page(200, "Log in to the sandbox", f'<form method="post">\n{kept}\n{buttons}\n</form>')


def code_page(said: str = "") -> Reply:
    """Asks for a device's code, which comes back as `user_code`."""
    field = '<label>Code <input name="user_code" autocomplete="off" autofocus></label>'
    return _page(
        200,
        "Enter the code of your device",
        f'<p>{escape(said)}</p><form method="post">{field}<button>Go on</button></form>',
    )


def message_page(status: int, title: str, text: str) -> Reply:
    """Says something."""
    return _page(status, title, f"<p>{escape(text)}</p>")


def _page(status: int, title: str, body: str) -> Reply:
    text = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n<h1>{escape(title)}</h1>\n{body}\n"
        f"</body></html>\n"
    )
    return html(status, text, (("content-security-policy", _POLICY), ("cache-control", "no-store")))
