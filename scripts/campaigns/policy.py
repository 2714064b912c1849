"""Coding agents work through a proxy whose accounts meet limits that come and go, and faults.

No request fails while an account could serve it; a session leaves its account for a reason alone; an account is left
alone while it is known to be limited. Each strategy goes through the same, and so does a crowd whose sessions have no
key: what that costs in cached tokens is what affinity is worth.
"""

import json
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx
import trustme
from mitmproxy.certs import CertStore

from campaigns._lives import Window, read_lives
from campaigns._verdict import Asked, Verdict, judge
from campaigns._weather import ANSWER, Plan, Weather, make_plan
from support.backstage import Backstage
from support.hosts import HOST_KEY
from support.proxy import Proxy
from support.theatre import Heard, Json, hear
from understudy.sandbox.server import Sandbox

LABELS = ("ada", "ben", "cyd", "dot", "eve")
SEED = 7
NAIVE = "round_robin, no key"


@dataclass(frozen=True, slots=True)
class Size:
    """`seconds`: about how long one way takes; `answers`: how many use up an account's minute; `faults`: about how many
    there are.
    """

    ways: tuple[str, ...]
    requests: int
    sessions: int
    seconds: float
    answers: int
    faults: int


FULL = Size(("sticky", "drain", "hybrid", "round_robin", NAIVE), 1000, 30, 40.0, 400, 80)
QUICK = Size(("sticky", "round_robin"), 120, 8, 4.0, 50, 8)
HELPER = 4
"""Requests of a sub-agent."""


def run(quick: bool) -> bool:
    """Prints the figures of all ways side by side, and what went wrong. Whether nothing did."""
    size = QUICK if quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        confdir, authority = Path(folder) / "confdir", Path(folder) / "authority.pem"
        CertStore.from_store(confdir, "mitmproxy", 2048)
        trustme.CA().cert_pem.write_to_path(str(authority))
        verdicts = {}
        for number, way in enumerate(size.ways):
            stage = Path(folder) / str(number)
            stage.mkdir()
            verdicts[way] = _go(size, way, Backstage(stage, confdir, authority))
    _print_table(verdicts)
    wrong = [f"{way}: {words}" for way, verdict in verdicts.items() for words in _wrong(way, verdict)]
    print("\n".join(wrong), end="\n" if wrong else "")
    return not wrong


def _wrong(way: str, verdict: Verdict) -> list[str]:
    """What must not have happened. Who has no key may be moved at will."""
    return [*verdict.failed, *verdict.pressed, *(verdict.moved if way != NAIVE else ())]


def _go(size: Size, way: str, stage: Backstage) -> Verdict:
    random = Random(SEED)
    plan = make_plan(random, LABELS, size.seconds, size.faults)
    cost = 100 / size.answers
    minutes = [{"minutes": 1, "cost": cost, "resets_in": size.seconds * (n + 1) / 5} for n in range(len(LABELS))]
    week = {"minutes": 10080, "used": 30.0, "cost": 0.01}
    specs = {
        label: {"enforce": True, "windows": [minute, week], "steps": [ANSWER]}
        for label, minute in zip(LABELS, minutes, strict=True)
    }
    with Sandbox({"accounts": specs}) as sandbox:
        windows = {label: Window(cost, _resets_at(sandbox, label)) for label in LABELS}
        stage.enrol(sandbox)
        options = {"codex_strategy": way.partition(",")[0]}
        with stage.proxy(sandbox, options=options) as proxy, _blowing(sandbox, plan) as weather:
            asked = Crowd(proxy, has_keys=way != NAIVE).work(random, size)
        waited = {request.name: request.ended - request.began for request in asked}
        return judge(asked, read_lives(sandbox.journal.responses(), weather, windows, waited))


def _resets_at(sandbox: Sandbox, label: str) -> float:
    """When the account's minute is reset, in epoch seconds, as the backend says."""
    names = {
        "Authorization": f"Bearer {sandbox.tokens(label).access}",
        "ChatGPT-Account-ID": sandbox.account_id(label),
    }
    usage = httpx.get(f"{sandbox.backend}/usage", headers=names, trust_env=False).raise_for_status().json()
    return float(usage["rate_limit"]["primary_window"]["reset_at"])


@contextmanager
def _blowing(sandbox: Sandbox, plan: Plan) -> Iterator[Weather]:
    weather = Weather(sandbox, plan)
    with ThreadPoolExecutor(1) as pool:
        blowing = pool.submit(weather.run)
        try:
            yield weather
        finally:
            weather.over.set()
    blowing.result()


@dataclass(slots=True)
class Talk:
    """A conversation that grows turn by turn. `session`: its own name, or its parent's."""

    name: str
    session: str
    has_key: bool
    items: list[Json] = field(default_factory=list)
    words: Json = field(default_factory=dict)
    requests: int = 0
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(f"{SEED} {self.name}")

    @property
    def headers(self) -> dict[str, str]:
        """What names the session, if it has a key."""
        parent = {"x-codex-parent-thread-id": self.session} if self.session != self.name else {}
        return {"session-id": self.name, **parent} if self.has_key else {}

    def ask(self) -> tuple[str, bytes]:
        """A request's name and body: the talk so far, and more words of the user, the first of which is the name."""
        self.requests += 1
        name = f"{self.name}#{self.requests}"
        self.words = _message("user", f"{name} {'and then ' * self.random.randrange(100, 300)}")
        key = {"prompt_cache_key": self.name} if self.has_key else {}
        body = {"model": "gpt-5.5", "stream": True, "input": [*self.items, self.words], **key}
        return name, json.dumps(body).encode()

    def answer(self, text: str) -> None:
        """The talk goes on."""
        self.items += [self.words, _message("assistant", text)]


