"""The accounts are listed, and each is shown whole, in 80 columns, without their secrets."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.logins import CANARY, NOW, account
from support.terminal import Understudy
from understudy.cli.accounts.list import account_object, lines
from understudy.cli.render import UNICODE
from understudy.pool.account import Account, Block, Ground
from understudy.pool.health import needs_login
from understudy.pool.pool import Pin, Pool
from understudy.pool.refreshes import Refreshes
from understudy.state.accounts import AccountStore
from understudy.state.quota import QuotaCache
from understudy.wire.quota import Snapshot, Source, Window

LATER = NOW + 20 * 365 * 86400
ADA = replace(account("ada", expires_at=LATER), tags=("work", "shared"), note="paid until May", added_at=NOW)
BOB = replace(account("bob", expires_at=LATER), blocks=(Block(LATER, "usage limit", authoritative=True),))
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
    bob = replace(BOB, blocks=(Block(NOW + 3600, "usage limit", authoritative=True),))
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
    blocked = replace(long, blocks=(Block(NOW + 6 * 86400, "limit", authoritative=True),))
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
        "lane": "codex",
        "reserve_percent": 0.0,
        "blocks": [],
        "paid_requests_today": 0,
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
    guess = replace(
        BOB, id="acct_guess", label="guess", account_id="ws-2", blocks=(Block(LATER, "usage limit", False),)
    )
    fill(home, BOB, CY, DEE, guess)
    assert shown(understudy, "bob")["state"].endswith(" usage limit")
    assert "ChatGPT named none" in shown(understudy, "guess")["state"]
    dead = shown(understudy, "cy")
    assert dead["state"].startswith("needs login the login has expired, since 15 Jan, ")
    assert dead["state"].endswith("Log in again: understudy login")
    assert shown(understudy, "dee")["state"] == "disabled enable it: understudy accounts enable dee"


NIGHT = (
    Block(NOW + 3600, "usage limit", authoritative=True, tried_at=NOW - 180, since=NOW - 900),
    Block(NOW + 1800, "failed again and again", authoritative=False, ground=Ground.BREAKER),
    Block(NOW + 7200, "not in its plan", authoritative=False, ground=Ground.ENTITLEMENT, model="gpt-5-pro"),
    Block(NOW + 600, "usage limit", authoritative=False, model="gpt-5-spark", limit_id="spark"),
    Block(NOW - 1, "long over", authoritative=True, ground=Ground.LOGIN),
)


def test_every_block_is_listed_with_its_model_its_reason_and_its_end() -> None:
    pool = Pool((replace(ADA, blocks=NIGHT), replace(BOB, blocks=NIGHT[2:])))
    assert (
        "\n".join(lines(pool, pool.accounts, NOW, False, UNICODE))
        == """\
ACCOUNT  PLAN  E-MAIL            STATE
ada      plus  a***@example.com  blocked until 09:00
bob      plus  b***@example.com  ok

ada: gpt-5-pro until 10:00: not in its plan

ada: until 08:30: failed again and again

ada: gpt-5-spark until 08:10: usage limit (the time is a guess: ChatGPT named
none)

bob: gpt-5-pro until 10:00: not in its plan

bob: gpt-5-spark until 08:10: usage limit (the time is a guess: ChatGPT named
none)"""
    )


def test_scripts_get_every_block_and_the_one_of_the_whole_account_as_ever() -> None:
    found = account_object(replace(ADA, blocks=NIGHT), NOW)
    assert (found["state"], found["blocked_until"]) == ("blocked", NOW + 3600)
    blocks = found["blocks"]
    assert isinstance(blocks, list)
    assert [(block["ground"], block["model"], block["limit_id"], block["until"]) for block in blocks] == [
        ("entitlement", "gpt-5-pro", None, NOW + 7200),
        ("limit", None, None, NOW + 3600),
        ("breaker", None, None, NOW + 1800),
        ("limit", "gpt-5-spark", "spark", NOW + 600),
    ]
    assert blocks[1] == {
        "ground": "limit",
        "reason": "usage limit",
        "model": None,
        "limit_id": None,
        "until": NOW + 3600,
        "authoritative": True,
        "since": NOW - 900,
        "tried_at": NOW - 180,
    }


def test_of_one_account_every_block_is_shown_and_when_it_was_tried_all_the_same(
    home: Path, understudy: Understudy
) -> None:
    now = time.time()
    tried = Block(now + 3600, "usage limit", authoritative=True, tried_at=now - 180)
    other = Block(now + 7200, "not in its plan", False, ground=Ground.ENTITLEMENT, model="gpt-5-pro")
    model = replace(other, since=now - 60, tried_at=now - 180)
    fill(home, replace(ADA, blocks=(tried, model)))
    state = shown(understudy, "ada")["state"]
    assert state.startswith("blocked until ")
    assert "gpt-5-pro until " in state and ": not in its plan until " in state
    assert state.endswith(": usage limit (tried all the same 3 min ago)")


def test_what_is_reserved_is_shown(home: Path, understudy: Understudy) -> None:
    fill(home, replace(ADA, reserve_percent=12.5), BOB)
    assert understudy("accounts", "list").lines[1].endswith("  ok, 12.5 % reserved")
    assert shown(understudy, "ada")["reserve"] == "the last 12.5 % of every window of the main limit"
    assert (shown(understudy, "bob")["reserve"], shown(understudy, "bob")["lane"]) == ("none", "codex")
    assert understudy("accounts", "list", "--json").json["accounts"][0]["reserve_percent"] == 12.5


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
