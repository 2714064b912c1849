"""What a user sees in mitmweb, in `-w` files and by mitmproxy's commands: every attempt, and only what was so."""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from mitmproxy import http
from mitmproxy.io import FlowReader, FlowWriter

from support.backstage import Backstage, Web
from support.hosts import HOST_KEY, Answer, curl
from support.peers import OPENAI, Origin, Tunnel, post, server_tls
from support.proxy import Proxy
from support.theatre import eventually, member, read_events
from understudy.pool.pool import over_accounts
from understudy.sandbox.server import Sandbox
from understudy.state.accounts import AccountStore

MakeBackstage = Callable[[], Backstage]

GREEN = "\N{LARGE GREEN CIRCLE}"
WORDS = "Nobody in the house can tell."
ASKED: dict[str, object] = {"model": "gpt-5.5", "input": "hi"}
STREAMED = ASKED | {"stream": True}
SCENARIO: dict[str, object] = {
    "accounts": {
        "work": {"steps": [{"do": "usage_limit", "resets_in": 7200}]},
        "play": {"steps": [{"do": "early_failed", "code": "rate_limit_exceeded"}]},
        "home": {"steps": [{"do": "answer", "text": WORDS}]},
    }
}
TWO: dict[str, object] = {
    "accounts": {
        "work": {"steps": [{"do": "usage_limit", "resets_in": 7200}]},
        "home": {"steps": [{"do": "answer", "text": WORDS}]},
    }
}


def read_flows(path: Path) -> list[http.HTTPFlow]:
    """The flows of a dump, in the order of writing."""
    with path.open("rb") as file:
        flows = list(FlowReader(file).stream())
    assert all(isinstance(flow, http.HTTPFlow) for flow in flows)
    return [flow for flow in flows if isinstance(flow, http.HTTPFlow)]


@dataclass(frozen=True, slots=True)
class Dump:
    """What one request left in the dump, and in the host's and the backend's hands."""

    path: Path
    flows: list[http.HTTPFlow]
    answer: Answer
    log: str
    upstream: list[bytes]

    @property
    def input_tokens(self) -> object:
        """What the answer itself says that it has read."""
        return member(member(read_events(self.answer.body)[-1], "response"), "usage")["input_tokens"]


@pytest.fixture(scope="module")
def dump(make_backstage: MakeBackstage) -> Dump:
    stage = make_backstage()
    path = stage.folder / "flows"
    with Sandbox(SCENARIO) as sandbox:
        stage.enrol(sandbox)
        with stage.proxy(sandbox, arguments=("-w", str(path))) as proxy:
            answer = curl(proxy, STREAMED)
        upstream = [entry.content for entry in sandbox.journal.responses()]
    return Dump(path, read_flows(path), answer, proxy.log, upstream)


class TestAttempts:
    """The first account has a usage limit, the second fails early and again, the third answers."""

    def test_each_is_a_flow_of_its_own_in_the_order_of_making(self, dump: Dump) -> None:
        until = time.strftime("%H:%M", time.localtime(time.time() + 7200))
        first, *middle, last = [flow.comment for flow in dump.flows]
        told = re.fullmatch(
            r"understudy: work \(first in order\), attempt 1, 429 usage limit until (\d\d:\d\d), "
            r"replaced by play \(first in order\)",
            first,
        )
        assert told is not None
        assert abs(minutes(told[1]) - minutes(until)) in (0, 1, 24 * 60 - 1)
        assert [comment.split(",")[:2] for comment in middle] == [
            ["understudy: play (first in order)", f" attempt {number}"] for number in range(2, len(middle) + 2)
        ]
        assert middle[-1].endswith("replaced by home (first in order)")
        assert last == (
            f"understudy: home (first in order), attempt {len(dump.flows)}, 200 ok, "
            f"0 of {dump.input_tokens} input tokens cached"
        )
        assert len(dump.flows) == len(dump.upstream) == len({flow.id for flow in dump.flows})

    def test_each_is_marked_by_its_end(self, dump: Dump) -> None:
        assert [flow.marked for flow in dump.flows[:-1]] == [":red_circle:"] * (len(dump.flows) - 1)
        assert dump.flows[-1].marked == ":green_circle:"

    def test_each_shows_the_request_that_was_sent_with_the_placeholder_for_the_token(self, dump: Dump) -> None:
        for flow, content in zip(dump.flows, dump.upstream, strict=True):
            label = flow.metadata["understudy"]["account"]
            assert flow.request.headers["authorization"] == f"Bearer understudy:{label}"
            assert flow.request.path == "/backend-api/codex/responses"
            assert flow.request.raw_content == content
            assert json.loads(content)["store"] is False
            assert HOST_KEY not in repr(flow.get_state())

    def test_each_shows_the_answer_that_came(self, dump: Dump) -> None:
        first, *middle, last = dump.flows
        assert first.response is not None and first.response.status_code == 429
        assert json.loads(first.response.raw_content or b"")["error"]["type"] == "usage_limit_reached"
        for flow in middle:
            assert flow.response is not None and flow.response.status_code == 200
            assert b"event: response.failed\n" in (flow.response.raw_content or b"")
        assert last.response is not None and last.response.raw_content == dump.answer.body

    def test_the_log_has_the_same_lines(self, dump: Dump) -> None:
        for flow in dump.flows:
            assert re.search(re.escape(flow.comment) + r" \(\d+ ms\)\n", dump.log), flow.comment

    def test_metadata_is_plain_values(self, dump: Dump) -> None:
        seen = [flow.metadata["understudy"] for flow in dump.flows]
        assert [entry["account"] for entry in seen][:2] == ["work", "play"]
        assert [entry["attempt"] for entry in seen] == list(range(1, len(seen) + 1))
        assert [entry["chosen_by"] for entry in seen] == ["order"] * len(seen)
        assert (seen[0]["code"], seen[-1]["code"]) == ("retry_other_account_after_usage_limit", "")
        assert [(entry["input_tokens"], entry["cached_tokens"], entry["move_cost"]) for entry in seen] == [
            *[(None, None, 0)] * (len(seen) - 1),
            (dump.input_tokens, 0, 0),
        ]
        assert json.loads(json.dumps(seen)) == seen


