"""What we rely on in mitmproxy beyond its documented interface. A mitmproxy that changes any of it fails here, first.

`INTERNAL` below are the modules where these names are used.
"""

import ast
import collections
import dataclasses
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import addonmanager, eventsequence, flow, http, options, optmanager
from mitmproxy.addons import clientplayback, next_layer
from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.hooks import all_hooks
from mitmproxy.proxy import commands, context, events, layer
from mitmproxy.proxy.layers import http as http_layer
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode, HttpStream
from mitmproxy.proxy.layers.http._http1 import Http1Server
from mitmproxy.proxy.server import ConnectionHandler
from wsproto import extensions

from understudy.proxy.attempts import AttemptStream, CodexAttemptEndedHook, CodexWaitedHook
from understudy.proxy.claim import Leave
from understudy.proxy.layer import FIRST_ATTEMPT_ID, ReplayingLayer, replaying
from understudy.proxy.stream import ReplayingStream
from understudy.proxy.turn import Turns
from understudy.proxy.waiting import CodexCommittedHook

PACKAGE = Path(inspect.getfile(AttemptStream)).parents[1]


def parameters(function: Callable[..., Any]) -> list[str]:
    """The names of a function's parameters, without `self`."""
    return [name for name in inspect.signature(function).parameters if name != "self"]


def make_context() -> context.Context:
    """A connection of a host, before anything was decided about it."""
    client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), timestamp_start=1.0)
    client.state = ConnectionState.OPEN
    return context.Context(client, options.Options())


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("state_wait_for_request_headers", ["event"]),
        ("state_wait_for_response_headers", ["event"]),
        ("check_body_size", ["request"]),
        ("make_server_connection", []),
        ("handle_protocol_error", ["event"]),
        ("check_killed", ["emit_error_hook"]),
        ("send_response", ["already_streamed"]),
        ("flow_done", []),
        ("state_done", ["_"]),
        ("state_errored", ["_"]),
        ("_handle_event", ["event"]),
    ],
)
def test_the_stream_has_the_methods_that_ours_overrides_or_calls(method: str, expected: list[str]) -> None:
    function = getattr(HttpStream, method)
    assert parameters(function) == expected
    # A state that handles nothing may be a plain function behind `expect`; all others are generators.
    assert inspect.isgeneratorfunction(inspect.unwrap(function)) or method in ("state_done", "state_errored")


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


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("make_stream", ["stream_id"]),
        ("event_to_child", ["child", "event"]),
        ("get_connection", ["event", "reuse"]),
        ("_handle_event", ["event"]),
    ],
)
def test_the_layer_has_the_methods_that_ours_overrides_or_calls(method: str, expected: list[str]) -> None:
    function = getattr(HttpLayer, method)
    assert parameters(function) == expected
    assert inspect.isgeneratorfunction(function)


def test_the_layer_keeps_streams_connections_and_who_waits_in_plain_tables() -> None:
    made = HttpLayer(make_context(), HTTPMode.transparent)
    assert made.streams == {}
    assert isinstance(made.connections, dict)
    assert dict(made.waiting_for_establishment) == {}
    assert parameters(HttpLayer.__init__) == ["context", "mode"]
    assert made.context.layers == [made]


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (http_layer.RequestHeaders, ["stream_id", "request", "end_stream", "replay_flow"]),
        (http_layer.RequestData, ["stream_id", "data"]),
        (http_layer.RequestEndOfMessage, ["stream_id"]),
        (http_layer.RequestProtocolError, ["stream_id", "message", "code"]),
        (http_layer.ResponseHeaders, ["stream_id", "response", "end_stream"]),
        (http_layer.ResponseData, ["stream_id", "data"]),
        (http_layer.ResponseEndOfMessage, ["stream_id"]),
        (http_layer.ResponseProtocolError, ["stream_id", "message", "code"]),
    ],
)
def test_events_of_the_protocol_have_their_fields_in_this_order(event: type, fields: list[str]) -> None:
    assert [field.name for field in dataclasses.fields(event)] == fields


def test_commands_are_made_as_we_make_them() -> None:
    assert parameters(http_layer.DropStream.__init__) == ["stream_id"]
    assert parameters(http_layer.SendHttp.__init__) == ["event", "connection"]
    assert parameters(commands.RequestWakeup.__init__) == ["delay"]
    assert parameters(commands.CloseConnection.__init__)[:1] == ["connection"]
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
    assert "self.server_event(events.Wakeup(request))" in inspect.getsource(ConnectionHandler.wakeup)


def test_a_host_s_connection_is_whatever_the_layer_has_in_its_table_for_it() -> None:
    assert parameters(http_layer.HttpConnection.__init__) == ["context", "conn"]
    assert parameters(http_layer.ReceiveHttp.__init__) == ["event"]
    source = inspect.getsource(HttpLayer.event_to_child)
    assert "conn = self.connections[command.connection]" in source
    assert "yield from self.make_stream(command.event.stream_id)" in source
    assert "handler = self.connections[event.connection]" in inspect.getsource(HttpLayer._handle_event)


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


def test_a_websocket_s_extension_has_one_place_where_it_changes_what_goes_out() -> None:
    assert parameters(extensions.PerMessageDeflate.frame_outbound) == ["proto", "opcode", "rsv", "data", "fin"]


def test_client_replay_is_a_layer_that_we_can_take_the_place_of() -> None:
    assert parameters(clientplayback.ReplayHandler.__init__) == ["flow", "options"]
    recorded = http.HTTPFlow(make_context().client, Server(address=("example.org", 443)))
    recorded.request = http.Request.make("POST", "https://example.org/")
    source = inspect.getsource(clientplayback.ReplayHandler.__init__)
    for relied_upon in ("self.layer = layers.HttpLayer(context, HTTPMode.transparent)", "self.layer.connections["):
        assert relied_upon in source
    # `replay.client` looks the class up by this name at every replay.
    assert "ReplayHandler(" in inspect.getsource(clientplayback.ClientPlayback.playback)


def test_the_next_layer_addon_answers_to_its_name_and_leaves_a_decision_alone() -> None:
    assert parameters(next_layer.NextLayer.next_layer) == ["nextlayer"]
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


INTERNAL = ("attempts", "following", "layer", "socket", "solo", "stream", "timed", "upgrade", "waiting")


def test_only_the_mitmproxy_side_knows_mitmproxy_s_layers() -> None:
    internal = {ours for ours, module, _ in mitmproxy_imports() if module.startswith("mitmproxy.proxy.layers")}
    assert internal == {f"proxy/{name}.py" for name in INTERNAL}
