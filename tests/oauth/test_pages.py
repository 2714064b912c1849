"""The pages load nothing, run nothing, and cannot be made to."""

import hashlib
import re
from base64 import b64encode

import pytest

from understudy.oauth.pages import error_page, success_page
from understudy.wire.reply import Reply, header

PAGES = [success_page("Added plus-ada", "Well."), error_page(400, "No", "Not well.")]


@pytest.mark.parametrize("page", PAGES, ids=["success", "error"])
def test_a_page_allows_its_own_style_and_nothing_else(page: Reply) -> None:
    policy = header(page.headers, "content-security-policy") or ""
    style = re.findall(r"<style>(.*?)</style>", page.body.decode(), re.DOTALL)
    digest = b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    assert len(style) == 1
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    ]


@pytest.mark.parametrize("page", PAGES, ids=["success", "error"])
def test_a_page_is_kept_nowhere_and_tells_no_other_where_it_was(page: Reply) -> None:
    assert header(page.headers, "cache-control") == "no-store"
    assert header(page.headers, "referrer-policy") == "no-referrer"
    assert not [name for name, _ in page.headers if name.startswith("access-control")]


@pytest.mark.parametrize("page", PAGES, ids=["success", "error"])
def test_a_page_refers_to_nothing(page: Reply) -> None:
    assert not re.search(rb"<(script|link|img|iframe|form|a)\b|url\(|https?:|@import|style=|\son\w+=", page.body)


def test_text_is_text() -> None:
    page = error_page(400, "<b>", "<script>alert(1)</script> & '\"").body.decode()
    assert "<b>" not in page and "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#x27;&quot;" in page


def test_the_status_is_that_of_the_outcome() -> None:
    assert [page.status for page in PAGES] == [200, 400]
