"""`understudy why` says in words what the choice says, of the running proxy or of one that would be started now."""

import hashlib
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.logins import CANARY, account
from support.terminal import Understudy
from support.theatre import Json, Theatre, eventually, roles
from support.troupe import Troupe, opened_troupe
from support.witness import with_constants
from understudy.oauth.api_key import key_login
from understudy.pool import edits
from understudy.pool.account import Account, Block, Ground, Health, Lane
from understudy.pool.affinity import Affinity
from understudy.pool.choose import Rules
from understudy.pool.pool import Pin, over_accounts
from understudy.pool.session import Isolation
from understudy.pool.strategies import Course, Strategy
from understudy.pool.vitals import Vitals
from understudy.state import runtime as runtimes
from understudy.state.accounts import AccountStore
from understudy.state.affinity import AffinityFile
from understudy.state.quota import QuotaCache
from understudy.state.running import Running
from understudy.state.telling import Telling, decode, encode
from understudy.wire.models import read_models
from understudy.wire.quota import Snapshot, Source, Window
from understudy.wire.secret import Secret
from understudy.wire.text import clock_time
from understudy.wire.usage import Usage

KEY = replace(account("key"), lane=Lane.PLATFORM, tokens=key_login(Secret("sk-canary-of-tests")).tokens)
NOBODY = "There are no accounts. To add one:"


@pytest.fixture(autouse=True)
def no_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own mitmproxy has nothing to say here."""
    monkeypatch.setenv("HOME", str(tmp_path))


def fill(home: Path, *accounts: Account) -> None:
    AccountStore(home).update(over_accounts(lambda _: accounts))


def blocked(name: str, seconds: float, ground: Ground = Ground.LIMIT, **more: Any) -> Account:
    now = time.time()
    block = Block(now + seconds, "usage limit", authoritative=True, ground=ground, since=now)
    return replace(account(name), blocks=(replace(block, **more),))


def see(home: Path, of: Account, used: float) -> None:
    """An answer has shown how full the account's window is."""
    now = time.time()
    snapshot = Snapshot("plus", (Window("5h", "codex", used, 300, now + 3600),), None, now, Source.HEADERS)
    QuotaCache(home).record([(of.id, snapshot)], AccountStore(home).read().accounts)


def remember(home: Path, *sessions: tuple[str, str, Sequence[str]], ago: float = 0.0) -> None:
    """Sessions by their keys, each with its account and those that have answered it, 1000 tokens each time."""
    affinity, now = Affinity(), time.time() - ago
    for number, (key, bound, answers) in enumerate(sessions):
        affinity.bind(key, bound, now - number)
        for answered in answers:
            affinity.charge(key, answered, Usage(1000, 0), now - number)
    AffinityFile(home).merge(affinity, Affinity(), time.time())


@pytest.fixture
def proxies(home: Path) -> Iterator[list[Running]]:
    """Records of proxies that run as long as the test does."""
    running: list[Running] = []
    yield running
    for each in running:
        each.end()


def told(home: Path, proxies: list[Running], telling: Telling) -> None:
    proxies.append(Running(home))
    proxies[-1].tell(encode(telling))


# In words


def test_it_reads_like_this(understudy: Understudy, home: Path) -> None:
    work, home_, off = blocked("work", 7200), account("home"), replace(account("spare"), enabled=False)
    fill(home, work, home_, off, KEY)
    see(home, home_, 12.0)
    remember(home, ("4a" * 32, home_.id, [work.id, home_.id]), ("5b" * 32, home_.id, [home_.id]), ago=125)
    said = understudy("why")
    assert (said.code, said.err) == (0, "")
    until = clock_time(work.blocks[0].until, time.time())
    assert (
        said.out
        == f"""\
The next request of a new session would use home (first in order).

  work   no: usage limit until {until}
  home   yes, 88 % left, score 498
  spare  no: disabled
  key    no: codex_overflow is off

Strategy sticky, isolation off; no proxy is running.

Sessions, the latest first:
  4a4a4a4a  home, 2 requests, 0% cached, 1 move that cost 1000 tokens, 2 min ago
  5b5b5b5b  home, 1 request, 0% cached, 2 min ago
"""
    )


