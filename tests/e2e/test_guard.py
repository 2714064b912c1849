"""Fail closed: whatever breaks, in us or beside us, the host's key and its request reach nobody.

`openai` stands where api.openai.com would be. It never sees anything but the paths that are not ours.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme

from support.backstage import Backstage, times
from support.hosts import HOST_KEY, Answer
from support.peers import OPENAI, Names, Origin, Tunnel, post, server_tls
from support.proxy import SCRIPT, Proxy, clean_environment
from understudy.sandbox.server import Sandbox

MakeBackstage = Callable[[], Backstage]

CANARY = "canary-in-the-exception"
BODY = json.dumps({"model": "gpt-5.5", "input": "hi", "stream": True}).encode()
AUTHORIZATION = f"Authorization: Bearer {HOST_KEY}"
REQUEST = post("/v1/responses", BODY, AUTHORIZATION)
FILES = f"GET /v1/files HTTP/1.1\r\nHost: {OPENAI}\r\nX-Kept: Yes\r\n\r\n".encode()
BOTTOMLESS = [{"minutes": 300, "cost": 0}]
SCENARIO: dict[str, object] = {"accounts": {"home": {"steps": [{"do": "answer", "words": 3}], "windows": BOTTOMLESS}}}


def ask(proxy: Proxy) -> Answer:
    """One request of a host, on a connection of its own."""
    with Tunnel(proxy) as host:
        return host.exchange(REQUEST)


def is_whole(answer: Answer) -> bool:
    """Whether an answer is a stream that has come to its end."""
    return answer.status == 200 and b"event: response.completed\n" in answer.body


@pytest.fixture(scope="module")
def openai(authority: trustme.CA) -> Iterator[Origin]:
    with Origin(server_tls(authority, OPENAI)) as origin:
        yield origin


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SCENARIO) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def the_key_reaches_nobody(sandbox: Sandbox, openai: Origin) -> Iterator[None]:
    sandbox.journal.clear()
    sandbox.set_steps("home", [{"do": "answer", "words": 3}])
    openai.forget()
    yield
    assert [request for request in openai.requests if not request.startswith(b"GET /v1/files ")] == []
    assert HOST_KEY.encode() not in openai.received
    journal = sandbox.journal.to_json().decode()
    assert HOST_KEY not in journal
    assert {entry.account for entry in sandbox.journal.responses()} <= {"home"}


class Meddling:
    """A script beside ours that runs a line of Python, given by the test, in one of mitmproxy's hooks."""

    def __init__(self, folder: Path) -> None:
        self.script = folder / "meddling.py"
        self._plan = folder / "plan"
        self.does("", "")
        self.script.write_text(
            "from pathlib import Path\n"
            "from mitmproxy import ctx\n\n\n"
            "def meddle(hook, **names):\n"
            f"    where, _, what = Path({str(self._plan)!r}).read_text().partition(': ')\n"
            "    if where == hook:\n"
            "        exec(what, {'ctx': ctx, **names})\n\n\n"
            "def requestheaders(flow):\n"
            "    meddle('requestheaders', flow=flow)\n\n\n"
            "def request(flow):\n"
            "    meddle('request', flow=flow)\n\n\n"
            "def server_connect(data):\n"
            "    meddle('server_connect', data=data)\n"
        )

    def does(self, hook: str, line: str) -> None:
        """From the next flow on."""
        self._plan.write_text(f"{hook}: {line}")


