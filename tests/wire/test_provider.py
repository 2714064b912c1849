"""Where requests with a login may go: https, or http on loopback."""

import pytest

from understudy.wire.provider import CODEX, PLATFORM, Provider, read_platform, read_provider


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


@pytest.mark.parametrize("url", ["http://api.openai.com/v1", "https://api.openai.com/v1?a=b", "api.openai.com"])
def test_the_platform_is_held_to_the_same(url: str) -> None:
    with pytest.raises(ValueError, match=r"not (a|the)|in the clear"):
        read_platform(url)


def test_an_address_is_of_the_provider_that_it_was_given_for() -> None:
    codex, platform = (
        read_provider("https://chatgpt.com/backend-api/codex"),
        read_platform("https://api.openai.com/v1/"),
    )
    assert (codex.rules, codex.target(codex.rules)) == (CODEX, "/backend-api/codex/responses")
    assert (platform.rules, platform.target(platform.rules)) == (PLATFORM, "/v1/responses")
    assert read_platform("http://127.0.0.1:8787/v1").authority == "127.0.0.1:8787"


def test_a_token_can_be_renewed_and_a_key_cannot() -> None:
    assert (CODEX.errors.renewable, PLATFORM.errors.renewable) == (True, False)


def test_the_host_field_leaves_out_the_usual_port() -> None:
    assert read_provider("https://chatgpt.com/x").authority == "chatgpt.com"
    assert read_provider("http://127.0.0.1:8787").authority == "127.0.0.1:8787"
    assert read_provider("http://[::1]:8787").authority == "[::1]:8787"
    assert read_provider("https://chatgpt.com/x").target(CODEX) == "/x/responses"