def test_an_account_that_nothing_is_known_of_may_serve(understudy: Understudy, home: Path) -> None:
    fill(home, account("work"))
    assert "  work  yes, nothing known of its quota, score" in understudy("why").out


def test_no_line_is_longer_than_a_terminal_is_wide(understudy: Understudy, home: Path) -> None:
    long = "as-long-as-the-labels-of-accounts"[:32]
    dead = replace(account(long), health=Health.NEEDS_LOGIN, health_reason="the refresh token was used by another " * 3)
    fill(home, dead, account("work"))
    remember(home, *((f"{number:02}" * 32, dead.id, [dead.id, account("work").id]) for number in range(12)))
    said = understudy("why", "--set", "codex_strategy=round_robin")
    assert max(map(len, said.lines)) <= 80
    assert "Sessions, the latest first, 10 of 12:" in said.out
    assert CANARY not in said.out + understudy("why", "--json").out


def test_where_nobody_is_left_the_last_resort_is_told(understudy: Understudy, home: Path) -> None:
    cooling = blocked("work", 6, Ground.COOLING, reason="server error")
    fill(home, cooling)
    said = understudy("why")
    assert said.code == 0
    assert "would use work (failed a moment ago, but nobody else is left)." in said.words
    assert "work if need be: server error until" in said.words


def test_a_key_is_the_last_resort_where_the_user_wants_it(understudy: Understudy, home: Path) -> None:
    fill(home, blocked("work", 7200), KEY)
    assert understudy("why").code == 1
    said = understudy("why", "--set", "codex_overflow=on")
    assert said.code == 0
    assert "would use key (last resort, paid by the request)." in said.words
    assert "key if need be: costs money" in said.words


def test_a_wait_is_told_with_its_end(understudy: Understudy, home: Path) -> None:
    work = blocked("work", 50)
    fill(home, work)
    assert "would be refused." in understudy("why", "--set", "codex_wait=20").words
    said = understudy("why", "--set", "codex_wait=90")
    until = clock_time(work.blocks[0].until, time.time())
    assert f"would wait for a limit to end, until {until}." in said.words
    assert said.code == 1


def test_a_wait_goes_before_what_costs_money_or_is_likely_to_fail(understudy: Understudy, home: Path) -> None:
    now = time.time()
    past_its_half = blocked("home", 50, since=now - 600)
    fill(home, blocked("work", 40), past_its_half, KEY)
    assert "would use home (tried before its limit ends" in understudy("why").words
    said = understudy("why", "--set", "codex_wait=60", "--set", "codex_overflow=on")
    assert "would wait for a limit to end, until" in said.words
    found = understudy("why", "--json", "--set", "codex_wait=60", "--set", "codex_overflow=on")
    assert (found.code, found.json["outcome"], found.json["choice"]) == (1, "waits", None)


# Of one account, one model, one session


def test_of_one_account_nothing_else_is_told(understudy: Understudy, home: Path) -> None:
    work, home_ = account("work"), account("home")
    fill(home, work, home_)
    remember(home, ("4a" * 32, home_.id, [home_.id]), ("5b" * 32, work.id, [work.id]))
    said = understudy("why", "home")
    assert said.code == 0
    assert "would use work (first in order)." in said.words
    assert [line[:6] for line in said.lines if line.startswith("  ")] == ["  home", "  4a4a"]


@pytest.mark.parametrize("name", ["work", "WORK", "acct_work", "ws-work"])
def test_an_account_that_cannot_serve_is_exit_code_1_although_another_can(
    understudy: Understudy, home: Path, name: str
) -> None:
    fill(home, blocked("work", 7200), account("home"))
    said = understudy("why", name)
    assert said.code == 1
    assert "would use home" in said.words and "work no: usage limit until" in said.words


