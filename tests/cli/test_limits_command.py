"""All limits of the accounts, as they were last seen or as ChatGPT tells them now, and what blocks them."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from support.logins import account
from support.members import pool_of
from support.terminal import Said, Understudy
from understudy.cli.limits import live
from understudy.oauth.api_key import key_login
from understudy.pool.account import Account, Block, Ground, Health, Lane
from understudy.pool.edits import enable
from understudy.pool.pool import over_accounts
from understudy.sandbox.server import Sandbox
from understudy.state.accounts import AccountStore
from understudy.state.quota import QuotaCache
from understudy.wire.quota import Snapshot, Source, Window
from understudy.wire.secret import Secret

SCENARIO: dict[str, object] = {
    "accounts": {
        "work": {},
        "full": {"windows": [{"minutes": 300, "used": 100.0, "resets_in": 3600}, {"minutes": 10080, "used": 61.0}]},
        "rich": {
            "credits": {"has_credits": True, "balance": "12.50"},
            "reset_credits": 2,
            "limits": {"codex_bengalfox": {"models": ["gpt-5-fox"], "windows": [{"minutes": 300, "used": 3.0}]}},
        },
        "old": {"first_life": 0},
    }
}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "STAGGER", 0.0)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SCENARIO) as running:
        yield running


@pytest.fixture
def store(home: Path, sandbox: Sandbox) -> AccountStore:
    return pool_of(sandbox, home)


Ask = Callable[..., Said]


@pytest.fixture
def ask(understudy: Understudy, store: AccountStore, sandbox: Sandbox) -> Ask:
    """`limits --live` with more words, against the sandbox."""
    network = ("--set", f"codex_backend={sandbox.backend}", "--set", f"codex_issuer={sandbox.issuer}")
    return lambda *words: understudy("limits", "--live", *words, *network)


def change(store: AccountStore, label: str, **changes: Any) -> None:
    def changed(accounts: tuple[Account, ...]) -> tuple[Account, ...]:
        return tuple(replace(each, **changes) if each.label == label else each for each in accounts)

    store.update(over_accounts(changed))


def limit(since: float = 0.0, **changes: Any) -> Block:
    """A block for a limit of which the backend said that it holds for an hour."""
    return replace(Block(time.time() + 3600, "usage limit", authoritative=True, since=since), **changes)


def asked(sandbox: Sandbox) -> list[str]:
    """Who was asked for since the journal was cleared."""
    return [entry.account or "?" for entry in sandbox.journal.entries() if entry.path == "/backend-api/wham/usage"]


def live_of(said: Said) -> dict[str, str]:
    return {found["label"]: found["live"]["result"] for found in said.json["accounts"]}


# Without asking


def test_every_limit_is_shown_with_what_blocks_the_account(understudy: Understudy, home: Path) -> None:
    now = time.time()
    ada = replace(
        account("ada"),
        reserve_percent=20.0,
        blocks=(limit(), limit(ground=Ground.ENTITLEMENT, model="gpt-5", reason="plan without this model")),
    )
    windows = (
        Window("5h", "codex", 62.5, 300, now + 7200),
        Window("weekly", "codex_spark", 7.0, 10080, None),
    )
    AccountStore(home).update(over_accounts(lambda _: (ada, account("bob"))))
    seen = Snapshot("plus", windows, None, now - 180, Source.USAGE, reset_credits=2)
    QuotaCache(home).record([(ada.id, seen)], (ada,))
    said = understudy("limits")
    assert (said.code, said.err) == (0, "")
    first, rest = said.out.split("\n\n")
    assert first.startswith("ada (plus): blocked\n  until ")
    assert "gpt-5 until" in first and "plan without this model" in first
    assert "the last 20 % of its limits are kept for you" in first
    assert " 62%" in first and "codex_spark:" in first and "  7%  unknown" in first
    assert "early resets that ChatGPT offers: 2" in first
    assert "seen 3 min ago, from the usage endpoint" in first
    assert rest == "bob (plus): ok\n  no figures yet\n"
    assert max(map(len, said.lines)) <= 80


def test_scripts_get_the_blocks_too(understudy: Understudy, home: Path) -> None:
    block = limit(model="gpt-5", limit_id="codex_spark")
    AccountStore(home).update(over_accounts(lambda _: (replace(account("ada"), blocks=(block,)), account("bob"))))
    [shown] = understudy("limits", "ada", "--json").json["accounts"]
    assert (shown["label"], shown["state"], shown["live"], shown["lifted"]) == ("ada", "ok", None, [])
    assert shown["blocks"] == [
        {
            "until": block.until,
            "reason": "usage limit",
            "ground": "limit",
            "model": "gpt-5",
            "limit_id": "codex_spark",
            "authoritative": True,
        }
    ]


def test_a_login_that_works_no_more_says_why(understudy: Understudy, home: Path) -> None:
    dead = replace(account("ada"), health=Health.NEEDS_LOGIN, health_reason="login revoked")
    AccountStore(home).update(over_accounts(lambda _: (dead,)))
    assert understudy("limits").lines[0] == "ada (plus): needs login: login revoked"


def test_an_empty_pool_has_no_limits(understudy: Understudy) -> None:
    said = understudy("limits")
    assert (said.code, said.out) == (1, "")
    assert "understudy login" in said.err


# Asking


def test_the_figures_come_from_the_usage_endpoint_and_stay(ask: Ask, sandbox: Sandbox, home: Path) -> None:
    said = ask("work", "rich")
    assert (said.code, said.err) == (0, "")
    work, rich = said.out.split("\n\n")
    assert " 12%" in work and " 30%" in work
    assert "seen just now, from the usage endpoint" in work
    assert "early resets" not in work
    assert "codex_bengalfox:" in rich and "  3%" in rich
    assert "credits: 12.50" in rich and "early resets that ChatGPT offers: 2" in rich
    snapshots = {entry.label: entry.snapshot for entry in QuotaCache(home).read() or ()}
    assert [label for label, snapshot in snapshots.items() if snapshot] == ["work", "rich"]
    assert set(QuotaCache(home).history.read()) == {"acct_work", "acct_rich"}


def test_nothing_is_spent_by_asking(ask: Ask, store: AccountStore, sandbox: Sandbox) -> None:
    before = store.read()
    sandbox.journal.clear()
    ask()
    assert {(entry.method, entry.path) for entry in sandbox.journal.entries()} == {("GET", "/backend-api/wham/usage")}
    assert store.read() == before


def test_an_answer_is_not_asked_for_again_within_a_minute(
    ask: Ask, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask("work")
    sandbox.journal.clear()
    assert live_of(ask("work", "full", "--json")) == {"work": "fresh", "full": "asked"}
    assert asked(sandbox) == ["full"]
    monkeypatch.setattr(live, "FRESH", 0.0)
    assert live_of(ask("work", "--json")) == {"work": "asked"}


def test_after_a_failure_there_is_a_pause(ask: Ask, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.set_usage_steps("work", [{"do": "status", "status": 500}, {"do": "answer"}])
    assert live_of(ask("work", "--json")) == {"work": "unclear"}
    said = ask("work")
    assert (said.code, "not asked again yet" in said.words) == (1, True)
    monkeypatch.setattr(live, "AFTER_FAILURE", 0.0)
    assert live_of(ask("work", "--json")) == {"work": "asked"}


@pytest.mark.parametrize(
    ("step", "result", "said"),
    [
        (
            {"do": "status", "status": 403, "body": "<html>Just a moment...</html>"},
            "unclear",
            "no new figures: ChatGPT answered 403, which says nothing of the login",
        ),
        ({"do": "status", "status": 200, "body": "<html>hotel</html>"}, "unclear", "is not the one that was asked for"),
        ({"do": "garbage"}, "unclear", "is not the one that was asked for"),
        ({"do": "unauthorized"}, "stale", "no new figures: ChatGPT did not take its access token (401)"),
        (
            {"do": "status", "status": 401, "body": {"error": {"code": "token_invalidated"}}},
            "needs_login",
            "no new figures: ChatGPT has ended this login",
        ),
    ],
)
def test_an_answer_without_figures_is_said_and_changes_nothing_in_the_account(
    ask: Ask, store: AccountStore, sandbox: Sandbox, home: Path, step: dict[str, object], result: str, said: str
) -> None:
    change(store, "work", blocks=(limit(),))
    before = store.read()
    sandbox.set_usage_steps("work", [step, step])
    answer = ask("work")
    assert (answer.code, said in answer.words) == (1, True)
    assert store.read() == before
    [entry] = [entry for entry in QuotaCache(home).read() or () if entry.label == "work"]
    assert (entry.snapshot, entry.health, entry.usage_failed_at is not None) == (None, Health.OK, True)
    QuotaCache(home).path.unlink()
    assert live_of(ask("work", "--json")) == {"work": result}


def test_an_answer_that_does_not_come_is_given_up(ask: Ask, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "TIMEOUT", 0.05)
    sandbox.set_usage_steps("work", [{"do": "answer", "wait": 30}])
    assert live_of(ask("work", "--json")) == {"work": "unreachable"}


def test_figures_lower_than_before_lift_the_block_of_their_limit(
    ask: Ask, store: AccountStore, sandbox: Sandbox, home: Path
) -> None:
    other = limit(ground=Ground.ENTITLEMENT, model="gpt-5")
    change(store, "work", blocks=(limit(), other))
    full = Snapshot("plus", (Window("5h", "codex", 100.0, 300, time.time() + 3600),), None, 1.0, Source.HEADERS)
    QuotaCache(home).record([("acct_work", full)], store.read().accounts)
    said = ask("work")
    assert said.code == 0
    assert "work (plus): ok\n  lifted: usage limit (until " in said.out
    assert store.read().accounts[0].blocks == (other,)
    assert next(entry.blocks for entry in QuotaCache(home).read() or ()) == (other,)


def test_figures_that_are_no_lower_than_by_rounding_lift_nothing(
    ask: Ask, store: AccountStore, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "FRESH", 0.0)
    ask("work")
    [seen] = [entry.snapshot for entry in QuotaCache(home).read() or () if entry.snapshot]
    finer = tuple(replace(window, used_percent=window.used_percent + 0.4) for window in seen.windows)
    QuotaCache(home).record([("acct_work", replace(seen, windows=finer))], store.read().accounts)
    change(store, "work", blocks=(limit(),))
    assert ask("work", "--json").json["accounts"][0]["lifted"] == []
    assert len(store.read().accounts[0].blocks) == 1


def test_a_window_that_is_full_still_keeps_the_block(ask: Ask, store: AccountStore) -> None:
    change(store, "full", blocks=(limit(),))
    [shown] = ask("full", "--json").json["accounts"]
    assert (len(shown["blocks"]), shown["lifted"], shown["live"]["result"]) == (1, [], "asked")


def test_who_cannot_be_asked_is_said(ask: Ask, store: AccountStore, sandbox: Sandbox) -> None:
    change(store, "rich", lane=Lane.PLATFORM, tokens=key_login(Secret("sk-canary")).tokens)
    store.update(lambda pool: enable(pool, "full", False))
    sandbox.journal.clear()
    said = ask("--json")
    assert live_of(said) == {"work": "asked", "full": "disabled", "rich": "no_limits", "old": "stale"}
    assert asked(sandbox) == ["work"]
    words = ask().words
    assert "not asked, as it is disabled: understudy limits --live full" in words
    assert "not asked: an API key has no limits of a plan" in words
    assert "no new figures: its access token has expired" in words


def test_a_disabled_account_is_asked_where_it_is_named(ask: Ask, store: AccountStore) -> None:
    store.update(lambda pool: enable(pool, "full", False))
    assert live_of(ask("full", "--json")) == {"full": "asked"}


def test_they_are_asked_one_after_another_and_few_at_once(
    ask: Ask, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "STAGGER", 0.2)
    sandbox.journal.clear()
    ask("work", "full", "rich")
    times = [entry.at for entry in sandbox.journal.entries()]
    assert [later - earlier > 0.1 for earlier, later in pairwise(times)] == [True, True]


# Lifting by hand


def test_a_reset_lifts_the_blocks_of_an_account_and_says_which(understudy: Understudy, store: AccountStore) -> None:
    change(store, "work", blocks=(limit(), limit(ground=Ground.ENTITLEMENT, model="gpt-5", reason="no such model")))
    change(store, "full", blocks=(limit(),))
    said = understudy("limits", "reset", "work")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("work (plus, ")
    assert "lifted: usage limit (until" in said.words and "; gpt-5: no such model (until" in said.words
    assert [len(each.blocks) for each in store.read().accounts] == [0, 1, 0, 0]


def test_a_reset_is_seen_in_the_status(understudy: Understudy, store: AccountStore) -> None:
    change(store, "work", blocks=(limit(),))
    understudy("limits", "reset", "work")
    assert understudy("status", "--json").json["accounts"][0]["state"] == "ok"


def test_a_reset_of_all_says_so_of_each(understudy: Understudy, store: AccountStore) -> None:
    change(store, "full", blocks=(limit(),))
    said = understudy("limits", "reset", "--all")
    assert [line.split("): ")[-1][:7] for line in said.lines if "): " in line] == ["nothing", "lifted:"] + [
        "nothing"
    ] * 2
    assert all(each.blocks == () for each in store.read().accounts)


def test_scripts_get_what_a_reset_has_lifted(understudy: Understudy, store: AccountStore) -> None:
    change(store, "work", blocks=(limit(), limit(until=1.0, ground=Ground.LOGIN)))
    [shown] = understudy("limits", "reset", "work", "--json").json["accounts"]
    assert (shown["label"], [block["ground"] for block in shown["lifted"]]) == ("work", ["limit"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["reset"], "takes the labels of accounts, or --all"),
        (["reset", "work", "--all"], "takes the labels of accounts, or --all"),
        (["reset", "work", "--live"], "takes the labels of accounts, or --all"),
        (["--all"], "--all goes with `limits reset`"),
    ],
)
def test_wrong_words_are_said_to_be_wrong(
    understudy: Understudy, store: AccountStore, words: list[str], said: str
) -> None:
    answer = understudy("limits", *words)
    assert (answer.code, said in answer.err) == (2, True)


def test_an_unknown_label_is_said_to_be_unknown(understudy: Understudy, store: AccountStore) -> None:
    for words in (["nobody"], ["reset", "nobody"]):
        said = understudy("limits", *words)
        assert (said.code, "no account is called 'nobody'" in said.err) == (1, True)