def _message(role: str, text: str) -> Json:
    kind = "input_text" if role == "user" else "output_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


class Crowd:
    """The hosts: several sessions at a time, some with sub-agents beside them."""

    def __init__(self, proxy: Proxy, *, has_keys: bool) -> None:
        self._proxy = proxy
        self._has_keys = has_keys
        self._context = ssl.create_default_context(cafile=str(proxy.ca))
        self._asked: list[Asked] = []

    def work(self, random: Random, size: Size) -> list[Asked]:
        """Makes all the requests, and gives what came of them."""
        counts = [size.requests // size.sessions + (n < size.requests % size.sessions) for n in range(size.sessions)]
        starts = sorted(random.uniform(0, 0.55 * size.seconds) for _ in counts)
        pace = 0.4 * size.seconds / max(counts)
        began = time.monotonic()
        with ThreadPoolExecutor(3 * size.sessions) as pool:
            jobs = []
            for number, (count, start) in enumerate(zip(counts, starts, strict=True)):
                talk = Talk(f"s{number:02}", f"s{number:02}", self._has_keys)
                jobs.append(pool.submit(self._talk, pool, talk, count, began + start, pace))
            for job in jobs:
                job.result()
        return self._asked

    def _talk(self, pool: ThreadPoolExecutor, talk: Talk, count: int, start: float, pace: float) -> None:
        """Makes `count` requests from `start` on (monotonic seconds), one each `pace` seconds or so; some of them are
        sub-agents'.
        """
        time.sleep(max(0.0, start - time.monotonic()))
        helpers: list[Future[None]] = []
        with httpx.Client(proxy=self._proxy.url, verify=self._context, trust_env=False, timeout=100) as client:
            while count > 0:
                due = time.monotonic() + pace * talk.random.uniform(0.6, 1.4)
                if talk.items and talk.name == talk.session and count > HELPER and talk.random.random() < 0.08:
                    helper = Talk(f"{talk.name}.{len(helpers) + 1}", talk.name, self._has_keys)
                    helpers.append(pool.submit(self._talk, pool, helper, HELPER, 0.0, pace))
                    count -= HELPER
                if not self._ask(client, talk):
                    due += 2 * pace
                count -= 1
                time.sleep(max(0.0, due - time.monotonic()))
        for done in helpers:
            done.result()

    def _ask(self, client: httpx.Client, talk: Talk) -> bool:
        """Whether the request was answered, and to its end."""
        name, body = talk.ask()
        fields = {"authorization": f"Bearer {HOST_KEY}", "content-type": "application/json", **talk.headers}
        began = time.time()
        heard = hear(client, body, fields)
        failure = _failure(heard)
        self._asked.append(Asked(name, talk.session, began, time.time(), failure))
        if not failure:
            talk.answer(heard.text)
        return not failure


def _failure(heard: Heard) -> str:
    """How an answer failed, in a line; empty where it did not."""
    if heard.status != 200:
        return f"{heard.status} {heard.error['message']}"
    whole = heard.types[-1:] == ["response.completed"] and not heard.broken
    return "" if whole else f"200, but the last event is {heard.types[-1:]} {heard.broken}"


def _print_table(verdicts: dict[str, Verdict]) -> None:
    print(f"| | {' | '.join(verdicts)} |")
    print(f"|---|{'---:|' * len(verdicts)}")
    for name, figure in ROWS:
        print(f"| {name} | {' | '.join(figure(verdict) for verdict in verdicts.values())} |")


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _times(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    quantiles = [f"{1000 * ordered[round(share * (len(ordered) - 1))]:.0f}" for share in (0.5, 0.95, 1.0) if ordered]
    return " / ".join(quantiles) or "-"


ROWS: tuple[tuple[str, Callable[[Verdict], str]], ...] = (
    ("requests", lambda v: str(v.requests)),
    ("answered", lambda v: str(v.answered)),
    ("failed while nobody could serve", lambda v: str(v.in_vain)),
    ("failed while somebody could", lambda v: str(len(v.failed))),
    ("answered by the session's first account", lambda v: _share(v.at_first, v.answered)),
    ("moves", lambda v: str(v.moves)),
    ("moves without reason", lambda v: str(len(v.moved))),
    ("answered elsewhere though its own could", lambda v: str(v.away)),
    ("calls to an account known to be limited", lambda v: str(len(v.pressed))),
    ("early tries", lambda v: str(v.early)),
    ("input tokens", lambda v: str(v.tokens)),
    ("cached, as the backend says", lambda v: _share(v.cached, v.tokens)),
    ("of the same talk, seen by the same account", lambda v: _share(v.common, v.tokens)),
    ("answered elsewhere after limits", lambda v: str(len(v.hops))),
    ("ms that it took: median / 95 % / most", lambda v: _times(v.hops)),
    ("answered by a replay after faults", lambda v: str(len(v.retries))),
    ("ms that it took: median / 95 % / most", lambda v: _times(v.retries)),
)
