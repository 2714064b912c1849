"""What is answered on this machine: which models there are, counts of tokens, traces, and an account's usage."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.logins import account
from understudy.oauth.codex_auth import read_auth_json
from understudy.oauth.enrol import enrol
from understudy.pool.account import Account, Lane
from understudy.proxy.catalogue import Catalogue
from understudy.proxy.local import ESTIMATE, USAGE_LIFETIME, LocalAnswers
from understudy.proxy.options import read_offline
from understudy.sandbox.server import Sandbox
from understudy.state.catalogue import CatalogueFile, Copy
from understudy.wire.endpoints import Endpoint, Op
from understudy.wire.endpoints import find as find_endpoint
from understudy.wire.provider import read_provider
from understudy.wire.reply import Headers, Reply, header

NOW = 1_000_000.0
"""Long before the tokens expire."""
NOWHERE = read_provider("http://127.0.0.1:9/backend-api/codex")
SCENARIO = {
    "accounts": {
        "full": {"models": ["gpt-6", "gpt-5.5"]},
        "lesser": {"models": ["gpt-5.5", "gpt-5.4"], "usage_steps": [{"do": "answer"}, {"do": "server_error"}]},
    }
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SCENARIO) as running:
        yield running


@pytest.fixture
def accounts(sandbox: Sandbox) -> tuple[Account, ...]:
    found: tuple[Account, ...] = ()
    for label in sandbox.scenario.accounts:
        found = enrol(found, read_auth_json(sandbox.auth_json(label)), f"acct_{label}", label, now=0.0).accounts
    return found


@pytest.fixture
async def local(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[LocalAnswers]:
    settings = read_offline([f"confdir={tmp_path}", "codex_models=gpt-4o=gpt-6"])
    catalogue = Catalogue(CatalogueFile(tmp_path / "home"))
    yield LocalAnswers(replace(settings, backend=read_provider(sandbox.backend)), catalogue)
    await catalogue.end()


def endpoint(target: str, *, codex: bool = False, method: str = "GET") -> Endpoint:
    found = find_endpoint(method, target, websocket=False, codex=codex)
    assert found is not None
    return found


async def get(
    local: LocalAnswers, accounts: tuple[Account, ...], target: str, headers: Headers = (), *, codex: bool = False
) -> Reply:
    return await local.answer(endpoint(target, codex=codex), headers, b"", accounts, NOW)


def error(reply: Reply) -> dict[str, object]:
    found = json.loads(reply.body)["error"]
    assert isinstance(found, dict) and found.keys() == {"message", "type", "param", "code"}
    return found


# Models


async def test_a_host_gets_the_models_of_all_accounts_in_openai_s_shape(
    local: LocalAnswers, accounts: tuple[Account, ...]
) -> None:
    reply = await get(local, accounts, "/v1/models")
    listed = json.loads(reply.body)
    assert (reply.status, header(reply.headers, "content-type"), listed["object"]) == (200, "application/json", "list")
    assert [model["id"] for model in listed["data"]] == ["gpt-6", "gpt-5.5", "gpt-5.4"]
    assert {"object": "model", "created": 0, "owned_by": "openai"}.items() <= listed["data"][0].items()


@pytest.mark.parametrize(
    ("target", "codex"),
    [("/v1/models?client_version=0.150.0", False), ("/backend-api/codex/models?client_version=0.150.0", True)],
    ids=["with a key", "logged in"],
)
async def test_codex_gets_them_in_its_own_shape(
    local: LocalAnswers, accounts: tuple[Account, ...], sandbox: Sandbox, target: str, codex: bool
) -> None:
    reply = await get(local, accounts, target, codex=codex)
    models = json.loads(reply.body)["models"]
    assert [model["slug"] for model in models] == ["gpt-6", "gpt-5.5", "gpt-5.4"]
    assert "base_instructions" in models[0]
    assert str(header(reply.headers, "etag")).startswith('"understudy-')
    assert {entry.query for entry in sandbox.journal} == {"client_version=0.150.0"}


async def test_codex_s_list_is_the_backend_s_own_where_no_other_account_adds_to_it(
    local: LocalAnswers, tmp_path: Path
) -> None:
    body = '{"models": [ {"slug":"gpt-6"}, {"slug":"old","visibility":"hide"} ], "more": 1.0}'
    for name, copied in (("full", body), ("lesser", '{"models": [{"slug": "old", "of": "another"}]}')):
        CatalogueFile(tmp_path / "home").note(Copy(f"acct_{name}", "1", 'W/"own"', copied))
    expired = tuple(account(name, expires_at=NOW) for name in ("full", "lesser"))
    reply = await get(local, expired, "/v1/models?client_version=1")
    assert (reply.body, header(reply.headers, "etag")) == (body.encode(), 'W/"own"')


@pytest.mark.parametrize("target", ["/v1/models", "/v1/models?client_version=1"])
@pytest.mark.parametrize("sent", ["{}", "W/{}", '"other", {}', "*"])
async def test_who_has_the_list_already_does_not_get_it_again(
    local: LocalAnswers, accounts: tuple[Account, ...], target: str, sent: str
) -> None:
    etag = str(header((await get(local, accounts, target)).headers, "etag"))
    again = await get(local, accounts, target, (("If-None-Match", sent.format(etag)),))
    assert (again.status, again.body, header(again.headers, "etag")) == (304, b"", etag)


async def test_who_has_another_list_gets_this_one(local: LocalAnswers, accounts: tuple[Account, ...]) -> None:
    reply = await get(local, accounts, "/v1/models", (("if-none-match", '"other"'),))
    assert reply.status == 200


@pytest.mark.parametrize("model", ["gpt-5.4", "gpt-4o"], ids=["that there is", "that another one stands in for"])
async def test_one_model_is_found(local: LocalAnswers, accounts: tuple[Account, ...], model: str) -> None:
    reply = await get(local, accounts, f"/v1/models/{model}")
    assert (reply.status, json.loads(reply.body)["id"], json.loads(reply.body)["object"]) == (200, model, "model")


async def test_a_hidden_model_is_in_no_list_and_is_found_all_the_same(local: LocalAnswers, tmp_path: Path) -> None:
    body = '{"models": [{"slug":"shown"}, {"slug":"hidden","visibility":"hide"}]}'
    CatalogueFile(tmp_path / "home").note(Copy("acct_full", "1", "", body))
    expired = (account("full", expires_at=NOW),)
    listed = json.loads((await get(local, expired, "/v1/models")).body)
    assert [model["id"] for model in listed["data"]] == ["shown"]
    assert (await get(local, expired, "/v1/models/hidden")).status == 200


async def test_a_model_that_there_is_not_is_not_found_in_openai_s_words(
    local: LocalAnswers, accounts: tuple[Account, ...]
) -> None:
    reply = await get(local, accounts, "/v1/models/gpt-9")
    assert reply.status == 404
    assert error(reply) == {
        "message": "The model 'gpt-9' does not exist",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


@pytest.mark.parametrize("target", ["/v1/models", "/v1/models/gpt-6", "/v1/models?client_version=1"])
async def test_where_nothing_is_known_the_host_hears_why(
    local: LocalAnswers, accounts: tuple[Account, ...], target: str
) -> None:
    local.settings = replace(local.settings, backend=NOWHERE)
    unknown, empty = await get(local, accounts, target), await get(local, (), target)
    assert (unknown.status, error(unknown)["code"]) == (503, "understudy_no_models")
    assert (empty.status, error(empty)["code"]) == (503, "understudy_no_account")


async def test_a_query_beyond_reading_asks_for_openai_s_shape(
    local: LocalAnswers, accounts: tuple[Account, ...]
) -> None:
    reply = await get(local, accounts, "/v1/models?" + "a&" * 5000 + "client_version=1")
    assert json.loads(reply.body)["object"] == "list"


# Counts of tokens, and traces


async def count(local: LocalAnswers, body: bytes) -> Reply:
    target = endpoint("/v1/responses/input_tokens", method="POST")
    return await local.answer(target, (), body, (), NOW)


async def test_tokens_are_counted_without_an_account_and_marked_as_an_estimate(local: LocalAnswers) -> None:
    reply = await count(local, b'{"input": "hello world"}')
    assert json.loads(reply.body) == {"object": "response.input_tokens", "input_tokens": 9}
    assert (reply.status, header(reply.headers, ESTIMATE)) == (200, "true")


async def test_a_count_of_nothing_is_refused(local: LocalAnswers) -> None:
    reply = await count(local, b"{}")
    assert (reply.status, error(reply)["param"]) == (400, "input")


async def test_traces_are_taken_and_go_nowhere(local: LocalAnswers, sandbox: Sandbox) -> None:
    target = endpoint("/v1/traces/ingest", method="POST")
    assert await local.answer(target, (), b'{"data": []}', (), NOW) == Reply(204, (), b"")
    assert len(sandbox.journal) == 0


# Usage


USAGE = Endpoint(Op.USAGE, codex=True)


async def test_the_usage_is_the_first_account_s_own(
    local: LocalAnswers, accounts: tuple[Account, ...], sandbox: Sandbox
) -> None:
    keyed = replace(account("keyed"), lane=Lane.PLATFORM)
    reply = await local.answer(USAGE, (), b"", (keyed, accounts[1], accounts[0]), NOW)
    assert (reply.status, header(reply.headers, "content-type")) == (200, "application/json")
    assert json.loads(reply.body)["account_id"] == accounts[1].account_id
    assert [(entry.path, entry.account) for entry in sandbox.journal] == [("/backend-api/wham/usage", "lesser")]


async def test_it_is_asked_for_once_in_ten_seconds(
    local: LocalAnswers, accounts: tuple[Account, ...], sandbox: Sandbox
) -> None:
    replies = [
        await local.answer(USAGE, (), b"", accounts[:1], now) for now in (NOW, NOW + USAGE_LIFETIME - 1, NOW + 10)
    ]
    assert [reply.status for reply in replies] == [200, 200, 200]
    assert len(sandbox.journal) == 2


async def test_where_it_is_not_told_the_host_hears_why(local: LocalAnswers, accounts: tuple[Account, ...]) -> None:
    lesser = accounts[1:]
    first, failed = [await local.answer(USAGE, (), b"", lesser, now) for now in (NOW, NOW + USAGE_LIFETIME)]
    assert (first.status, failed.status, error(failed)["code"]) == (200, 502, "understudy_no_usage")
    local.settings = replace(local.settings, backend=NOWHERE)
    assert (await local.answer(USAGE, (), b"", accounts[:1], NOW)).status == 502
    expired = (account("old", expires_at=NOW),)
    assert (await local.answer(USAGE, (), b"", expired, NOW)).status == 503
    assert error(await local.answer(USAGE, (), b"", (), NOW))["code"] == "understudy_no_account"
