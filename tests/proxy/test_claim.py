"""Which requests are ours: every name must agree, and what is ours by one name is never let through."""

from dataclasses import replace

import pytest

from understudy.proxy.claim import Claim, Leave, Names, Refuse, Scope, Way, judge, scope_of
from understudy.wire.endpoints import Op

SCOPE = scope_of(frozenset({"api.openai.com"}), capture_chatgpt=False, traces=True)
CAPTURING = scope_of(SCOPE.hosts, capture_chatgpt=True, traces=True)
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
AT_CHATGPT = replace(PLAIN, destination="chatgpt.com", sni="chatgpt.com", authorities=("chatgpt.com",))
REVERSE = replace(PLAIN, way=Way.REVERSE, sni=None, authorities=("127.0.0.1:8080",))


def status(names: Names, scope: Scope = SCOPE) -> int | None:
    verdict = judge(names, scope)
    return verdict.reply.status if isinstance(verdict, Refuse) else None


def claimed(names: Names, scope: Scope = SCOPE) -> Op | None:
    verdict = judge(names, scope)
    return verdict.endpoint.op if isinstance(verdict, Claim) else None


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(PLAIN, id="regular proxy"),
        pytest.param(TRANSPARENT, id="transparent"),
        pytest.param(REVERSE, id="reverse"),
        pytest.param(replace(PLAIN, authorities=("api.openai.com:443", "API.OpenAI.com.")), id="spelt otherwise"),
        pytest.param(replace(PLAIN, path="/v1/responses?a=b"), id="with a query"),
    ],
)
def test_a_request_whose_names_agree_is_claimed(names: Names) -> None:
    assert claimed(names) is Op.CREATE


@pytest.mark.parametrize(
    ("method", "path", "op"),
    [
        ("POST", "/v1/responses/compact", Op.COMPACT),
        ("POST", "/v1/responses/input_tokens", Op.INPUT_TOKENS),
        ("GET", "/v1/responses/resp_1?stream=true", Op.RETRIEVE),
        ("DELETE", "/v1/responses/resp_1", Op.DELETE),
        ("POST", "/v1/responses/resp_1/cancel", Op.CANCEL),
        ("GET", "/v1/responses/resp_1/input_items", Op.INPUT_ITEMS),
        ("POST", "/v1/chat/completions", Op.CHAT),
        ("POST", "/v1/conversations", Op.CONVERSATION_CREATE),
        ("DELETE", "/v1/conversations/conv_1/items/msg_1", Op.ITEM_DELETE),
        ("GET", "/v1/models", Op.MODELS),
        ("GET", "/v1/models/gpt-5.6-terra", Op.MODEL),
        ("POST", "/v1/traces/ingest", Op.TRACES),
    ],
)
def test_every_endpoint_of_ours_is_claimed_for_what_it_is(method: str, path: str, op: Op) -> None:
    assert claimed(replace(PLAIN, method=method, path=path)) is op


def test_the_upgrade_to_a_websocket_is_an_endpoint_of_its_own() -> None:
    assert claimed(replace(PLAIN, method="GET", websocket=True)) is Op.CONNECT


@pytest.mark.parametrize(
    ("method", "path", "op"),
    [("POST", "/v1/responses", Op.CREATE), ("POST", "/v1/chat/completions", Op.CHAT), ("GET", "/v1/models", Op.MODELS)],
)
def test_an_upgrade_where_there_is_none_is_the_request_that_it_is_besides(method: str, path: str, op: Op) -> None:
    assert claimed(replace(PLAIN, method=method, path=path, websocket=True)) is op


def test_pages_of_chatgpt_are_served_by_chatgpt() -> None:
    usage = replace(AT_CHATGPT, method="GET", path="/backend-api/wham/usage")
    assert claimed(usage, CAPTURING) is Op.USAGE
    assert judge(replace(usage, page=True), CAPTURING) == Leave()


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(replace(PLAIN, path="/v1/embeddings"), id="another path"),
        pytest.param(replace(PLAIN, path="/v1/responses/resp_1"), id="a path below it"),
        pytest.param(replace(PLAIN, method="GET"), id="another method"),
        pytest.param(replace(PLAIN, method="GET", path="/v1/realtime", websocket=True), id="another WebSocket"),
        pytest.param(
            replace(PLAIN, destination="example.org", sni="example.org", authorities=("example.org",)),
            id="another host",
        ),
        pytest.param(replace(REVERSE, destination="example.org"), id="reverse to another host"),
    ],
)
def test_what_is_not_ours_is_left_alone(names: Names) -> None:
    assert isinstance(judge(names, SCOPE), Leave)


