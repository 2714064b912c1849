"""What holds for every provider: nothing of the host's own, and what the provider's rules say, no more and no less."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from understudy.wire import provider
from understudy.wire.provider import Rules
from understudy.wire.reply import Headers, header
from understudy.wire.request import HostRequest, decoded, read_request, upstream_headers

ALL = {name: rules for name, rules in vars(provider).items() if isinstance(rules, Rules)}
every_provider = pytest.mark.parametrize("rules", ALL.values(), ids=list(ALL))

DATA = Path(__file__).parent / "data"
every_host = pytest.mark.parametrize("host", sorted(path.stem for path in DATA.glob("*.json")))

PLAIN: dict[str, object] = {"model": "gpt-5", "input": "say hi"}
CANARY = "sk-canary-host-key"

OWN_TO_THE_HOST = (
    *("Authorization", "X-Api-Key", "Proxy-Authorization", "Cookie", "Cookie2", "OpenAI-Organization"),
    *("OpenAI-Project", "ChatGPT-Account-Id", "X-OpenAI-Fedramp", "X-OpenAI-Client-User-Agent"),
)
OF_THE_CONNECTION = (
    *("Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Host"),
    *("Content-Length", "Expect", "Accept", "Forwarded", "X-Forwarded-For", "Via", "CF-Connecting-IP"),
)
OF_ITS_SDK = ("X-Stainless-Lang", "Sec-Fetch-Mode", "Accept-Language", "Origin", "Referer")
SESSION = ("session-id", "thread-id", "conversation_id", "x-session-id", "x-codex-window-id", "x-codex-turn-state")


def read(rules: Rules, body: dict[str, object], headers: Headers = ()) -> HostRequest:
    return read_request(headers, json.dumps(body).encode(), rules)


def captured(rules: Rules, host: str) -> HostRequest:
    """What a real host sent, read for a provider."""
    request = json.loads((DATA / f"{host}.json").read_text(encoding="utf-8"))
    return read(rules, request["body"], tuple((name, value) for name, value in request["headers"]))


def sent(request: HostRequest, account_id: str = "acc-work") -> Headers:
    return upstream_headers(request, account_id, fedramp=True, turn_state=True, version="1.2.3")


@every_provider
@pytest.mark.parametrize("name", [*OWN_TO_THE_HOST, *OF_THE_CONNECTION, *OF_ITS_SDK])
def test_what_is_the_host_s_own_or_of_its_connection_stays_behind(rules: Rules, name: str) -> None:
    for spelled in (name, name.lower(), name.upper()):
        assert "canary" not in str(sent(read(rules, PLAIN, ((spelled, "canary"),))))


@every_provider
def test_the_body_goes_on_decoded(rules: Rules) -> None:
    headers = (("Content-Encoding", "gzip"),)
    body = decoded(headers, gzip.compress(json.dumps(PLAIN).encode()))
    assert header(sent(read_request(headers, body, rules)), "content-encoding") is None


@every_provider
@every_host
def test_nothing_of_a_real_host_s_login_or_sdk_goes_along(rules: Rules, host: str) -> None:
    request = captured(rules, host)
    fields = sent(request)
    assert CANARY not in str(fields) and CANARY not in request.body.decode()
    ours = {"accept", "content-type", "accept-encoding", "user-agent", "originator", "chatgpt-account-id"}
    ours |= {"x-openai-fedramp", "x-openai-internal-codex-responses-lite"}
    strangers = {name for name, _ in fields} - ours - rules.headers
    assert all(rules.header_family and rules.header_family.fullmatch(name) for name in strangers)


@every_provider
@every_host
def test_every_field_is_sent_once_and_in_lower_case(rules: Rules, host: str) -> None:
    names = [name for name, _ in sent(captured(rules, host))]
    assert len(names) == len(set(names))
    assert names == [name.lower() for name in names]


@every_provider
@every_host
def test_json_is_sent_and_what_the_endpoint_has_is_asked_for_in_a_coding_that_can_be_read(
    rules: Rules, host: str
) -> None:
    request = captured(rules, host)
    fields = dict(sent(request))
    assert fields["content-type"] == "application/json"
    assert fields["accept"] == ("application/json" if rules.unary else "text/event-stream")
    assert fields["accept-encoding"] == "identity"
    assert rules.unary or json.loads(request.body)["stream"] is True


@every_provider
@pytest.mark.parametrize("name", ["openai-beta", "x-client-request-id"])
def test_what_both_the_host_and_the_provider_may_want_to_know_goes_on(rules: Rules, name: str) -> None:
    assert header(sent(read(rules, PLAIN, ((name.title(), " value "),))), name) == "value"


@every_provider
@pytest.mark.parametrize("name", ["user-agent", "openai-beta", "originator", "session-id", "x-codex-window-id"])
@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\x00b", "\x1b[0m", "é", "a" * 16385], ids=ascii)
def test_a_value_that_could_end_its_field_is_never_sent(rules: Rules, name: str, value: str) -> None:
    request = read(
        rules, PLAIN, (("originator", "opencode"), (name, value)) if name != "originator" else ((name, value),)
    )
    assert value not in dict(sent(request)).values()
    with pytest.raises(ValueError, match="header field"):
        sent(replace(request, headers=(("openai-beta", "a\r\nx-evil: 1"),)))


@every_provider
def test_only_parameters_of_the_allow_list_go_on(rules: Rules) -> None:
    given = {"temperature": 1.0, "max_output_tokens": 9, "top_p": 0.5, "user": "u", "future": 1, "text": {}}
    request = read(rules, PLAIN | given)
    passed = given.keys() if rules.parameters is None else given.keys() & rules.parameters
    assert json.loads(request.body).keys() & given.keys() == passed
    assert set(request.removed) == given.keys() - passed


@every_provider
@every_host
def test_what_is_forced_has_its_value_and_what_is_not_has_the_host_s(rules: Rules, host: str) -> None:
    given = json.loads((DATA / f"{host}.json").read_text(encoding="utf-8"))["body"]
    body = json.loads(captured(rules, host).body)
    for name, raw in rules.forced:
        assert body[name] == json.loads(raw)
    for name in {"store", "temperature", "tools", "text", "reasoning"} - dict(rules.forced).keys() & body.keys():
        assert body[name] == given[name]


@every_provider
def test_what_is_missed_and_not_given_is_there_exactly_where_the_rules_say(rules: Rules) -> None:
    body = json.loads(read(rules, PLAIN).body)
    expected = dict(rules.forced) | dict(rules.defaults)
    assert {name: json.dumps(body[name]) for name in body.keys() - {"model", "input", "include"}} == expected
    assert body.get("include") == ([rules.include] if rules.include else None)
    assert isinstance(body["input"], str) is rules.text_input


@every_provider
def test_items_go_on_as_the_rules_say(rules: Rules) -> None:
    reasoning = {"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA"}
    given = [{"role": "system", "content": "x"}, reasoning, {"type": "item_reference", "id": "msg_1"}]
    system = {"role": "system" if rules.system_role else "developer", "content": "x"}
    expected = [system, *([reasoning] if rules.reasoning else []), *(given[2:] if rules.stored else [])]
    assert json.loads(read(rules, PLAIN | {"input": given}).body)["input"] == expected


@every_provider
def test_the_account_is_named_exactly_where_the_rules_say(rules: Rules) -> None:
    fields = dict(sent(read(rules, PLAIN)))
    named = {"chatgpt-account-id": "acc-work", "x-openai-fedramp": "true"}
    assert {name: fields.get(name) for name in named} == (named if rules.account_fields else dict.fromkeys(named))


@every_provider
def test_an_account_id_that_could_break_the_header_is_never_sent(rules: Rules) -> None:
    request = read(rules, PLAIN)
    if rules.account_fields:
        with pytest.raises(ValueError, match="import the account again"):
            sent(request, "acc\r\nx-evil: 1")
    else:
        assert "evil" not in str(sent(request, "acc\r\nx-evil: 1"))


@every_provider
def test_the_originator_is_named_exactly_where_the_rules_say(rules: Rules) -> None:
    with_name = sent(read(rules, PLAIN, (("originator", "opencode"), ("user-agent", "opencode/1"))))
    assert header(with_name, "originator") == ("opencode" if rules.originator else None)
    assert header(with_name, "user-agent") == "opencode/1"
    without = sent(read(rules, PLAIN))
    assert header(without, "originator") == ("understudy" if rules.originator else None)
    assert header(without, "user-agent") == "understudy/1.2.3"


@every_provider
@pytest.mark.parametrize("name", SESSION)
def test_a_session_is_named_exactly_where_the_rules_say(rules: Rules, name: str) -> None:
    wanted = name in rules.headers or (rules.header_family is not None and rules.header_family.fullmatch(name))
    assert header(sent(read(rules, PLAIN, ((name, "session"),))), name) == ("session" if wanted else None)


@every_provider
def test_the_session_and_what_holds_it_are_the_same_for_every_provider(rules: Rules) -> None:
    body = PLAIN | {"input": [{"type": "compaction", "encrypted_content": "g"}], "prompt_cache_key": "k"}
    headers = (("session-id", "s"), ("x-codex-turn-state", "opaque"))
    here, there = read(rules, body, headers), read(provider.CODEX, body, headers)
    assert (here.session, here.turn_state, here.held) == (there.session, there.turn_state, there.held)
    assert (here.model, here.stream, here.codex) == (there.model, there.stream, there.codex)


def test_every_endpoint_of_every_provider_is_tried() -> None:
    assert set(ALL) == {"CODEX", "PLATFORM", "CODEX_COMPACT", "PLATFORM_COMPACT"}
