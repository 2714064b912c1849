"""No token, no key and no cookie is where it does not belong: every place that anything is written to is searched.

Proxies at their most talkative go through answers, replays, refreshes, failures and refusals; then all that they left
behind is searched for the bytes of every secret that was in play.
"""

import json
import stat
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme

from support.backstage import Backstage, Web
from support.hosts import HOST_KEY, Answer
from support.peers import OPENAI, Origin, Tunnel, post, server_tls
from understudy.sandbox.server import Sandbox
from understudy.sandbox.tokens import CANARY

MakeBackstage = Callable[[], Backstage]

COOKIE = "cookie-of-the-host-that-must-not-leave"
SET_COOKIE = "cookie-of-the-backend-that-must-not-arrive"
ORGANIZATION = "org-of-the-host-that-must-not-leave"
FIELDS = (
    f"Authorization: Bearer {HOST_KEY}",
    f"Cookie: session={COOKIE}",
    f"OpenAI-Organization: {ORGANIZATION}",
    f"OpenAI-Project: {ORGANIZATION}",
    f"X-Api-Key: {HOST_KEY}",
)
KNOWN = {
    "a piece of a token": CANARY,
    "the host's key": HOST_KEY,
    "the host's cookie": COOKIE,
    "the host's organization": ORGANIZATION,
    "the backend's cookie": SET_COOKIE,
}
STEPS: dict[str, list[dict[str, object]]] = {
    "answer": [{"do": "answer", "headers": {"set-cookie": f"a={SET_COOKIE}"}}],
    "unauthorized, then an answer": [{"do": "unauthorized"}, {"do": "answer"}],
    "early failure, then an answer": [{"do": "early_failed"}, {"do": "answer"}],
    "reset, then an answer": [{"do": "reset"}, {"do": "answer"}],
    "cut": [{"do": "cut", "when": "mid_text"}],
    "not found": [{"do": "not_found"}],
    "a page": [{"do": "html403"}],
    "redirect": [{"do": "redirect", "headers": {"set-cookie": f"a={SET_COOKIE}"}}],
    "revoked": [{"do": "revoked"}],
}


@dataclass
class Remains:
    """What a run left behind, by where it was found."""

    secrets: dict[str, str] = field(default_factory=lambda: dict(KNOWN))
    places: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    homes: list[Path] = field(default_factory=list)
    upstream: bytes = b""
    refreshes: int = 0

    def found(self, secret: str) -> list[str]:
        """Where a secret is, plain or in a coding that it could be written in."""
        forms = {secret.encode(), quote(secret, safe="").encode(), *cores_of_base64(secret)}
        return [place for place, data in self.places.items() if any(form in data for form in forms)]


def cores_of_base64(secret: str) -> Iterator[bytes]:
    """The part of a secret's base64 that stays the same wherever in a longer text it stands, for each alignment."""
    for shift in range(3):
        coded = b64encode(b"\0" * shift + secret.encode())
        yield coded[4 : len(coded) - 4]


ACCOUNTS: dict[str, object] = {
    "short": {"access_life": 2, "first_life": 0, "steps": [{"do": "usage_limit", "resets_in": 1}]},
    "lost": {"first_life": 0, "token_steps": [{"do": "refuse"}]},
    "home": {"steps": [{"do": "answer"}]},
}
TALKATIVE: dict[str, object] = {"termlog_verbosity": "debug", "flow_detail": 4, "content_view_lines_cutoff": 100000}


@pytest.fixture(scope="module")
def remains(make_backstage: MakeBackstage, authority: trustme.CA) -> Remains:
    """What mitmdump and mitmweb leave, at their most talkative."""
    remains = Remains()
    for program in ("mitmdump", "mitmweb"):
        with Sandbox({"accounts": ACCOUNTS}) as sandbox, Origin(server_tls(authority, OPENAI)) as openai:
            play(remains, program, make_backstage(), sandbox, openai)
            keep_secrets(remains, program, sandbox)
            assert openai.requests == []
    return remains


def play(remains: Remains, program: str, stage: Backstage, sandbox: Sandbox, openai: Origin) -> None:
    """Takes a proxy through all steps, and keeps what it leaves behind."""
    stage.enrol(sandbox)
    web, dump, har = Web(), stage.folder / "flows", stage.folder / "flows.har"
    options = TALKATIVE | {"save_stream_file": dump, "hardump": har} | (web.options if program == "mitmweb" else {})
    routes = {f"{OPENAI}:443": openai.port}
    with stage.proxy(sandbox, program=program, routes=routes, options=options) as proxy:
        for name, request, steps in requests(program):
            sandbox.set_steps("home", steps)
            with Tunnel(proxy) as host:
                remains.answers[name] = answer = host.exchange(request)
            remains.places[f"the answer to {name}"] = answer.body + repr(answer.headers).encode()
        if program == "mitmweb":
            web.post(f"/flows/{web.flows()[0]['id']}/replay")
            remains.places |= {f"mitmweb's {place}": data for place, data in shown_by(web)}
    remains.places[f"{program}'s dump"] = dump.read_bytes()
    remains.places[f"{program}'s HAR"] = har.read_bytes()
    remains.places[f"{program}'s log"] = proxy.log.encode()
    remains.homes.append(stage.home)
    for path in stage.home.rglob("*"):
        if path.is_file() and "accounts" not in path.name:
            remains.places[f"{program}'s file {path.name}"] = path.read_bytes()


