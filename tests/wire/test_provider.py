"""Where requests with a login may go: https, or http on loopback."""

import pytest

from understudy.wire.provider import Provider, read_provider


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://chatgpt.com/backend-api/codex", Provider("https", "chatgpt.com", 443, "/backend-api/codex")),
        ("https://chatgpt.com:8443/", Provider("https", "chatgpt.com", 8443, "")),
        ("http://127.0.0.1:8787/backend-api/codex/", Provider("http", "127.0.0.1", 8787, "/backend-api/codex")),
        ("http://[::1]:8787", Provider("http", "::1", 8787, "")),
        ("http://localhost", Provider("http", "localhost", 80, "")),
    ],
)
def test_a_url_is_taken_apart(url: str, expected: Provider) -> None:
    assert read_provider(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://chatgpt.com/backend-api/codex", id="in the clear"),
        pytest.param("http://192.168.0.1/", id="in the clear, on the network"),
        pytest.param("ftp://127.0.0.1/", id="another scheme"),
        pytest.param("https:///path", id="no host"),
        pytest.param("https://user:password@chatgpt.com/", id="credentials"),
        pytest.param("https://chatgpt.com/?a=b", id="a query"),
        pytest.param("https://chatgpt.com:99999/", id="no port"),
        pytest.param("chatgpt.com", id="no URL"),
        pytest.param("https://chatgpt.com/a\r\nX-Evil: 1", id="a line break"),
        pytest.param("https://chatgpt.com/a b", id="a space"),
    ],
)
def test_what_is_no_safe_backend_is_refused_in_words(url: str) -> None:
    with pytest.raises(ValueError, match=r"not (a|the)|in the clear|password"):
        read_provider(url)


def test_the_host_field_leaves_out_the_usual_port() -> None:
    assert read_provider("https://chatgpt.com/x").authority == "chatgpt.com"
    assert read_provider("http://127.0.0.1:8787").authority == "127.0.0.1:8787"
    assert read_provider("http://[::1]:8787").authority == "[::1]:8787"
    assert read_provider("https://chatgpt.com/x").responses_path == "/x/responses"
