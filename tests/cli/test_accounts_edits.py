"""Each command changes what it says, in one line that names the account, and says so where nothing had to change."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from support.logins import NOW, account
from support.terminal import Understudy
from understudy.pool.account import Account, Block
from understudy.pool.health import needs_login
from understudy.pool.pool import Pin, Pool, over_accounts
from understudy.state.accounts import AccountStore
from understudy.state.kept import kept_files
from understudy.state.quota import QuotaCache

LATER = NOW + 20 * 365 * 86400


@pytest.fixture(autouse=True)
def store(home: Path) -> AccountStore:
    """A pool of ada, bob and cy."""
    store = AccountStore(home)
    store.update(over_accounts(lambda _: (account("ada"), account("bob"), account("cy"))))
    return store


def change(store: AccountStore, name: str, **changes: object) -> None:
    """Changes an account behind the command's back."""

    def changed(account: Account) -> Account:
        return replace(account, **changes) if account.label == name else account  # type: ignore[arg-type]

    store.update(over_accounts(lambda accounts: tuple(map(changed, accounts))))


def labels(store: AccountStore) -> list[str]:
    return [account.label for account in store.read().accounts]


ADA = "ada (plus, a***@example.com)"


@pytest.mark.parametrize(
    ("words", "first", "again"),
    [
        (["use", "ada"], f"{ADA} is pinned: it alone carries out requests", f"{ADA} is already pinned: "),
        (["use", "ada", "--soft"], f"{ADA} is preferred: the others serve while it cannot", f"{ADA} is already pre"),
        (["disable", "ada"], f"{ADA} is disabled", f"{ADA} is disabled already"),
        (
            ["label", "ada", "work"],
            "ada is now work (plus, a***@example.com)",
            "understudy: no account is called 'ada'",
        ),
        (["label", "acct_ada", "work"], "ada is now work", "work (plus, a***@example.com) is called so already"),
        (["tag", "ada", "x", "y"], f"{ADA} has the tags x, y", f"{ADA} has the tags x, y already"),
        (["tag", "ada", "x"], f"{ADA} has the tag x", f"{ADA} has the tag x already"),
        (["note", "ada", "paid until May"], f"{ADA} has this note", f"{ADA} has this note already"),
        (["note", "ada", "paid", "until", "May"], f"{ADA} has this note", f"{ADA} has this note already"),
        (
            ["reserve", "ada", "10%"],
            f"{ADA} keeps the last 10 % of its limits for you",
            f"{ADA} keeps the last 10 % of",
        ),
        (["order", "cy", "ada"], "the order is now: cy, ada, bob", "the order is already: cy, ada, bob"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_it_says_what_it_did_and_the_second_time_that_it_is_so(
    understudy: Understudy, store: AccountStore, words: Sequence[str], first: str, again: str
) -> None:
    said = understudy("accounts", *words)
    assert (said.code, said.err) == (0, "")
    assert len(said.lines) == 1 and said.out.startswith(first)
    after = store.read()
    said = understudy("accounts", *words)
    assert (said.out + said.err).startswith(again)
    assert store.read() == after


def test_what_is_so_already_is_no_error(understudy: Understudy) -> None:
    for words, said in (
        (["unpin"], "no account is pinned\n"),
        (["enable", "ada"], f"{ADA} is enabled already\n"),
        (["tag", "ada"], f"{ADA} has no tags already\n"),
        (["note", "ada"], f"{ADA} has no note already\n"),
        (["reserve", "ada", "0"], f"{ADA} keeps nothing for you already\n"),
    ):
        found = understudy("accounts", *words)
        assert (found.code, found.out) == (0, said)


def test_the_changes_are_on_disk_and_the_status_knows_them(
    understudy: Understudy, store: AccountStore, home: Path
) -> None:
    for words in (
        ["use", "bob", "--soft"],
        ["disable", "cy"],
        ["tag", "ada", "x"],
        ["note", "ada", "y"],
        ["reserve", "ada", "12.5"],
    ):
        understudy("accounts", *words)
    ada, _, cy = store.read().accounts
    assert ada.reserve_percent == 12.5
    assert store.read().pin == Pin("acct_bob", soft=True)
    assert (ada.tags, ada.note, cy.enabled) == (("x",), "y", False)
    shown = {entry.label: (entry.pinned, entry.enabled) for entry in QuotaCache(home).read() or ()}
    assert shown == {"ada": ("", True), "bob": ("soft", True), "cy": ("", False)}


def test_what_is_taken_away_is_said_once_more(understudy: Understudy) -> None:
    understudy("accounts", "tag", "ada", "x", "y")
    understudy("accounts", "note", "ada", "paid until May")
    assert understudy("accounts", "tag", "ada").out == f"{ADA} has no tags (before: the tags x, y)\n"
    assert understudy("accounts", "note", "ada").out == f"{ADA} has no note (before: paid until May)\n"
    understudy("accounts", "reserve", "ada", "10")
    before = "(before: the last 10 % of its limits)"
    assert understudy("accounts", "reserve", "ada", "0").out == f"{ADA} keeps nothing for you {before}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["use", "dan"], "no account is called 'dan' (there are: ada, bob, cy)"),
        (["label", "ada", "bob"], "another account is called bob already"),
        (["label", "ada", "two words"], "not a label: 'two words'"),
        (["tag", "ada", "two words"], "not a tag: 'two words'"),
        (["note", "ada", "x" * 241], "240 characters at most"),
        (["reserve", "dan", "10"], "no account is called 'dan'"),
        (["order", "ada", "acct_ada"], "an account is named twice"),
        (["remove", "ada", "dan", "--yes"], "no account is called 'dan'"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_said_and_nothing_is_changed(
    understudy: Understudy, store: AccountStore, words: Sequence[str], said: str
) -> None:
    before = store.read()
    found = understudy("accounts", *words)
    assert (found.code, found.out) == (1, "")
    assert said in found.err
    assert store.read() == before


@pytest.mark.parametrize("text", ["", "x", "-1", "101", "nan", "inf", "1e1", "10 %%"])
def test_what_is_no_part_of_a_limit_is_wrong_use(understudy: Understudy, store: AccountStore, text: str) -> None:
    assert understudy("accounts", "reserve", "ada", text).code == 2
    assert store.read().revision == 1


# Which account serves


def test_to_pin_a_disabled_account_says_how_to_enable_it(understudy: Understudy) -> None:
    understudy("accounts", "disable", "bob")
    said = understudy("accounts", "use", "bob")
    assert (said.code, said.err) == (
        1,
        "understudy: bob is disabled; enable it first: understudy accounts enable bob\n",
    )


def test_to_pin_an_account_that_cannot_serve_says_why_and_what_to_do(
    understudy: Understudy, store: AccountStore
) -> None:
    change(store, "bob", blocks=(Block(LATER, "usage limit", authoritative=True),))
    hard, soft = understudy("accounts", "use", "bob"), understudy("accounts", "use", "bob", "--soft")
    assert "It cannot serve now: it is blocked until " in hard.out
    assert "understudy accounts use bob --soft" in hard.out
    assert "It cannot serve now" in soft.out and "--soft" not in soft.out
    store.update(over_accounts(lambda accounts: (needs_login(accounts[0], "it has expired", NOW), *accounts[1:])))
    assert "It cannot serve: it has expired. Log in again: understudy login" in understudy("accounts", "use", "ada").out


def test_to_unpin_names_who_was_pinned(understudy: Understudy) -> None:
    understudy("accounts", "use", "ada")
    assert understudy("accounts", "unpin").out == f"{ADA} is no longer pinned\n"


def test_a_pinned_account_that_is_disabled_is_pinned_no_more(understudy: Understudy, store: AccountStore) -> None:
    understudy("accounts", "use", "ada")
    assert understudy("accounts", "disable", "ada").out == f"{ADA} is disabled, and no longer pinned\n"
    assert store.read().pin is None


def test_to_disable_the_last_one_says_what_will_happen(understudy: Understudy) -> None:
    for name in ("ada", "bob"):
        assert "refused" not in understudy("accounts", "disable", name).out
    assert understudy("accounts", "disable", "cy").lines[1:] == ["No account is enabled now: requests will be refused."]


# Removal


def test_one_account_is_removed_without_a_copy(understudy: Understudy, store: AccountStore, home: Path) -> None:
    said = understudy("accounts", "remove", "ada", "--yes")
    assert said.code == 0
    assert said.lines[0] == f"removed {ADA}"
    assert "understudy logout" in said.lines[1]
    assert labels(store) == ["bob", "cy"]
    assert not (home / "backups").exists()


def test_without_a_yes_nothing_is_removed(understudy: Understudy, store: AccountStore) -> None:
    said = understudy("accounts", "remove", "ada")
    assert (said.code, said.out) == (1, "")
    assert "--yes" in said.err and ADA in said.err
    assert labels(store) == ["ada", "bob", "cy"]


class Terminal(io.StringIO):
    """Somebody who can be asked."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("answer", "removed"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_on_a_terminal_the_user_is_asked(
    understudy: Understudy, store: AccountStore, monkeypatch: pytest.MonkeyPatch, answer: str, removed: bool
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    said = understudy("accounts", "remove", "ada")
    assert (said.code == 0) is removed
    assert said.err.startswith(f"Remove {ADA}? [y/N] ")
    assert ("ada" in labels(store)) is not removed


@pytest.mark.parametrize("words", [["bob", "ada"], ["--all"]], ids=" ".join)
def test_where_several_go_there_is_a_copy_and_the_way_back_is_said(
    understudy: Understudy, store: AccountStore, home: Path, words: Sequence[str]
) -> None:
    before = store.read().accounts
    said = understudy("accounts", "remove", *words, "--yes")
    [copy] = [kept for kept in kept_files(home) if kept.path.parent.name == "backups"]
    assert f"The pool as it was: {copy.path}" in said.lines
    assert copy.pool is not None and copy.pool.accounts == before
    assert labels(store) == ([] if words == ["--all"] else ["cy"])
    assert ("There are no accounts now" in said.out) is (words == ["--all"])
    [back] = [line.partition(": understudy ")[2] for line in said.lines if line.startswith("To bring it back: ")]
    assert understudy(*back.split(), "--yes").code == 0
    assert store.read().accounts == before


@pytest.mark.parametrize("words", [[], ["ada", "--all"]], ids=str)
def test_to_name_none_or_some_and_all_is_wrong_use(
    understudy: Understudy, store: AccountStore, words: Sequence[str]
) -> None:
    assert understudy("accounts", "remove", *words, "--yes").code == 2
    assert labels(store) == ["ada", "bob", "cy"]


def test_a_removed_account_takes_its_pin_with_it(understudy: Understudy, store: AccountStore) -> None:
    understudy("accounts", "use", "ada")
    understudy("accounts", "remove", "ada", "--yes")
    assert store.read().pin is None


# What is kept


def test_nothing_kept_is_said_and_to_clear_nothing_is_no_error(understudy: Understudy, home: Path) -> None:
    (home / "accounts.json.bak").unlink()
    assert understudy("accounts", "quarantine").out == "Nothing is kept of earlier pools.\n"
    assert understudy("accounts", "quarantine", "clear").out == "nothing is in quarantine\n"


def test_an_unreadable_pool_is_listed_brought_back_and_cleared(
    understudy: Understudy, store: AccountStore, home: Path
) -> None:
    store.path.write_bytes(b"torn")
    assert understudy("accounts", "list").code == 1
    listed = understudy("accounts", "quarantine")
    assert listed.code == 0 and max(map(len, listed.lines)) <= 80
    assert "  in quarantine, just now, 4 bytes: unreadable: it is not JSON" in listed.lines
    at = listed.lines.index("accounts.json.bak")
    assert listed.lines[at + 1].endswith(": 3 accounts")
    files = understudy("accounts", "quarantine", "--json").json["files"]
    assert sorted((file["accounts"], file["trouble"]) for file in files if file["trouble"] is None) == [(3, None)]
    [torn] = [file for file in files if file["trouble"]]
    assert (torn["accounts"], torn["size"], torn["trouble"]) == (None, 4, "it is not JSON")

    refused = understudy("accounts", "quarantine", "restore", torn["path"], "--yes")
    assert (refused.code, "it is not JSON" in refused.err) == (1, True)
    assert understudy("accounts", "quarantine", "restore", "accounts.json.bak").code == 1
    restored = understudy("accounts", "quarantine", "restore", "accounts.json.bak", "--yes")
    assert restored.lines[0] == f"restored 3 accounts from {home / 'accounts.json.bak'}"
    assert labels(store) == ["ada", "bob", "cy"]

    assert understudy("accounts", "quarantine", "clear").code == 1
    assert understudy("accounts", "quarantine", "clear", "--yes").out == "deleted 1 file\n"
    assert [kept.path.name for kept in kept_files(home)] == ["accounts.json.bak"]


@pytest.mark.parametrize("name", ["/etc/passwd", "../accounts.json", "accounts.json", "nosuch"])
def test_no_other_file_is_brought_back(understudy: Understudy, store: AccountStore, name: str) -> None:
    before = store.read()
    said = understudy("accounts", "quarantine", "restore", name, "--yes")
    assert (said.code, "no such file" in said.err) == (1, True)
    assert store.read() == before


def test_the_status_knows_a_pool_that_was_brought_back(understudy: Understudy, store: AccountStore, home: Path) -> None:
    store.back_up()
    store.update(lambda _: Pool())
    understudy("accounts", "quarantine", "restore", "accounts.json.bak", "--yes")
    assert QuotaCache(home).read() == ()
    [copy] = [kept for kept in kept_files(home) if kept.pool and len(kept.pool.accounts) == 3]
    understudy("accounts", "quarantine", "restore", copy.path.name, "--yes")
    assert [entry.label for entry in QuotaCache(home).read() or ()] == ["ada", "bob", "cy"]