class TestCaches:
    """What an answer has found in its account's prompt cache, and what it cost the session to come from another."""

    def test_a_session_finds_its_prompt_cached_until_it_has_to_move(self, make_backstage: MakeBackstage) -> None:
        stage = make_backstage()
        path = stage.folder / "flows"
        work = {"steps": [{"do": "answer"}, {"do": "answer"}, {"do": "usage_limit", "resets_in": 7200}]}
        with Sandbox({"accounts": {"work": work, "home": {}}}) as sandbox:
            stage.enrol(sandbox)
            with stage.proxy(sandbox, arguments=("-w", str(path))) as proxy:
                for _ in range(3):
                    assert curl(proxy, STREAMED | {"input": "hi" * 1000, "prompt_cache_key": "mine"}).status == 200
            tokens, cached = next((e.input_tokens, e.cached_tokens) for e in sandbox.journal.responses()[1:])
        assert tokens and cached
        first, second, limited, moved = [flow.comment for flow in read_flows(path)]
        assert first == f"understudy: work (first in order), attempt 1, 200 ok, 0 of {tokens} input tokens cached"
        assert second == (
            f"understudy: work (the session's account), attempt 1, 200 ok, {cached} of {tokens} input tokens cached"
        )
        assert limited.startswith("understudy: work (the session's account), attempt 1, 429 usage limit until ")
        assert limited.endswith(", replaced by home (first in order)")
        assert moved == (
            f"understudy: home (first in order), attempt 2, 200 ok, 0 of {tokens} input tokens cached, "
            f"{tokens} lost by the move"
        )


class TestRecording:
    """`codex_record` bounds what a flow keeps of a streamed answer; the host gets all of it."""

    @pytest.mark.parametrize("bytes_kept", [0, 1, 1000, 10_000_000])
    def test_keeps_as_many_bytes_as_the_option_says(self, make_backstage: MakeBackstage, bytes_kept: int) -> None:
        stage = make_backstage()
        path = stage.folder / "flows"
        with Sandbox({"accounts": {"home": {"steps": [{"do": "answer", "words": 50}]}}}) as sandbox:
            stage.enrol(sandbox)
            options = {"codex_record": bytes_kept}
            with stage.proxy(sandbox, arguments=("-w", str(path)), options=options) as proxy:
                answer = curl(proxy, STREAMED)
        [flow] = read_flows(path)
        assert flow.response is not None
        assert len(answer.body) > 5000
        assert flow.response.raw_content == answer.body[:bytes_kept]


