"""Which requests are ours: every name must agree, and what is ours by one name is never let through."""

from dataclasses import replace

import pytest

from understudy.proxy.claim import Claim, Leave, Names, Refuse, Way, judge

HOSTS = frozenset({"api.openai.com"})
ELSEWHERE = "example.org"
PLAIN = Names(
    way=Way.PROXY,
    method="POST",
    path="/v1/responses",
    encrypted=True,
    websocket=False,
    destination="api.openai.com",
    sni="api.openai.com",
    authorities=("api.openai.com",),
    local=True,
)
TRANSPARENT = replace(PLAIN, way=Way.TRANSPARENT, destination="162.159.140.245")
REVERSE = replace(PLAIN, way=Way.REVERSE, sni=None, authorities=("127.0.0.1:8080",))


def status(names: Names) -> int | None:
    verdict = judge(names, HOSTS)
    return verdict.reply.status if isinstance(verdict, Refuse) else None


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(PLAIN, id="regular proxy"),
        pytest.param(TRANSPARENT, id="transparent"),
        pytest.param(REVERSE, id="reverse"),
        pytest.param(replace(PLAIN, authorities=("api.openai.com:443", "API.OpenAI.com.")), id="spelt otherwise"),
        pytest.param(replace(PLAIN, path="/v1/responses?a=b"), id="with a query"),
        pytest.param(replace(PLAIN, path="/v1/./responses/"), id="a path that a server may take for it"),
        pytest.param(replace(PLAIN, path="/v1/%72esponses"), id="percent-encoded"),
    ],
)
def test_a_request_whose_names_agree_is_claimed(names: Names) -> None:
    assert judge(names, HOSTS) == Claim()


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(replace(PLAIN, path="/v1/models"), id="another path"),
        pytest.param(replace(PLAIN, path="/v1/responses/resp_1"), id="a path below it"),
        pytest.param(replace(PLAIN, method="GET"), id="another method"),
        pytest.param(
            replace(PLAIN, destination="example.org", sni="example.org", authorities=("example.org",)),
            id="another host",
        ),
        pytest.param(replace(REVERSE, destination="example.org"), id="reverse to another host"),
    ],
)
def test_what_is_not_ours_is_left_alone(names: Names) -> None:
    assert judge(names, HOSTS) == Leave()


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(replace(PLAIN, encrypted=False), id="in the clear"),
        pytest.param(replace(PLAIN, sni="evil.test"), id="SNI of another"),
        pytest.param(replace(PLAIN, sni=None), id="no SNI"),
        pytest.param(replace(PLAIN, destination="evil.test"), id="CONNECT to another"),
        pytest.param(replace(PLAIN, authorities=("evil.test",)), id="Host of another"),
        pytest.param(replace(PLAIN, authorities=("api.openai.com", "evil.test")), id="two Hosts"),
        pytest.param(replace(PLAIN, authorities=("api.openai.com:8443",)), id="another port"),
        pytest.param(replace(PLAIN, authorities=("user@api.openai.com",)), id="userinfo"),
        pytest.param(replace(PLAIN, destination="evil.test", authorities=("evil.test",)), id="only the SNI is ours"),
        pytest.param(replace(TRANSPARENT, sni="evil.test"), id="transparent, SNI of another"),
        pytest.param(replace(TRANSPARENT, encrypted=False), id="transparent, in the clear"),
        pytest.param(replace(REVERSE, encrypted=False), id="reverse in the clear"),
        pytest.param(
            replace(REVERSE, destination="evil.test", authorities=("api.openai.com",)), id="reverse elsewhere"
        ),
    ],
)
def test_what_is_ours_by_some_names_only_is_refused_and_not_let_through(names: Names) -> None:
    assert status(names) == 421


def test_a_websocket_upgrade_is_refused_so_that_hosts_fall_back() -> None:
    assert status(replace(PLAIN, method="GET", websocket=True)) == 426


def test_a_client_on_another_machine_is_refused() -> None:
    assert status(replace(PLAIN, local=False)) == 403
