"""The accounts are listed, and each is shown whole, in 80 columns, without their secrets."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.logins import CANARY, NOW, account
from support.terminal import Understudy
from understudy.cli.accounts.list import lines
from understudy.cli.render import UNICODE
from understudy.pool.account import Account, Block
from understudy.pool.health import needs_login
from understudy.pool.pool import Pin, Pool
from understudy.pool.refreshes import Refreshes
from understudy.state.accounts import AccountStore
from understudy.state.quota import QuotaCache
from understudy.wire.quota import Snapshot, Source, Window

LATER = NOW + 20 * 365 * 86400
ADA = replace(account("ada", expires_at=LATER), tags=("work", "shared"), note="paid until May", added_at=NOW)
BOB = replace(account("bob", expires_at=LATER), block=Block(LATER, "usage limit", authoritative=True))
CY = needs_login(account("cy"), "the login has expired", NOW)
DEE = replace(account("dee"), enabled=False)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def fill(home: Path, *accounts: Account, pin: Pin | None = None) -> None:
    AccountStore(home).update(lambda pool: replace(pool, accounts=accounts, pin=pin))


def test_the_whole_list_reads_like_this() -> None:
    bob = replace(BOB, block=Block(NOW + 3600, "usage limit", authoritative=True))
    pool = Pool((ADA, bob, CY, DEE), Pin("acct_bob"))
    assert (
        "\n".join(lines(pool, pool.accounts, NOW, False, UNICODE))
        == """\
ACCOUNT  PLAN  E-MAIL            STATE
ada      plus  a***@example.com  ok
bob      plus  b***@example.com  blocked until 09:00, pinned
cy       plus  c***@example.com  needs login
dee      plus  d***@example.com  disabled