def test_a_model_that_one_account_lacks_goes_to_the_other(understudy: Understudy, home: Path) -> None:
    fill(home, blocked("work", 600, Ground.ENTITLEMENT, model="gpt-6", reason="plan without it"), account("home"))
    assert "would use work" in understudy("why", "--model", "gpt-5").words
    said = understudy("why", "--model", "gpt-6")
    assert "The next request of a new session for gpt-6 would use home" in said.words
    assert "work no: plan without it until" in said.words


def test_the_model_that_serves_in_the_place_of_another_is_named(understudy: Understudy, home: Path) -> None:
    fill(home, blocked("work", 600, Ground.ENTITLEMENT, model="gpt-6", reason="plan without it"))
    for models, asked in (("gpt-5.1=gpt-5.5", "gpt-5.1"), ("gpt-6>gpt-5.5", "gpt-6")):
        said = understudy("why", "--model", asked, "--set", f"codex_models={models}")
        assert "for gpt-5.5 would use work" in said.words
    said = understudy("why", "--model", "gpt-6", "--set", "codex_unsupported=passthrough")
    assert "would go out as it came, and the program's own key would pay." in said.words
    assert said.code == 1


def test_an_alias_does_not_lead_to_where_the_program_s_own_key_pays(understudy: Understudy, home: Path) -> None:
    fill(home, account("work"))
    options = ("--set", "codex_models=mine=gpt-5,gpt-5=passthrough", "--set", "codex_unsupported=passthrough")
    assert "would go out as it came" in understudy("why", "--model", "gpt-5", *options).words
    assert "for gpt-5 would use work" in understudy("why", "--model", "mine", *options).words


def test_a_session_stays_where_it_is(understudy: Understudy, home: Path) -> None:
    work, home_ = account("work"), account("home")
    fill(home, work, home_)
    remember(home, ("4a" * 32, home_.id, [home_.id]))
    said = understudy("why", "--session", "4a4a4a4a")
    assert "This session's next request would use home (the session's account)." in said.words
    assert "Sessions" not in said.out


def test_a_session_that_has_cooled_down_is_a_new_one_unless_it_is_isolated(understudy: Understudy, home: Path) -> None:
    fill(home, account("work"), account("home"))
    remember(home, ("4a" * 32, account("home").id, [account("home").id]), ago=1500)
    assert "would use work" in understudy("why", "--session", "4a").words
    said = understudy("why", "--session", "4a", "--set", "codex_isolate=account")
    assert "would use home" in said.words
    assert "work no: the conversation stays with home" in said.words


def test_a_session_whose_account_cannot_serve_stays_with_who_serves_it_meanwhile(
    understudy: Understudy, home: Path
) -> None:
    work, home_, third = blocked("work", 600), account("home"), account("third")
    fill(home, work, home_, third)
    remember(home, ("4a" * 32, work.id, [work.id, third.id]))
    assert "would use third (serves the session meanwhile)." in understudy("why", "--session", "4a").words


def test_an_isolated_conversation_is_not_anybody_s_because_the_user_has_switched_accounts(
    understudy: Understudy, home: Path
) -> None:
    fill(home, account("work"), account("home"))
    remember(home, ("4a" * 32, "acct_home", ["acct_home"]))
    AccountStore(home).update(lambda pool: edits.unpin(edits.pin(pool, "work", soft=False)))
    assert "would use work" in understudy("why", "--session", "4a").words
    assert "would use home" in understudy("why", "--session", "4a", "--set", "codex_isolate=account").words


# As JSON


