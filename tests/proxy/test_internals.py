"""What we rely on in mitmproxy beyond its documented interface. A mitmproxy that changes any of it fails here, first.

What can be listed is in `understudy.proxy.internals`, which `understudy doctor` goes through as well. `INTERNAL` below
are the modules where these names are used.
"""

import ast
import collections
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import addonmanager, eventsequence, flow, http, options, optmanager
from mitmproxy.addons import next_layer
from mitmproxy.connection import Server
from mitmproxy.hooks import all_hooks
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import http as http_layer
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode, HttpStream
from mitmproxy.proxy.layers.http._http1 import Http1Server
from mitmproxy.proxy.server import ConnectionHandler

from understudy.proxy import internals
from understudy.proxy.attempts import AttemptStream, CodexAttemptEndedHook, CodexWaitedHook
from understudy.proxy.claim import Leave
from understudy.proxy.internals import Reliance, make_context
from understudy.proxy.layer import FIRST_ATTEMPT_ID, ReplayingLayer, replaying
from understudy.proxy.stream import ReplayingStream
from understudy.proxy.turn import Turns
from understudy.proxy.waiting import CodexCommittedHook

PACKAGE = Path(inspect.getfile(AttemptStream)).parents[1]


@pytest.mark.parametrize("reliance", internals.RELIED_UPON, ids=lambda reliance: reliance.title)
def test_mitmproxy_has_what_ours_overrides_calls_or_makes(reliance: Reliance) -> None:
    assert reliance.holds


@pytest.mark.parametrize(("function", "text"), internals.SOURCES)
def test_mitmproxy_s_own_code_does_what_is_relied_upon(function: Callable[..., Any], text: str) -> None:
    assert text in inspect.getsource(function)


def test_the_self_test_finds_no_fault() -> None:
    assert internals.faults() == ()


def test_the_self_test_names_a_method_that_has_another_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpStream, "flow_done", lambda self, why: iter(()))
    assert internals.faults() == ("HttpStream.flow_done is another",)


def test_the_self_test_names_a_function_that_works_in_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(internals, "SOURCES", ((HttpLayer.event_to_child, "this is nowhere in it"),))
    assert internals.faults() == ("HttpLayer.event_to_child works in another way",)


def test_the_self_test_sees_that_our_layer_is_not_put_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(internals, "replaying", lambda top, turns: top)
    assert internals.faults() == ("our layer does not get into the place of mitmproxy's",)


@pytest.mark.parametrize("method", ["state_wait_for_request_headers", "state_wait_for_response_headers"])
def test_the_stream_s_states_are_what_it_starts_in(method: str) -> None:
    stream = HttpStream(make_context(), 1)
    assert hasattr(stream, method)
    steps = stream.handle_event(events.Start())
    assert list(steps) == []
    assert stream.client_state == stream.state_wait_for_request_headers
    assert stream.server_state == stream.state_uninitialized
    for buffer in (stream.request_body_buf, stream.response_body_buf):
        assert len(buffer) == 0
        buffer += b"x"
        assert bytes(buffer) == b"x"


def test_the_layer_keeps_streams_connections_and_who_waits_in_plain_tables() -> None:
    made = HttpLayer(make_context(), HTTPMode.transparent)
    assert made.streams == {}
    assert isinstance(made.connections, dict)
    assert dict(made.waiting_for_establishment) == {}
    assert made.context.layers == [made]


def test_commands_are_made_as_we_make_them() -> None:
    wanted = http_layer.GetHttpConnection(("127.0.0.1", 1), False, None, "tcp")
    assert wanted.blocking is True
    wakeup = commands.RequestWakeup(1.0)
    assert events.Wakeup(wakeup).command is wakeup


def test_an_error_s_code_is_a_status_on_11_and_an_enum_on_12() -> None:
    codes = getattr(http_layer, "ErrorCode", None)
    if codes is None:
        from mitmproxy.net.http import status_codes

        assert (status_codes.CLIENT_CLOSED_REQUEST, status_codes.NO_RESPONSE) == (499, 444)
    else:
        assert {"CANCEL", "KILL"} <= set(codes.__members__)


@pytest.mark.parametrize(
    ("hook", "name"),
    [
        (CodexAttemptEndedHook, "codex_attempt_ended"),
        (CodexWaitedHook, "codex_waited"),
        (CodexCommittedHook, "codex_committed"),
    ],
)
def test_a_hook_of_ours_is_called_by_its_class_s_name(hook: type[commands.StartHook], name: str) -> None:
    assert hook.name == name
    assert all_hooks[name] is hook
    assert issubclass(hook, commands.StartHook)