class TestAFaultInAHook:
    """Exceptions of every kind, planted in the running addon."""

    MITMPROXY_CATCHES = ("Exception", "RecursionError", "MemoryError")
    ERRORS = (*MITMPROXY_CATCHES, "CancelledError", "SystemExit")

    @pytest.mark.parametrize("error", ERRORS)
    @pytest.mark.parametrize("place", ["Understudy._verdict", "Understudy._turn", "Dispatcher.prepare", "Reader.read"])
    def test_before_anything_was_sent_is_a_502_and_nothing_is_sent(
        self, faulty: "Faulty", sandbox: Sandbox, place: str, error: str
    ) -> None:
        faulty.plant(place, error)
        answer = ask(faulty.proxy)
        assert (answer.status, answer.error["type"]) == (502, "understudy_error")
        assert CANARY not in answer.body.decode()
        assert sandbox.journal.responses() == ()
        assert CANARY not in faulty.proxy.log

    @pytest.mark.parametrize("error", MITMPROXY_CATCHES)
    def test_as_the_token_is_sealed_in_is_a_502_and_nothing_is_sent(
        self, faulty: "Faulty", sandbox: Sandbox, error: str
    ) -> None:
        faulty.plant("Attempt.seal", error)
        answer = ask(faulty.proxy)
        assert (answer.status, answer.error["type"]) == (502, "understudy_error")
        assert sandbox.journal.responses() == ()
        assert CANARY not in faulty.proxy.log

    @pytest.mark.parametrize("error", ERRORS)
    @pytest.mark.parametrize("place", ["Dispatcher.decide", "Learner.counts", "Learner.failed"])
    def test_between_two_attempts_is_a_502_and_the_last_of_them(
        self, faulty: "Faulty", sandbox: Sandbox, place: str, error: str
    ) -> None:
        sandbox.set_steps("home", [{"do": "short_limit", "seconds": 0}, {"do": "answer"}])
        faulty.plant(place, error)
        answer = ask(faulty.proxy)
        assert (answer.status, answer.error["type"]) == (502, "understudy_error")
        assert len(sandbox.journal.responses()) == 1

    @pytest.mark.parametrize("error", ERRORS)
    def test_in_showing_an_attempt_does_not_keep_the_next_from_being_made(
        self, faulty: "Faulty", sandbox: Sandbox, error: str
    ) -> None:
        sandbox.set_steps("home", [{"do": "short_limit", "seconds": 0}, {"do": "answer"}])
        faulty.plant("views.attempt_flow", error)
        assert is_whole(ask(faulty.proxy))
        assert len(sandbox.journal.responses()) == 2

    @pytest.mark.parametrize("error", ERRORS)
    @pytest.mark.parametrize("place", ["Learner.committed", "Learner.finished", "views.last_line"])
    def test_once_the_answer_is_on_its_way_does_not_keep_it_from_the_host(
        self, faulty: "Faulty", place: str, error: str
    ) -> None:
        faulty.plant(place, error)
        assert is_whole(ask(faulty.proxy))

    @pytest.mark.parametrize("error", MITMPROXY_CATCHES)
    @pytest.mark.parametrize("place", ["Understudy.next_layer", "Understudy.requestheaders", "Understudy.request"])
    def test_that_leaves_the_hook_is_a_502_by_the_guard(
        self, faulty: "Faulty", sandbox: Sandbox, place: str, error: str
    ) -> None:
        faulty.plant(place, error)
        answer = ask(faulty.proxy)
        assert (answer.status, answer.error["type"]) == (502, "understudy_error")
        assert sandbox.journal.responses() == ()

    @pytest.mark.parametrize("place", ["response_of", "judge", "names_of", "Guard.concerns"])
    def test_in_the_guard_as_well_stops_the_request(self, faulty: "Faulty", sandbox: Sandbox, place: str) -> None:
        guards = place if "." in place else f"guard.{place}"
        faulty.plant(f"Understudy.requestheaders,Understudy.request,{guards}", "Exception")
        with Tunnel(faulty.proxy) as host:
            host.send(REQUEST)
            status = host.status()
        assert status in (None, 502)
        assert sandbox.journal.responses() == ()

    @pytest.mark.parametrize("error", MITMPROXY_CATCHES)
    @pytest.mark.parametrize("place", ["Guard.tls_clienthello", "Understudy.responseheaders"])
    def test_that_leaves_a_hook_which_decides_nothing_costs_nothing(
        self, faulty: "Faulty", place: str, error: str
    ) -> None:
        faulty.plant(place, error)
        assert is_whole(ask(faulty.proxy))

    def test_that_stops_the_hooks_stops_the_request_with_them(self, faulty: "Faulty", sandbox: Sandbox) -> None:
        faulty.plant("Understudy.requestheaders", "CancelledError")
        with Tunnel(faulty.proxy) as host:
            host.send(REQUEST)
            faulty.wait_until_struck()
            # The proxy lives on, and what it does for others it does after what it would have done for this one.
            faulty.plant("", "")
            assert is_whole(ask(faulty.proxy))
        assert len(sandbox.journal.responses()) == 1

    def test_at_the_start_keeps_the_proxy_from_starting(self, make_backstage: MakeBackstage, sandbox: Sandbox) -> None:
        stage = make_backstage()
        script = Faulty.write(stage.folder)
        (stage.folder / "plan").write_text("Understudy.load Exception")
        command = [str(Path(sys.executable).with_name("mitmdump")), "-s", str(script), "--listen-host", "127.0.0.1"]
        done = subprocess.run(
            [*command, "-p", "0", "--set", f"confdir={stage.confdir}"],
            env=clean_environment(UNDERSTUDY_HOME=str(stage.home)),
            capture_output=True,
            timeout=20,
        )
        assert done.returncode == 1