def test_the_json_says_the_same(understudy: Understudy, home: Path) -> None:
    work, home_ = blocked("work", 7200), account("home")
    fill(home, work, home_)
    see(home, home_, 12.0)
    remember(home, ("4a" * 32, home_.id, [work.id, home_.id]))
    said = understudy("why", "--json", "--model", "gpt-5.5")
    found = said.json
    assert said.code == 0
    assert found.pop("accounts") == [
        {
            "id": work.id,
            "label": "work",
            "serves": False,
            "why": "limit",
            "reason": "usage limit",
            "until": work.blocks[0].until,
            "left_percent": None,
            "score": 498.0,
            "claims": 0,
        },
        {
            "id": home_.id,
            "label": "home",
            "serves": True,
            "why": None,
            "reason": None,
            "until": None,
            "left_percent": 88.0,
            "score": 498.0,
            "claims": 0,
        },
    ]
    assert found == {
        "version": 1,
        "outcome": "served",
        "choice": {"account": "home", "by": "order", "words": "home (first in order)"},
        "model": "gpt-5.5",
        "waits_until": None,
        "rules": {"strategy": "sticky", "isolation": "off"},
        "source": "no proxy is running",
        "sessions": [
            {
                "session": "4a4a4a4a",
                "account": "home",
                "requests": 2,
                "cached_share": 0.0,
                "moves": 1,
                "moved_tokens": 1000,
            }
        ],
    }


def test_the_json_of_a_refusal(understudy: Understudy, home: Path) -> None:
    fill(home, blocked("work", 50))
    said = understudy("why", "--json")
    assert (said.code, said.json["outcome"], said.json["choice"]) == (1, "refused", None)
    said = understudy("why", "--json", "--set", "codex_wait=90")
    assert (said.code, said.json["outcome"]) == (1, "waits")


def test_an_empty_pool_is_told_in_either_form(understudy: Understudy) -> None:
    said = understudy("why")
    assert (said.code, said.lines[0]) == (1, NOBODY)
    said = understudy("why", "--json")
    assert (said.code, said.json["outcome"], said.json["accounts"]) == (1, "refused", [])


# Whose rules they are


def test_without_a_proxy_the_user_s_file_and_the_options_given_count(
    understudy: Understudy, home: Path, tmp_path: Path
) -> None:
    fill(home, account("work"), account("home"))
    (tmp_path / ".mitmproxy").mkdir()
    (tmp_path / ".mitmproxy" / "config.yaml").write_text("codex_account: home\ncodex_strategy: drain\n")
    said = understudy("why", "--set", "codex_strategy=hybrid")
    assert "would use home (pinned)." in said.words
    assert "work no: another account is pinned" in said.words
    assert "Strategy hybrid, isolation off; no proxy is running." in said.words


def test_with_one_its_rules_and_what_it_remembers_count(
    understudy: Understudy, home: Path, proxies: list[Running]
) -> None:
    work, home_ = account("work"), account("home")
    fill(home, work, home_)
    rules = Rules(Strategy.STICKY, isolation=Isolation.WORKSPACE)
    vitals = {work.id: Vitals(10.0, 50.0, time.time())}
    told(home, proxies, Telling(rules, Course(home_.id, 5.0), vitals, claims={work.id: 3}))
    said = understudy("why")
    assert "would use home (in use)." in said.words
    assert "work yes, nothing known of its quota, score 318" in said.words
    assert "running in other processes" not in said.words  # these are its own
    assert "Strategy sticky, isolation workspace; as the running proxy has it (process" in said.words


def test_what_other_proxies_have_running_counts(understudy: Understudy, home: Path, proxies: list[Running]) -> None:
    work, home_ = account("work"), account("home")
    fill(home, work, home_)
    for _ in range(2):
        told(home, proxies, Telling(Rules(Strategy.HYBRID), Course(), claims={work.id: 2}))
    said = understudy("why")
    assert "would use home (best score)." in said.words
    assert "work yes, nothing known of its quota, score 418, 2 running in other processes" in said.words
    assert ", one of 2)." in said.words


