"""The journal: what it tells, what it never tells, and how tests wait on it."""

import threading

import pytest

from sandbox.client import BODY, ask, connect, headers, scenario
from understudy.sandbox.server import Sandbox
from understudy.sandbox.tokens import CANARY, CLIENT_ID


def test_an_entry_tells_who_asked_what_and_how_it_ended() -> None:
    with Sandbox(scenario({"do": "answer", "text": "one two"})) as sandbox:
        ask(sandbox, more={"X-Session-Id": "s1"})
        (entry,) = sandbox.journal.responses("work")
    assert (entry.account, entry.token, entry.step, entry.status, entry.ending) == (
        "work",
        "good",
        "answer",
        200,
        "finished",
    )
    assert entry.body == BODY and entry.header("x-session-id") == "s1"
    assert entry.events[0] == "response.created" and len(entry.events) == 10
    assert entry.answered_at is not None and entry.finished_at is not None
    assert entry.at <= entry.answered_at <= entry.sent[0].at <= entry.sent[-1].at <= entry.finished_at


def test_an_entry_says_what_the_answer_said_of_its_tokens() -> None:
    long = "x" * 4000
    steps: list[dict[str, object]] = [
        {"do": "usage_limit"},
        {"do": "answer"},
        {"do": "cut"},
        {"do": "answer", "chunk_bytes": 50},
    ]
    with Sandbox(scenario(*steps)) as sandbox:
        for _ in steps:
            ask(sandbox, instructions=long, prompt_cache_key="k")
        entries = sandbox.journal.entries()
    tokens = len(entries[0].content) // 4
    assert [entry.model for entry in entries] == [BODY["model"]] * 4
    assert [(entry.input_tokens, entry.cached_tokens) for entry in entries] == [
        (None, None),
        (tokens, 0),
        (None, None),
        (tokens, 1024),
    ]


def test_the_authorization_is_replaced_by_whose_it_was() -> None:
    with Sandbox(scenario()) as sandbox:
        ask(sandbox)
        ask(sandbox, more={"authorization": "Bearer sk-some-key"})
        known, unknown = (entry.header("authorization") for entry in sandbox.journal)
    assert (known, unknown) == ("<work: access token 1, good>", "<unknown token>")


def test_header_names_keep_their_case_and_order_on_http1() -> None:
    with Sandbox(scenario()) as sandbox, connect() as client:
        client.get(f"{sandbox.origin}/x", headers=[("X-One", "1"), ("x-TWO", "2"), ("X-One", "3")])
        names = [name for name, _ in sandbox.journal[0].headers if name.lower().startswith("x-")]
    assert names == ["X-One", "x-TWO", "X-One"]


def test_no_token_is_in_the_journal_in_any_form() -> None:
    with Sandbox(scenario({"do": "unauthorized"}, {"do": "answer"})) as sandbox, connect() as client:
        tokens = sandbox.tokens("work")
        form = {"client_id": CLIENT_ID, "grant_type": "refresh_token", "refresh_token": tokens.refresh}
        url = f"{sandbox.issuer}/oauth/token"
        client.post(url, json=form)
        client.post(url, json=form)
        client.post(url, json={**form, "refresh_token": f"{CANARY}-unknown"})
        ask(sandbox)
        page = client.get(f"{sandbox.origin}/sandbox/journal").text
        shown = [page, repr(sandbox.journal.entries()), *(str(e.content) for e in sandbox.journal)]
    assert not [secret for secret in (CANARY, *sandbox.secrets()) for text in shown if secret in text]
    assert "<work: refresh token 1>" in page and '"account": "work"' in page


def test_waiting_ends_as_soon_as_it_happened() -> None:
    with Sandbox(scenario({"do": "answer", "words": 3, "delay": 0.05})) as sandbox:
        thread = threading.Thread(target=ask, args=(sandbox,))
        thread.start()
        entry = sandbox.journal.wait_for(lambda entry: "response.output_text.delta" in entry.events)
        assert entry.finished_at is None
        assert len(sandbox.journal.wait_until(lambda entries: entries[0].ending == "finished")) == 1
        thread.join()


def test_waiting_in_vain_says_what_there_was() -> None:
    with Sandbox(scenario()) as sandbox:
        ask(sandbox)
        with pytest.raises(TimeoutError, match="/backend-api/codex/responses work good answer 200 finished"):
            sandbox.journal.wait_for(lambda entry: entry.status == 429, timeout=0.05)


def test_the_page_shows_what_the_journal_holds() -> None:
    with Sandbox(scenario()) as sandbox, connect() as client:
        ask(sandbox)
        (entry,) = client.get(f"{sandbox.origin}/sandbox/journal").json()["entries"]
        assert entry["response_id"] == sandbox.journal[0].response_id and entry["body"] == BODY
        assert client.get(f"{sandbox.origin}/sandbox/other").status_code == 404
        assert len(sandbox.journal) == 1, "the sandbox's own pages are not journalled"
        assert client.delete(f"{sandbox.origin}/sandbox/journal").status_code == 204
        assert len(sandbox.journal) == 0 and ask(sandbox).status_code == 200


def test_requests_at_the_same_time_do_not_mix() -> None:
    with Sandbox({"accounts": {"work": {}, "home": {}}}) as sandbox:
        threads = [threading.Thread(target=ask, args=(sandbox, label)) for label in ("work", "home") * 8]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [len(sandbox.journal.responses(label)) for label in ("work", "home")] == [8, 8]
        assert all(
            entry.header("authorization") == f"<{entry.account}: access token 1, good>" for entry in sandbox.journal
        )
        assert headers(sandbox, "home") != headers(sandbox, "work")