cy: the login has expired. Log in again: understudy login"""
    )


def test_no_line_is_longer_than_80_columns_and_none_does_anything_to_the_terminal() -> None:
    evil = "\x1b]0;x\x07\x9b2J\u202e\n\t"
    long = replace(account("x" * 32), plan="enterprise_cbp_usage_based" + evil, email=f"a@{'long.' * 30}test{evil}")
    blocked = replace(long, block=Block(NOW + 6 * 86400, "limit", authoritative=True))
    dead = needs_login(long, f"because {evil * 40}", NOW)
    pool = Pool((blocked, dead), Pin(long.id, soft=True))
    shown = lines(pool, pool.accounts, NOW, True, UNICODE)
    assert max(len(line) for line in shown) <= 80
    assert all(line.isprintable() for line in shown)


def test_scripts_get_the_same_with_times_in_epoch_seconds(home: Path, understudy: Understudy) -> None:
    fill(home, ADA, BOB, CY, DEE, pin=Pin("acct_ada", soft=True))
    first, *others = understudy("accounts", "list", "--json").json["accounts"]
    assert first == {
        "id": "acct_ada",
        "label": "ada",
        "account_id": "ws-ada",
        "plan": "plus",
        "email": "a***@example.com",
        "enabled": True,
        "pinned": "soft",
        "state": "ok",
        "state_reason": None,
        "blocked_until": None,
        "last_used_at": None,
        "added_at": NOW,
        "tags": ["work", "shared"],
        "note": "paid until May",
    }
    assert [other["state"] for other in others] == ["blocked", "needs_login", "disabled"]
    assert [other["pinned"] for other in others] == [None] * 3


def test_a_tag_chooses_among_them(home: Path, understudy: Understudy) -> None:
    fill(home, ADA, BOB)
    assert [line.split()[0] for line in understudy("accounts", "list", "--tag", "work").lines] == ["ACCOUNT", "ada"]
    assert understudy("accounts", "list", "--tag", "home").out == "No account has this tag.\n"
    assert understudy("accounts", "list", "--tag", "home", "--json").json["accounts"] == []


@pytest.mark.parametrize(
    "words", [["list"], ["list", "--json"], ["show", "ada"], ["show", "ada", "--json"]], ids=" ".join
)
def test_an_address_is_masked_unless_it_is_asked_for_and_a_token_is_never_shown(
    home: Path, understudy: Understudy, words: list[str]
) -> None:
    fill(home, ADA)
    masked, full = understudy("accounts", *words), understudy("accounts", *words, "--show-email")
    assert "a***@example.com" in masked.out and "ada@example.com" not in masked.out
    assert "ada@example.com" in full.out
    assert CANARY not in masked.out + full.out


def test_an_empty_list_says_what_to_do_next(understudy: Understudy) -> None:
    said = understudy("accounts", "list")
    assert said.code == 0
    assert said.words.index("understudy login") < said.words.index("understudy accounts import ~/.codex/auth.json")
    assert understudy("accounts", "list", "--json").json == {"version": 1, "accounts": []}


def shown(understudy: Understudy, name: str) -> dict[str, str]:
    """What is shown of an account, by the names of the facts; what has none belongs to the one before."""
    facts: dict[str, str] = {}
    name_of = ""
    for line in understudy("accounts", "show", name).lines:
        assert len(line) <= 80
        name_of = line[:15].strip() or name_of
        facts[name_of] = " ".join([*facts.get(name_of, "").split(), *line[15:].split()])
    return facts


def test_everything_is_shown_of_one_account(home: Path, understudy: Understudy) -> None:
    now = time.time()
    used = replace(ADA, last_used_at=now - 60, refreshes=Refreshes(renewed_at=now - 3600))
    fill(home, used, pin=Pin("acct_ada"))
    figures = Snapshot("plus", (Window("5h", "codex", 62.0, 300, now + 3600),), None, now - 180, Source.HEADERS)
    QuotaCache(home).record([("acct_ada", figures)], (used,))
    facts = shown(understudy, "ada")
    assert {name: facts[name] for name in ("label", "plan", "e-mail", "id", "workspace", "user", "state")} == {
        "label": "ada",
        "plan": "plus",
        "e-mail": "a***@example.com",
        "id": "acct_ada",
        "workspace": "ws-ada",
        "user": "user-ada",
        "state": "ok, pinned",
    }
    assert (facts["tags"], facts["note"]) == ("work, shared", "paid until May")
    assert facts["access token"].startswith("good for ")
    assert facts["last renewed"].endswith(", 1 h ago")
    assert facts["last used"].endswith(", 1 min ago")
    assert facts["limits"].startswith("seen 3 min ago 5h") and "62%" in facts["limits"]


def test_of_an_account_that_does_not_serve_it_is_shown_why_and_what_to_do(home: Path, understudy: Understudy) -> None:
    guess = replace(BOB, id="acct_guess", label="guess", account_id="ws-2", block=Block(LATER, "usage limit", False))
    fill(home, BOB, CY, DEE, guess)
    assert shown(understudy, "bob")["state"].endswith(" usage limit")
    assert "ChatGPT named none" in shown(understudy, "guess")["state"]
    dead = shown(understudy, "cy")
    assert dead["state"].startswith("needs login the login has expired, since 15 Jan, ")
    assert dead["state"].endswith("log in again: understudy login")
    assert shown(understudy, "dee")["state"] == "disabled enable it: understudy accounts enable dee"


def test_trouble_with_renewing_is_shown_in_words(home: Path, understudy: Understudy) -> None:
    pausing = Refreshes(streak=2, retry_at=time.time() + 100, reason="the login server answered 503")
    over = Refreshes(streak=2, retry_at=0.0, reason="the login server answered 503")
    unanswered = Refreshes(sent_at=time.time() - 1)
    for record, words in (
        (pausing, "not before "),
        (over, "failed last time, 2 times in a row: the login server answered 503"),
        (unanswered, "the answer to its last refresh is not known yet"),
    ):
        fill(home, replace(account("ada", expires_at=1.0), refreshes=record))
        facts = shown(understudy, "ada")
        assert words in facts["renewal"]
        assert facts["access token"] == "expired; it is renewed when the account is next used"


def test_scripts_get_more_of_one_account_than_of_the_list(home: Path, understudy: Understudy) -> None:
    fill(home, BOB)
    [listed] = understudy("accounts", "list", "--json").json["accounts"]
    found = understudy("accounts", "show", "bob", "--json").json["account"]
    assert found == listed | {
        "user_id": "user-bob",
        "state_since": None,
        "block": {"until": LATER, "reason": "usage limit", "limit": True, "authoritative": True},
        "access_token_expires_at": LATER,
        "renewed_at": None,
        "renewal_trouble": None,
        "quota": None,
    }


def test_a_note_is_shown_as_well_as_the_terminal_can(home: Path, understudy: Understudy) -> None:
    fill(home, replace(ADA, note="für Ada"))
    assert shown(understudy, "ada")["note"] == "für Ada"


def test_who_is_not_there_is_said_with_who_is(home: Path, understudy: Understudy) -> None:
    fill(home, ADA, BOB)
    said = understudy("accounts", "show", "\x1b[31mdan")
    assert (said.code, said.out) == (1, "")
    assert said.err == "understudy: no account is called '[31mdan' (there are: ada, bob)\n"
