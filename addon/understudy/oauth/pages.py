"""The pages that the browser shows at a login's end: one self-contained HTML text each, with nothing to load or run."""

import hashlib
from base64 import b64encode
from html import escape

from understudy.wire.reply import Headers, Reply

_STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; }
main { max-width: 32rem; padding: 1.5rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .75rem; padding-left: .75rem; border-left: .3rem solid; }
h1.done { border-color: #188038; }
h1.failed { border-color: #c5221f; }
p { margin: 0 0 .75rem; }
"""
_DIGEST = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{_DIGEST}'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
HEADERS: Headers = (
    ("content-type", "text/html; charset=utf-8"),
    ("content-security-policy", _POLICY),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
)


def success_page(title: str, *paragraphs: str) -> Reply:
    """A login that worked, 200."""
    return _page(200, "done", title, paragraphs)


def error_page(status: int, title: str, *paragraphs: str) -> Reply:
    """What went wrong, in plain text, and what to do about it."""
    return _page(status, "failed", title, paragraphs)


def _page(status: int, kind: str, title: str, paragraphs: tuple[str, ...]) -> Reply:
    text = "\n".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
    html = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} - Understudy</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1 class="{kind}">{escape(title)}</h1>
{text}
</main>
</body>
</html>
"""
    return Reply(status, HEADERS, html.encode())
