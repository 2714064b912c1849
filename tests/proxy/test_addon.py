"""What the addon keeps of a request that it claims, and what it says of one that it lets go."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.addons import clientplayback
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.test import taddons

from support import desk, logins
from support.desk import HOST_FIELDS, able, blocked
from understudy.pool.account import Account, Ground
from understudy.pool.pool import over_accounts
from understudy.proxy.addon import Understudy
from understudy.proxy.claim import Claim
from understudy.proxy.guard import Guard, guard_of
from understudy.proxy.turn import Turn
from understudy.state.accounts import AccountStore
from understudy.wire.endpoints import CREATE


@contextmanager
def claiming(home: Path, account: Account, **options: str) -> Iterator[tuple[Understudy, Guard]]:
    """The addon, loaded into mitmproxy, with one account in its pool."""
    AccountStore(home).update(over_accounts(lambda _: (account,)))
    addon = Understudy()
    with taddons.context(Proxyserver(), addon) as context:
        context.configure(addon, **options)
        yield addon, guard_of(context.master)


def claimed(addon: Understudy, guard: Guard, flow: http.HTTPFlow) -> Turn:
    """The turn of a flow whose names say that it is ours."""
    flow.request.headers.fields += HOST_FIELDS
    guard.turns.seat(flow, Claim(CREATE))
    addon.requestheaders(flow)
    turn = guard.turns.get(flow)
    assert turn is not None
    return turn


@pytest.fixture(autouse=True)
def nothing_outlasts_a_test(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home))
    # The guard puts a handler of its own in the place of mitmproxy's.
    monkeypatch.setattr(clientplayback, "ReplayHandler", clientplayback.ReplayHandler)


@pytest.mark.parametrize(("unsupported", "are_kept"), [("strict", False), ("passthrough", True)])
async def test_the_host_s_credentials_are_kept_only_where_a_request_may_be_let_go(
    home: Path, unsupported: str, are_kept: bool
) -> None:
    flow = desk.request().flow
    with claiming(home, able("home"), codex_unsupported=unsupported) as (addon, guard):
        turn = claimed(addon, guard, flow)
    assert (HOST_FIELDS[0] in turn.kept) is are_kept
    assert "authorization" not in flow.request.headers


async def test_a_request_that_is_let_go_is_told_of_by_the_model_that_its_host_asked_for(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lacking = blocked(able("home"), ground=Ground.ENTITLEMENT, model="gpt-5")
    flow = desk.request(model="gpt-4o").flow
    body = flow.request.raw_content
    options = {"codex_unsupported": "passthrough", "codex_models": "gpt-4o=gpt-5"}
    with claiming(home, lacking, **options) as (addon, guard):
        claimed(addon, guard, flow)
        await addon.request(flow)
    assert (flow.response, flow.request.raw_content) == (None, body)
    assert flow.request.headers["authorization"] == HOST_FIELDS[0][1].decode()
    assert "asks for gpt-4o: let go" in caplog.text


async def test_a_model_that_does_not_serve_is_not_named_where_the_pool_cannot_be_read(home: Path) -> None:
    flow = desk.request(model="gpt-4o").flow
    with claiming(home, logins.account("home", expires_at=0), codex_models="gpt-4o=gpt-5") as (addon, guard):
        turn = claimed(addon, guard, flow)
        assert addon.codex_accounts() == ["home"]
        (home / "accounts.json").write_text("{")
        await addon.request(flow)
    assert flow.response is not None and b"cannot use its accounts" in (flow.response.content or b"")
    assert turn.told == ()