def test_what_goes_to_our_hosts_under_the_program_s_own_key_is_told_from_the_rest() -> None:
    assert judge(replace(PLAIN, path="/v1/embeddings"), SCOPE) == Leave(to_our_hosts=True)
    elsewhere = replace(PLAIN, destination="example.org", sni="example.org", authorities=("example.org",))
    assert judge(elsewhere, SCOPE) == Leave(to_our_hosts=False)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/v1/./responses", id="dot segment"),
        pytest.param("/v1/files/../responses", id="dot segments that lead back"),
        pytest.param("/v1/%2e%2e/v1/responses", id="encoded dot segments"),
        pytest.param("/v1%2fresponses", id="encoded slash"),
        pytest.param("/v1%252fresponses", id="a slash encoded twice"),
        pytest.param("//v1/responses", id="double slash in front"),
        pytest.param("/v1//responses", id="double slash within"),
        pytest.param("/v1/responses/", id="slash behind"),
        pytest.param("/v1/%72esponses", id="encoded letter"),
        pytest.param("/V1/Responses", id="another case"),
        pytest.param("/v1/responses#x", id="fragment"),
        pytest.param("/v1/responses;x=1", id="path parameter"),
        pytest.param("\\v1\\responses", id="backslashes"),
        pytest.param("/v1/chat//completions", id="chat"),
        pytest.param("/v1;x/responses", id="path parameter within"),
        pytest.param("/v1/responses%20", id="encoded space behind"),
        pytest.param("/v1/responses%00", id="encoded null"),
        pytest.param("/v1/responses%23x", id="encoded fragment"),
        pytest.param("/v1/responses%3Fx", id="encoded question mark"),
        pytest.param("/v1%2525252fresponses", id="a slash encoded four times"),
    ],
)
def test_a_path_that_servers_may_take_for_ours_is_neither_carried_out_nor_let_through(path: str) -> None:
    assert status(replace(PLAIN, path=path)) == 400


@pytest.mark.parametrize("path", ["/backend-api/codex/responses", "/backend-api/codex/responses/compact"])
def test_chatgpt_s_own_endpoints_are_left_alone_until_they_are_to_be_captured(path: str) -> None:
    names = replace(AT_CHATGPT, path=path)
    assert judge(names, SCOPE) == Leave()
    assert claimed(names, CAPTURING) in (Op.CREATE, Op.COMPACT)


def test_what_else_is_asked_of_chatgpt_is_left_alone_and_so_are_openai_s_paths_there() -> None:
    for path in ("/backend-api/wham/accounts/check", "/backend-api/me", "/v1/responses", "/"):
        assert judge(replace(AT_CHATGPT, path=path), CAPTURING) == Leave()
    assert isinstance(judge(replace(PLAIN, path="/backend-api/codex/responses"), CAPTURING), Leave)


def test_names_of_openai_and_of_chatgpt_in_one_request_do_not_agree() -> None:
    assert status(replace(AT_CHATGPT, authorities=("api.openai.com",)), CAPTURING) == 421


def test_traces_are_left_alone_where_the_user_wants_them_to_go_to_openai() -> None:
    names = replace(PLAIN, path="/v1/traces/ingest")
    assert isinstance(judge(names, replace(SCOPE, traces=False)), Leave)


def test_a_program_without_a_key_of_its_own_hears_that_it_needs_one() -> None:
    assert status(replace(PLAIN, path="/v1/embeddings", keyless=True)) == 401
    assert claimed(replace(PLAIN, keyless=True)) is Op.CREATE


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


def test_a_client_on_another_machine_is_refused() -> None:
    assert status(replace(PLAIN, local=False)) == 403