@pytest.mark.parametrize(
    "options", [{"codex_hold": "soon"}, {"codex_backend": "http://evil.test"}, {"codex_hosts": ""}], ids=str
)
def test_a_bad_option_at_the_start_lets_nothing_out(
    make_backstage: MakeBackstage, sandbox: Sandbox, openai: Origin, options: dict[str, object]
) -> None:
    stage = make_backstage()
    proxy = stage.proxy(sandbox, routes={f"{OPENAI}:443": openai.port}, options=options)
    try:
        with proxy:
            # mitmproxy's own errors are pages, not JSON: it would have tried to send the request on.
            assert ask(proxy).error["type"] == "understudy_error"
    except OSError:
        assert "Error logged during startup" in proxy.log


class Faulty:
    """A proxy whose addon raises where the test says, and the file by which it says so."""

    def __init__(self, proxy: Proxy, folder: Path) -> None:
        self.proxy = proxy
        self._plan = folder / "plan"
        self._struck = 0

    @staticmethod
    def write(folder: Path) -> Path:
        """A script that is ours with faults to plant in it."""
        (folder / "plan").write_text(" ")
        path = folder / "faulty.py"
        path.write_text(
            "import asyncio, builtins, inspect\n"
            "from pathlib import Path\n"
            "from understudy.proxy import guard, views\n"
            "from understudy.proxy.addon import Understudy\n"
            "from understudy.proxy.dispatch import Dispatcher\n"
            "from understudy.proxy.learning import Learner\n"
            "from understudy.proxy.reader import Reader\n"
            "from understudy.proxy.turn import Attempt\n\n"
            f"FOLDER = Path({str(folder)!r})\n\n\n"
            "def plant(owner, name):\n"
            "    original = getattr(owner, name)\n"
            "    place = f\"{owner.__name__.rpartition('.')[2]}.{name}\"\n\n"
            "    def strike():\n"
            "        where, _, what = (FOLDER / 'plan').read_text().partition(' ')\n"
            "        if place in where.split(','):\n"
            "            error = asyncio.CancelledError if what == 'CancelledError' else getattr(builtins, what)\n"
            "            print('A fault at', place, flush=True)\n"
            f"            raise error({CANARY!r})\n\n"
            "    async def later(*args, **more):\n"
            "        strike()\n"
            "        return await original(*args, **more)\n\n"
            "    def now(*args, **more):\n"
            "        strike()\n"
            "        return original(*args, **more)\n\n"
            "    setattr(owner, name, later if inspect.iscoroutinefunction(original) else now)\n\n\n"
            "for name in ('load', 'next_layer', 'requestheaders', 'request', 'responseheaders',\n"
            "             '_verdict', '_turn'):\n"
            "    plant(Understudy, name)\n"
            "for name in ('prepare', 'decide'):\n"
            "    plant(Dispatcher, name)\n"
            "plant(Reader, 'read')\n"
            "for name in ('counts', 'failed', 'committed', 'finished'):\n"
            "    plant(Learner, name)\n"
            "for name in ('attempt_flow', 'last_line'):\n"
            "    plant(views, name)\n"
            "for name in ('response_of', 'judge', 'names_of'):\n"
            "    plant(guard, name)\n"
            "for name in ('concerns', 'tls_clienthello'):\n"
            "    plant(guard.Guard, name)\n"
            "plant(Attempt, 'seal')\n\n"
            "addons = [Understudy()]\n"
        )
        return path

    def plant(self, place: str, error: str) -> None:
        """From now on, `error` is raised at `place`."""
        self._struck = self.proxy.log.count("A fault at")
        self._plan.write_text(f"{place} {error}")

    def wait_until_struck(self) -> None:
        """Waits until what was planted has been raised."""
        self.proxy.wait_for_log(times(self._struck + 1, "A fault at"))