class TestFaults:
    """Ends that are no answer."""

    def test_an_attempt_without_an_answer_is_shown_as_an_error(self, make_backstage: MakeBackstage) -> None:
        stage = make_backstage()
        path = stage.folder / "flows"
        steps = [{"do": "reset"}, {"do": "answer"}]
        with Sandbox({"accounts": {"home": {"steps": steps}}}) as sandbox:
            stage.enrol(sandbox)
            with stage.proxy(sandbox, arguments=("-w", str(path))) as proxy:
                assert curl(proxy, STREAMED).status == 200
        failed, served = read_flows(path)
        assert failed.response is None and failed.error is not None
        assert re.fullmatch(
            r"understudy: home \(first in order\), attempt 1, connection lost .*, tried again after \d\.\d s",
            failed.comment,
        )
        assert served.comment.startswith("understudy: home (first in order), attempt 2, 200 ok, ")

    def test_an_answer_that_broke_off_says_so(self, make_backstage: MakeBackstage) -> None:
        stage = make_backstage()
        path = stage.folder / "flows"
        with Sandbox({"accounts": {"home": {"steps": [{"do": "cut", "when": "mid_text"}]}}}) as sandbox:
            stage.enrol(sandbox)
            with stage.proxy(sandbox, arguments=("-w", str(path))) as proxy:
                answer = curl(proxy, STREAMED)
        [flow] = read_flows(path)
        assert b"event: response.failed\n" in answer.body
        assert flow.marked == ":red_circle:"
        assert flow.comment == (
            "understudy: home (first in order), attempt 1, 200 the backend ended the answer before it was complete"
        )

    def test_a_request_that_was_refused_says_so(self, make_backstage: MakeBackstage) -> None:
        stage = make_backstage()
        path = stage.folder / "flows"
        with Sandbox(SCENARIO) as sandbox, stage.proxy(sandbox, arguments=("-w", str(path))) as proxy:
            answer = curl(proxy, ASKED)
        [flow] = read_flows(path)
        assert (answer.status, answer.error["code"]) == (503, "understudy_no_account")
        assert "understudy login" in str(answer.error["message"])
        assert flow.comment.startswith("understudy: refused, 503 understudy_no_account")
        assert HOST_KEY not in repr(flow.get_state())


def test_flows_that_are_loaded_from_a_file_stay_as_they_are(make_backstage: MakeBackstage, dump: Dump) -> None:
    stage = make_backstage()
    foreign = stage.folder / "loaded"
    flows = [*dump.flows, live_looking_flow()]
    with foreign.open("wb") as file:
        writer = FlowWriter(file)
        for flow in flows:
            writer.add(flow)
    path = stage.folder / "written"
    with Sandbox(SCENARIO) as sandbox:
        stage.enrol(sandbox)
        with stage.proxy(sandbox, arguments=("-r", str(foreign), "-w", str(path))) as proxy:
            proxy.wait_for_log(re.escape("/v1/responses"))
        assert sandbox.journal.entries() == ()
    assert [flow.get_state() for flow in read_flows(path)] == [flow.get_state() for flow in flows]


def live_looking_flow() -> http.HTTPFlow:
    """A flow that was recorded without us: addressed to our host, its host's key in it, answered by api.openai.com."""
    from mitmproxy.connection import Client, Server

    client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), timestamp_start=1.0)
    flow = http.HTTPFlow(client, Server(address=(OPENAI, 443)))
    flow.request = http.Request.make(
        "POST", f"https://{OPENAI}/v1/responses", json.dumps(ASKED), [(b"authorization", f"Bearer {HOST_KEY}".encode())]
    )
    flow.response = http.Response.make(200, b"{}")
    return flow


@dataclass(frozen=True, slots=True)
class Window:
    """mitmweb with its proxy and the sandbox behind it."""

    web: Web
    proxy: Proxy
    sandbox: Sandbox
    openai: Origin

    def ask(self, asked: dict[str, object]) -> Answer:
        """A host's request. Its flow has ended too: the end of the answer is sent when all addons have seen it."""
        return curl(self.proxy, asked)

    def replayed(self, flow_id: str) -> dict[str, object]:
        """Replays a flow, and gives it as mitmweb shows it afterwards.

        mitmproxy itself says when it is over. The log does not: a refusal's line is written before its flow has ended,
        and lines come to us through another process's pipe, later than answers.
        """
        self.web.post(f"/flows/{flow_id}/replay")
        eventually(lambda: self.web.command("replay.client.count") == 0, timeout=30)
        [flow] = [flow for flow in self.web.flows() if flow["id"] == flow_id]
        assert flow["is_replay"] == "request", self.proxy.log
        return flow

    def served(self) -> str:
        """The id of the one flow that was answered."""
        [flow] = [flow for flow in self.web.flows() if flow["marked"] == GREEN]
        return str(flow["id"])

    def body(self, flow_id: str) -> bytes:
        """The answer's body, as mitmweb shows it."""
        return self.web.get(f"/flows/{flow_id}/response/content.data")


@pytest.fixture
def window(make_backstage: MakeBackstage, authority: trustme.CA) -> Iterator[Window]:
    stage, web = make_backstage(), Web()
    with Sandbox(TWO) as sandbox, Origin(server_tls(authority, OPENAI)) as openai:
        stage.enrol(sandbox)
        routes = {f"{OPENAI}:443": openai.port}
        with stage.proxy(sandbox, program="mitmweb", routes=routes, options=web.options) as proxy:
            proxy.wait_for_log("Web server listening")
            yield Window(web, proxy, sandbox, openai)
        assert openai.requests == []