def test_an_account_that_any_proxy_tries_after_failures_is_left_alone(
    understudy: Understudy, home: Path, proxies: list[Running]
) -> None:
    fill(home, blocked("work", 30, Ground.BREAKER, reason="failing"))
    told(home, proxies, Telling(Rules(), Course(), probing=("acct_work",)))
    told(home, proxies, Telling(Rules(), Course()))
    said = understudy("why")
    assert said.code == 1
    assert "work no: it is being probed after failures" in said.words


def test_a_model_that_counts_apart_is_not_kept_by_a_limit_that_is_not_its_own(
    understudy: Understudy, home: Path, proxies: list[Running]
) -> None:
    fill(home, blocked("work", 600))
    told(home, proxies, Telling(Rules(), Course(), apart={"acct_work": frozenset({"spark"})}))
    assert understudy("why", "--model", "gpt-5.5").code == 1
    assert "would use work" in understudy("why", "--model", "spark").words


def test_options_that_are_given_count_before_those_of_the_proxy(
    understudy: Understudy, home: Path, proxies: list[Running]
) -> None:
    work, home_ = account("work"), account("home")
    fill(home, work, home_)
    told(home, proxies, Telling(Rules(Strategy.STICKY), Course(home_.id, 5.0)))
    said = understudy("why", "--set", "codex_strategy=drain")
    assert "would use work (first to be used up)." in said.words
    assert "Strategy drain, isolation off; by --set; no proxy for all programs is running." in said.words


def test_and_leave_the_others_as_the_proxy_has_them(understudy: Understudy, home: Path, proxies: list[Running]) -> None:
    fill(home, account("work"), account("home"))
    listeners = (runtimes.Listener("regular", "127.0.0.1", 8080),)
    runtime = runtimes.Runtime(1, "mitmdump", "0", "11", 1.0, str(home), listeners, {"codex_isolate": "workspace"})
    told(home, proxies, Telling(Rules(Strategy.STICKY), Course()))
    telling = encode(Telling(Rules(Strategy.STICKY), Course()))
    proxies[0].tell({**telling, runtimes.KEY: runtimes.encode(runtime)})
    said = understudy("why", "--set", "codex_strategy=drain")
    assert "Strategy drain, isolation workspace; by --set over the options of the running proxy (process" in said.words


def test_the_pool_s_pin_counts_unless_the_proxy_names_an_account(
    understudy: Understudy, home: Path, proxies: list[Running]
) -> None:
    fill(home, account("work"), account("home"))
    AccountStore(home).update(lambda pool: edits.pin(pool, "home", soft=True))
    assert "would use home (preferred by the user)." in understudy("why").words
    told(home, proxies, Telling(Rules(pin=Pin("work")), Course()))
    assert "would use work (pinned)." in understudy("why").words


def test_the_proxy_s_models_count(understudy: Understudy, home: Path, proxies: list[Running]) -> None:
    fill(home, account("work"))
    told(home, proxies, Telling(Rules(), Course(), models=read_models("gpt-5.1=gpt-5.5"), passthrough=True))
    assert "for gpt-5.5 would use work" in understudy("why", "--model", "gpt-5.1").words


def test_what_another_version_tells_is_left_aside(understudy: Understudy, home: Path, proxies: list[Running]) -> None:
    fill(home, account("work"))
    proxies.append(Running(home))
    proxies[-1].tell({"rules": "of another version"})
    assert "no proxy is running" in understudy("why").words