@pytest.fixture(scope="module")
def faulty_proxy(make_backstage: MakeBackstage, sandbox: Sandbox, openai: Origin) -> Iterator[Faulty]:
    stage = make_backstage()
    stage.enrol(sandbox)
    script = Faulty.write(stage.folder)
    with stage.proxy(sandbox, script=script, routes={f"{OPENAI}:443": openai.port}) as proxy:
        yield Faulty(proxy, stage.folder)


@pytest.fixture
def faulty(faulty_proxy: Faulty) -> Iterator[Faulty]:
    yield faulty_proxy
    faulty_proxy.plant("", "")
    assert is_whole(ask(faulty_proxy.proxy)), "it has not recovered"


class Script:
    """A script that is edited while mitmproxy runs it."""

    def __init__(self, proxy: Proxy, path: Path) -> None:
        self.proxy = proxy
        self.path = path

    def becomes(self, text: str) -> None:
        """Writes the script, and waits until mitmproxy has taken note."""
        loaded = self.proxy.log.count("Loading script")
        self.path.write_text(text)
        # mitmproxy says so first and then loads it, without a pause in which it would do anything else.
        self.proxy.wait_for_log(times(loaded + 1, "Loading script"))


class TestAScriptThatChanges:
    """mitmproxy reloads a script that changed on disk. Meanwhile there may be none."""

    @pytest.fixture
    def script(self, edited: Script) -> Iterator[Script]:
        yield edited
        if edited.path.read_text() != SCRIPT.read_text():
            edited.becomes(SCRIPT.read_text())

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("def (", id="broken"),
            pytest.param("", id="emptied"),
            pytest.param(SCRIPT.read_text()[:-20], id="half-written"),
            pytest.param("from understudy.proxy.addon import Nobody", id="of another version"),
        ],
    )
    def test_is_replaced_by_the_guard_until_it_is_whole_again(
        self, script: Script, sandbox: Sandbox, openai: Origin, text: str
    ) -> None:
        with Tunnel(script.proxy) as opened_before, Tunnel(script.proxy) as opened_while:
            assert is_whole(opened_before.exchange(REQUEST))
            script.becomes(text)
            for host in (opened_before, opened_while):
                answer = host.exchange(REQUEST)
                assert (answer.status, answer.error["code"]) == (502, "understudy_not_prepared")
                assert host.exchange(FILES).body == Origin.BODY
            assert len(sandbox.journal.responses()) == 1
            assert openai.requests == [FILES, FILES]

            script.becomes(SCRIPT.read_text())
            assert is_whole(opened_before.exchange(REQUEST))
            assert is_whole(ask(script.proxy))
            # mitmproxy's own stream carries this connection, and that one cannot replay.
            refused = opened_while.exchange(REQUEST)
        assert (refused.status, refused.error["type"]) == (502, "understudy_error")

    def test_tls_to_other_hosts_stays_closed_while_there_is_none(
        self, script: Script, stranger: Origin, authority_file: Path
    ) -> None:
        script.becomes("")
        stranger.forget()
        names = Names("other.test:443", "other.test", "other.test")
        with Tunnel(script.proxy, names, trust=authority_file) as host:
            assert host.exchange(b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n").body == Origin.BODY

    def test_edited_twice_under_load_loses_no_request_and_lets_none_out(self, script: Script, sandbox: Sandbox) -> None:
        sandbox.set_steps("home", [{"do": "answer", "words": 40, "delay": 0.01}])
        served = len(sandbox.journal.responses())
        done = False

        def keep_asking() -> list[Answer]:
            answers = []
            while not done:
                answers.append(ask(script.proxy))
            return answers

        with ThreadPoolExecutor(6) as hosts:
            running = [hosts.submit(keep_asking) for _ in range(6)]
            try:
                for number in range(2):
                    script.becomes(f"{SCRIPT.read_text()}# edit {number}\n")
                    served = len(sandbox.journal.responses())
                    sandbox.journal.wait_until(lambda entries, seen=served: len(entries) > seen + 6)  # type: ignore[misc]
            finally:
                done = True
            answers = [answer for future in running for answer in future.result()]
        assert len(answers) >= 18
        assert [answer.status for answer in answers if not is_whole(answer)] == []

    def test_deleted_is_replaced_by_the_guard_for_good(
        self, make_backstage: MakeBackstage, sandbox: Sandbox, openai: Origin
    ) -> None:
        stage = make_backstage()
        stage.enrol(sandbox)
        script = stage.folder / "codex.py"
        script.write_text(SCRIPT.read_text())
        with stage.proxy(sandbox, script=script, routes={f"{OPENAI}:443": openai.port}) as proxy:
            script.unlink()
            proxy.wait_for_log("Removing script")
            answer = ask(proxy)
            with Tunnel(proxy) as host:
                assert host.exchange(FILES).body == Origin.BODY
        assert (answer.status, answer.error["code"]) == (502, "understudy_not_prepared")
        assert sandbox.journal.responses() == ()


@pytest.fixture(scope="module")
def stranger(authority: trustme.CA) -> Iterator[Origin]:
    """A host that is none of ours."""
    with Origin(server_tls(authority, "other.test")) as origin:
        yield origin


@pytest.fixture(scope="module")
def edited(make_backstage: MakeBackstage, sandbox: Sandbox, openai: Origin, stranger: Origin) -> Iterator[Script]:
    stage = make_backstage()
    stage.enrol(sandbox)
    path = stage.folder / "codex.py"
    path.write_text(SCRIPT.read_text())
    routes = {f"{OPENAI}:443": openai.port, "other.test:443": stranger.port}
    with stage.proxy(sandbox, script=path, routes=routes) as proxy:
        yield Script(proxy, path)


class TestAnotherAddon:
    """What comes after us in mitmproxy's chain may change a request that we have prepared."""

    @pytest.mark.parametrize(
        "line",
        [
            pytest.param("flow.request.host = 'api.openai.com'", id="the host"),
            pytest.param("flow.request.port = PORT", id="the port"),
            pytest.param("flow.request.scheme = 'https'", id="the scheme"),
            pytest.param("flow.request.path = '/v1/responses'", id="the path"),
            pytest.param("flow.request.method = 'GET'", id="the method"),
            pytest.param(f"flow.request.url = 'https://{OPENAI}/v1/responses'", id="the URL"),
            pytest.param("flow.request.headers['authorization'] = 'Bearer of-another'", id="the authorization"),
            pytest.param("del flow.request.headers['authorization']", id="no authorization"),
            pytest.param("flow.request.headers.add('authorization', 'Bearer of-another')", id="one more authorization"),
            pytest.param(f"ctx.options.update(map_remote=['|//127.0.0.1:[0-9]+/|//{OPENAI}/'])", id="map_remote"),
        ],
    )
    def test_that_changes_where_a_request_goes_keeps_it_from_going(
        self, meddled: Proxy, meddling: Meddling, sandbox: Sandbox, openai: Origin, line: str
    ) -> None:
        meddling.does("request", line.replace("PORT", str(openai.port)))
        answer = ask(meddled)
        assert (answer.status, answer.error["code"]) == (502, "understudy_not_sealed")
        assert sandbox.journal.responses() == ()

    def test_that_changes_where_a_connection_goes_keeps_the_request_from_going(
        self, meddled: Proxy, meddling: Meddling, sandbox: Sandbox, openai: Origin
    ) -> None:
        meddling.does("server_connect", f"data.server.address = ('127.0.0.1', {openai.port})")
        answer = ask(meddled)
        assert (answer.status, answer.error["code"]) == (502, "understudy_not_sealed")
        assert sandbox.journal.responses() == ()

    @pytest.mark.parametrize(
        "line",
        [
            pytest.param("ctx.options.update(stream_large_bodies='1')", id="stream_large_bodies"),
            pytest.param("ctx.options.update(body_size_limit='1')", id="body_size_limit"),
            pytest.param("ctx.options.update(stickyauth='.*', stickycookie='.*')", id="sticky credentials"),
            pytest.param("ctx.options.update(modify_headers=['|~q|authorization|Bearer x'])", id="modify_headers"),
            pytest.param("flow.request.stream = True", id="a streamed request"),
        ],
    )
    def test_that_comes_before_a_request_is_prepared_has_no_say_in_it(
        self, meddled: Proxy, meddling: Meddling, sandbox: Sandbox, line: str
    ) -> None:
        meddling.does("requestheaders", line)
        assert is_whole(ask(meddled))
        meddling.does("", "")
        assert is_whole(ask(meddled))
        [first, second] = sandbox.journal.responses()
        assert first.content == second.content
        assert (first.token, second.token) == ("good", "good")

    def test_that_raises_changes_nothing(self, meddled: Proxy, meddling: Meddling) -> None:
        meddling.does("request", "1 / 0")
        assert is_whole(ask(meddled))

    def test_that_answers_itself_has_the_last_word(self, meddled: Proxy, meddling: Meddling, sandbox: Sandbox) -> None:
        meddling.does("request", "from mitmproxy import http; flow.response = http.Response.make(418)")
        assert ask(meddled).status == 418
        assert sandbox.journal.responses() == ()


@pytest.fixture(scope="module")
def meddled_stage(make_backstage: MakeBackstage, sandbox: Sandbox, openai: Origin) -> Iterator[tuple[Proxy, Meddling]]:
    stage = make_backstage()
    stage.enrol(sandbox)
    meddling = Meddling(stage.folder)
    with stage.proxy(sandbox, scripts=(meddling.script,), routes={f"{OPENAI}:443": openai.port}) as proxy:
        yield proxy, meddling


@pytest.fixture
def meddled(meddled_stage: tuple[Proxy, Meddling]) -> Proxy:
    return meddled_stage[0]


@pytest.fixture
def meddling(meddled_stage: tuple[Proxy, Meddling]) -> Iterator[Meddling]:
    proxy, meddling = meddled_stage
    yield meddling
    unset = "map_remote=[], modify_headers=[], stream_large_bodies=None, body_size_limit=None, stickyauth=None"
    meddling.does("requestheaders", f"ctx.options.update({unset}, stickycookie=None)")
    ask(proxy)
    meddling.does("", "")
    assert is_whole(ask(proxy)), "it has not recovered"