class TestMitmweb:
    """The web interface, asked the way its own pages ask."""

    def test_shows_each_attempt_and_runs_our_commands(self, window: Window) -> None:
        answer = window.ask(STREAMED)
        flows = window.web.flows()
        comments = [str(flow["comment"]) for flow in flows]
        assert len(flows) == len(window.sandbox.journal.responses())
        assert sorted(comments)[0].startswith("understudy: home (first in order), attempt ")
        assert window.body(window.served()) == answer.body

        assert window.web.command("codex.accounts") == ["work", "home"]
        status = json.loads(str(window.web.command("codex.status")))
        assert status["version"] == 1
        assert [account["label"] for account in status["accounts"]] == ["work", "home"]

    def test_the_user_chooses_accounts_by_commands(self, window: Window) -> None:
        command = window.web.command

        def shown() -> list[tuple[str, object, object]]:
            accounts = json.loads(str(command("codex.status")))["accounts"]
            return [(account["label"], account["pinned"], account["enabled"]) for account in accounts]

        assert command("codex.use", "home") == "home is pinned"
        assert shown() == [("work", None, True), ("home", "hard", True)]
        assert window.ask(ASKED).status == 200
        assert [entry.account for entry in window.sandbox.journal.responses()] == ["home"]
        assert command("codex.use", "home", "soft") == "home is preferred"
        assert command("codex.unpin") == "the pin is taken away"
        assert command("codex.disable", "work") == "work is disabled"
        assert shown() == [("work", None, False), ("home", None, True)]
        assert command("codex.enable", "work") == "work is enabled"
        assert AccountStore(window.proxy.home).read().pin is None

    def test_a_choice_that_cannot_be_made_says_why(self, window: Window) -> None:
        command = window.web.command
        assert "no account is called 'nobody' (there are: work, home)" in str(command("codex.use", "nobody"))
        assert "codex.use LABEL soft" in str(command("codex.use", "home", "hard"))
        command("codex.disable", "home")
        assert "understudy accounts enable home" in str(command("codex.use", "home"))

    @pytest.mark.parametrize("asked", [ASKED, STREAMED], ids=["whole", "streamed"])
    def test_a_flow_that_is_replayed_is_carried_out_anew(self, window: Window, asked: dict[str, object]) -> None:
        window.ask(asked)
        flow_id = window.served()
        before = window.body(flow_id)
        calls = len(window.sandbox.journal.responses())

        shown = window.replayed(flow_id)

        assert str(shown["comment"]).startswith("understudy: home (in use), attempt 1, 200 ok, ")
        after = window.body(flow_id)
        entries = window.sandbox.journal.responses()
        assert len(entries) == calls + 1
        assert (entries[-1].account, entries[-1].token) == ("home", "good")
        assert entries[-1].body == entries[-2].body
        assert entries[-1].response_id.encode() in after
        assert before != after
        assert after.startswith(b"event: ") is ("stream" in asked)
        assert WORDS in after.decode() or "stream" in asked

    def test_an_attempt_that_failed_is_replayed_by_an_account_that_can(self, window: Window) -> None:
        window.ask(STREAMED)
        [limited] = [flow for flow in window.web.flows() if str(flow["comment"]).startswith("understudy: work")]
        shown = window.replayed(str(limited["id"]))
        assert str(shown["comment"]).startswith("understudy: home (in use), attempt 1, 200 ok, ")
        assert window.sandbox.journal.responses()[-1].account == "home"

    def test_a_flow_that_no_account_can_carry_out_again_says_why(self, window: Window) -> None:
        window.sandbox.set_steps("home", [{"do": "answer"}, {"do": "usage_limit", "resets_in": 60}])
        window.ask(STREAMED)
        flow_id = window.served()
        AccountStore(window.proxy.home).update(over_accounts(lambda _: ()))
        calls = len(window.sandbox.journal.responses())

        window.replayed(flow_id)

        error = json.loads(window.body(flow_id))["error"]
        assert error["code"] == "understudy_no_account"
        assert "understudy login" in error["message"]
        assert len(window.sandbox.journal.responses()) == calls

    def test_a_flow_that_was_refused_is_replayed_only_where_it_may_be(self, window: Window) -> None:
        with Tunnel(window.proxy) as host:
            refused = host.exchange(post("/v1/responses", b"{}", "Host: evil.test"))
        assert refused.status in (400, 421)
        calls = len(window.sandbox.journal.entries())
        [flow] = window.web.flows()
        shown = window.replayed(str(flow["id"]))
        answered = shown["response"]
        assert isinstance(answered, dict) and answered["status_code"] == refused.status
        assert len(window.sandbox.journal.entries()) == calls


def minutes(clock: str) -> int:
    """Minutes since midnight."""
    hour, _, minute = clock.partition(":")
    return int(hour) * 60 + int(minute)