def requests(program: str) -> Iterator[tuple[str, bytes, list[dict[str, object]]]]:
    """Names, requests, and what the last account does with them. mitmweb shows what mitmdump shows; fewer will do."""
    for name, steps in STEPS.items():
        for kind in ("streamed", "whole") if program == "mitmdump" else ("streamed",):
            body = json.dumps({"model": "gpt-5.5", "input": "hi", "stream": kind == "streamed"}).encode()
            yield f"{program}: {name}, {kind}", post("/v1/responses", body, *FIELDS), steps
    yield f"{program}: not JSON", post("/v1/responses", b"?", *FIELDS), STEPS["answer"]
    yield f"{program}: misaddressed", post("/v1/responses", b"{}", *FIELDS, host="evil.test"), STEPS["answer"]


def keep_secrets(remains: Remains, program: str, sandbox: Sandbox) -> None:
    """All that was in play, and what the backend was sent."""
    for number, secret in enumerate(sandbox.secrets()):
        remains.secrets[f"token {number} of {program}'s sandbox"] = secret
    for label in ACCOUNTS:
        remains.secrets[f"the e-mail of {label}"] = sandbox.email(label)
    remains.upstream += sandbox.journal.to_json() + b"".join(entry.content for entry in sandbox.journal)
    remains.refreshes += sum(entry.path == "/oauth/token" for entry in sandbox.journal)


def shown_by(web: Web) -> Iterator[tuple[str, bytes]]:
    """Everything that mitmweb's API tells about flows and events."""
    for path in ("/flows", "/flows/dump", "/events", "/state", "/options"):
        yield path, web.get(path)
    for flow in web.flows():
        for message in ("request", "response"):
            if flow.get(message):
                for view in ("content.data", "content/auto.json"):
                    path = f"/flows/{flow['id']}/{message}/{view}"
                    yield path, web.get(path)


def test_the_run_went_through_all_that_it_should(remains: Remains) -> None:
    statuses = {name: answer.status for name, answer in remains.answers.items()}
    for program in ("mitmdump", "mitmweb"):
        assert {name: statuses[f"{program}: {name}, streamed"] for name in STEPS} == {
            "answer": 200,
            "unauthorized, then an answer": 200,
            "early failure, then an answer": 200,
            "reset, then an answer": 200,
            "cut": 200,
            "not found": 502,
            "a page": 502,
            "redirect": 502,
            "revoked": 401,
        }
        assert (statuses[f"{program}: not JSON"], statuses[f"{program}: misaddressed"]) == (400, 421)
        assert f"{program}'s file quota.json" in remains.places
    assert remains.refreshes >= 4
    assert len(remains.secrets) > 20
    assert sum(place.startswith("mitmweb's /flows/") for place in remains.places) > 30


def test_nothing_that_is_secret_is_found_anywhere(remains: Remains) -> None:
    found = {name: places for name, secret in remains.secrets.items() if (places := remains.found(secret))}
    assert found == {}


def test_nothing_of_the_hosts_own_reaches_the_backend(remains: Remains) -> None:
    for secret in (HOST_KEY, COOKIE, ORGANIZATION):
        assert secret.encode() not in remains.upstream


def test_the_search_would_find_a_secret(remains: Remains) -> None:
    """A search that finds nothing anywhere proves nothing."""
    shown = {"mitmdump's dump", "mitmdump's HAR", "mitmdump's log", "mitmweb's dump", "mitmweb's /flows"}
    assert shown <= set(remains.found("Bearer understudy:home"))
    secret = "a secret/with what+is coded"
    coded = {f"shift {n}": b64encode(b"x" * n + secret.encode() + b"y") for n in range(3)}
    assert Remains({}, coded | {"url": quote(secret, safe="").encode()}).found(secret) == [*coded, "url"]


def test_files_with_tokens_say_so_by_their_names(remains: Remains) -> None:
    files = [path for home in remains.homes for path in home.rglob("*") if path.is_file()]
    holding = {path.name for path in files if CANARY.encode() in path.read_bytes()}
    assert "accounts.json" in holding
    assert all("accounts" in name for name in holding)


def test_the_folder_is_for_its_owner_alone(remains: Remains) -> None:
    for home in remains.homes:
        for path in [home, *home.rglob("*")]:
            mode = stat.S_IMODE(path.stat().st_mode)
            assert oct(mode) == oct(0o700 if path.is_dir() else 0o600), path