def test_a_wakeup_is_activity_for_the_timer_that_hangs_up_on_hosts() -> None:
    source = inspect.getsource(ConnectionHandler.server_event)
    assert source.index("self.timeout_watchdog.register_activity()") < source.index("self.layer.handle_event(event)")


def test_an_http1_connection_keeps_what_comes_behind_a_request_that_is_being_answered() -> None:
    server = Http1Server(make_context())
    upgrade = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
    for event in (
        events.Start(),
        events.DataReceived(server.conn, upgrade),
        events.DataReceived(server.conn, b"early"),
    ):
        collections.deque(server.handle_event(event), maxlen=0)
    assert (bytes(server.buf), server.stream_id % 2) == (b"early", 1)


def test_the_next_layer_addon_answers_to_its_name_and_leaves_a_decision_alone() -> None:
    decided = layer.NextLayer(make_context())
    decided.layer = chosen = HttpLayer(make_context(), HTTPMode.transparent)
    next_layer.NextLayer().next_layer(decided)
    assert decided.layer is chosen
    assert type(next_layer.NextLayer()).__name__.lower() == "nextlayer"


def test_an_option_that_nobody_set_is_told_from_one_set_to_its_default() -> None:
    made = options.Options()
    name = "listen_host"
    assert made._options[name].value is optmanager.unset
    made.update(**{name: made.default(name)})
    assert made._options[name].value is not optmanager.unset


def test_flows_that_are_shown_go_the_way_of_flows_that_are_loaded() -> None:
    recorded = http.HTTPFlow(make_context().client, Server(address=("example.org", 443)))
    recorded.request = http.Request.make("GET", "https://example.org/")
    recorded.response = http.Response.make(200)
    names = [event.name for event in eventsequence.iterate(recorded)]
    assert names == ["requestheaders", "request", "responseheaders", "response"]
    assert recorded.copy().live is False
    assert inspect.iscoroutinefunction(addonmanager.AddonManager.handle_lifecycle)
    assert isinstance(recorded, flow.Flow)


class TestOurPlace:
    """Our layer stands where mitmproxy's was, and its streams are ours."""

    @pytest.fixture
    def turns(self) -> Turns:
        return Turns(lambda _: Leave())

    @pytest.mark.parametrize("mode", HTTPMode)
    def test_a_bare_layer_is_replaced_in_the_context_as_well(self, turns: Turns, mode: HTTPMode) -> None:
        stock = HttpLayer(make_context(), mode)
        ours = replaying(stock, turns)
        assert type(ours) is ReplayingLayer
        assert ours.context.layers == [ours]
        assert (ours.mode, ours.connections) == (stock.mode, stock.connections)

    def test_what_is_no_http_stays(self, turns: Turns) -> None:
        other = layer.NextLayer(make_context())
        assert replaying(other, turns) is other

    def test_streams_are_ours_and_attempts_have_ids_that_no_host_can_use(self, turns: Turns) -> None:
        ours = ReplayingLayer(make_context(), HTTPMode.transparent, turns)
        assert list(ours.make_stream(1)) == []
        stream = ours.streams[1]
        assert isinstance(stream, ReplayingStream)
        first, second = ours.register(stream), ours.register(stream)
        assert (first, second - first) == (FIRST_ATTEMPT_ID, 2)
        assert first > 2**31 and first % 2 == 1
        assert ours.streams[first] is ours.streams[second] is stream


def mitmproxy_imports() -> Iterator[tuple[str, str, str]]:
    """Every name that the package takes from mitmproxy, and by which module of ours."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "mitmproxy":
                for alias in node.names:
                    yield str(path.relative_to(PACKAGE)), node.module or "", alias.name


@pytest.mark.parametrize(("ours", "module", "name"), [*mitmproxy_imports()])
def test_every_name_we_take_from_mitmproxy_is_there(ours: str, module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name) or importlib.import_module(f"{module}.{name}")


INTERNAL = (
    "attempts",
    "following",
    "internals",
    "layer",
    "shut",
    "socket",
    "solo",
    "stream",
    "timed",
    "upgrade",
    "waiting",
)


def test_only_the_mitmproxy_side_knows_mitmproxy_s_layers() -> None:
    internal = {ours for ours, module, _ in mitmproxy_imports() if module.startswith("mitmproxy.proxy.layers")}
    assert internal == {f"proxy/{name}.py" for name in INTERNAL}