# What is typed wrongly


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["wrok"], 1, "no account is called 'wrok' (there are: work)"),
        (["--session", "mine"], 1, "no session is called 'mine'; `understudy why` lists those that are remembered"),
        (["--session", "4a"], 1, "2 sessions are called '4a'"),
        (["--set", "codex_strategy=best"], 2, "codex_strategy: not understood: 'best'"),
        (["--set", "codex_stratgey=drain"], 2, "there is no option codex_stratgey"),
        (["work", "home"], 2, "unrecognized arguments: home"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_said_to_be_one(
    understudy: Understudy, home: Path, words: Sequence[str], code: int, said: str
) -> None:
    fill(home, account("work"))
    remember(home, ("4a" * 32, "acct_work", []), ("4a4b" * 16, "acct_work", []))
    found = understudy("why", *words)
    assert found.code == code
    assert said in found.words
    assert found.out == ""


def test_a_pin_that_names_nobody_is_said_to(understudy: Understudy, home: Path) -> None:
    fill(home, account("work"))
    said = understudy("why", "--set", "codex_account=wrok")
    assert said.code == 1
    assert "would be refused. wrok: no account is called so." in said.words


# It is what the proxy then does


@pytest.fixture(scope="module")
def troupe(tmp_path_factory: pytest.TempPathFactory, confdir_template: Path, authority_file: Path) -> Iterator[Troupe]:
    scenario = roles() | {"api_keys": {"key": {"key": "sk-canary-of-why"}}}
    with opened_troupe(tmp_path_factory.mktemp("troupe"), confdir_template, authority_file, scenario) as troupe:
        yield troupe


ANSWER: Json = {"do": "answer"}
OPTIONS: dict[str, dict[str, object]] = {
    "sticky": {},
    "drain": {"codex_strategy": "drain", "codex_isolate": "account"},
    "round_robin": {"codex_strategy": "round_robin", "codex_overflow": "on"},
    "hybrid": {"codex_strategy": "hybrid", "codex_soft_quota": 0},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
def test_the_proxy_does_what_why_has_said(troupe: Troupe, tmp_path: Path, options: dict[str, object]) -> None:
    eager = with_constants(tmp_path, {"understudy.proxy.sharing.EVERY": 0.05})
    with troupe.theatre(options, arguments=eager) as theatre:
        theatre.cast(work=ANSWER, home=ANSWER, third=ANSWER)
        troupe.add_key("key")
        mine = uuid.uuid4().hex
        ask_as_told(troupe, theatre, mine)
        ask_as_told(troupe, theatre)
        ask_as_told(troupe, theatre)
        [bound] = [line["session"] for line in troupe.json("why")["sessions"] if line["session"] == session_of(mine)]
        now = time.time()
        troupe.limit("work", since=now, until=now + 3000)
        troupe.change("third", enabled=False)
        ask_as_told(troupe, theatre)
        troupe.limit("home", since=now, until=now + 3000)
        ask_as_told(troupe, theatre)
        ask_as_told(troupe, theatre, mine, bound)
        troupe.limit("home", since=now - 600, until=now + 590)
        ask_as_told(troupe, theatre)
        troupe.lift("work")
        troupe.store.update(lambda pool: edits.pin(pool, "work", soft=True))
        ask_as_told(troupe, theatre)
        troupe.store.update(edits.unpin)


def session_of(name: str) -> str:
    """How the lists call the session of that id."""
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def ask_as_told(troupe: Troupe, theatre: Theatre, name: str = "", known: str = "") -> None:
    """A request of the session `name`, which the lists call `known` where they have it, does what `why` says."""
    before, calls, logged = time.time(), len(theatre.calls), len(theatre.proxy.log)
    why = troupe.json("why", "--model", "gpt-5.5", *(["--session", known] if known else []), code=None)
    heard = theatre.ask(headers={"session_id": name or uuid.uuid4().hex})
    if why["outcome"] != "served":
        assert (heard.status in (429, 503), why["choice"], theatre.asked[calls:]) == (True, None, [])
        return
    assert (heard.status, theatre.asked[calls:]) == (200, [why["choice"]["account"]])
    eventually(lambda: f"understudy: {why['choice']['words']}, attempt 1, 200 ok" in theatre.proxy.log[logged:])
    served = theatre.account(why["choice"]["account"]).id
    eventually(lambda: last_weighed(troupe, served) > before)


def last_weighed(troupe: Troupe, account_id: str) -> float:
    """When the running proxy weighed the account last, as it tells."""
    [record] = Running(troupe.home).all()
    telling = decode(record.told)
    assert telling is not None
    return telling.vitals[account_id].at if account_id in telling.vitals else 0.0
