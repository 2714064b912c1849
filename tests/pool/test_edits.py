"""What the user does to the pool by name takes effect at once, and what cannot be done is said in words."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from support.logins import NOW, account
from understudy.pool import edits
from understudy.pool.health import needs_login
from understudy.pool.pool import Pin, Pool, over_accounts

ADA, BOB, CY = account("ada"), account("bob"), account("cy")
POOL = Pool((ADA, BOB, CY))


def labels(pool: Pool) -> list[str]:
    return [account.label for account in pool.accounts]


@pytest.mark.parametrize("name", ["bob", "acct_bob", "ws-bob"])
def test_an_account_is_known_by_its_label_its_id_and_its_workspace(name: str) -> None:
    assert edits.named(POOL, name) is BOB


def test_who_is_not_there_is_told_from_who_is() -> None:
    with pytest.raises(ValueError, match=r"'dan'.*there are: ada, bob, cy"):
        edits.named(POOL, "dan")
    with pytest.raises(ValueError, match="there is none"):
        edits.named(Pool(), "dan")


@pytest.mark.parametrize("soft", [False, True])
def test_a_pin_frees_every_session_from_the_account_that_it_is_bound_to(soft: bool) -> None:
    pinned = edits.pin(POOL, "bob", soft=soft)
    assert pinned.pin == Pin("acct_bob", soft)
    assert pinned.affinity_generation == POOL.affinity_generation + 1


def test_to_unpin_frees_the_sessions_too_and_means_nothing_twice() -> None:
    free = edits.unpin(edits.pin(POOL, "bob", soft=False))
    assert (free.pin, free.affinity_generation) == (None, 2)
    assert edits.unpin(free) is free


def test_to_pin_what_is_pinned_so_changes_nothing() -> None:
    pinned = edits.pin(POOL, "bob", soft=True)
    assert edits.pin(pinned, "bob", soft=True) is pinned
    assert edits.pin(pinned, "bob", soft=False).pin == Pin("acct_bob")


def test_an_account_that_is_disabled_loses_its_pin_and_no_other_does() -> None:
    pinned = edits.pin(POOL, "bob", soft=False)
    assert edits.enable(pinned, "bob", False).pin is None
    assert edits.enable(pinned, "ada", False).pin == Pin("acct_bob")
    assert edits.enable(pinned, "bob", True) == pinned


def test_a_disabled_account_cannot_be_pinned() -> None:
    with pytest.raises(ValueError, match="understudy accounts enable bob"):
        edits.pin(edits.enable(POOL, "bob", False), "bob", soft=False)


def test_a_pin_goes_with_its_account_and_with_no_other() -> None:
    pinned = edits.pin(POOL, "bob", soft=False)
    assert edits.remove(pinned, ["ada"]).pin == Pin("acct_bob")
    assert edits.remove(pinned, ["bob"]).pin is None
    assert over_accounts(lambda accounts: accounts[:1])(pinned).pin is None


def test_a_label_may_change_its_letters_case() -> None:
    assert labels(edits.relabel(POOL, "ada", "ADA")) == ["ADA", "bob", "cy"]
    with pytest.raises(ValueError, match="already"):
        edits.relabel(POOL, "ada", "BOB")


def test_tags_and_notes_replace_those_before() -> None:
    tagged = edits.tag(edits.tag(POOL, "ada", ["a", "b", "a"]), "ada", ["c"])
    noted = edits.note(edits.note(tagged, "ada", "first"), "ada", "until\x1b[1m May")
    assert (noted.accounts[0].tags, noted.accounts[0].note) == (("c",), "until[1m May")
    assert edits.tag(noted, "ada", []).accounts[0].tags == ()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: edits.tag(POOL, "ada", ["two words"]),
        lambda: edits.tag(POOL, "ada", [f"t{n}" for n in range(17)]),
        lambda: edits.note(POOL, "ada", "x" * 241),
        lambda: edits.order(POOL, ["ada", "acct_ada"]),
        lambda: edits.remove(POOL, ["ada", "dan"]),
    ],
)
def test_what_cannot_be_done_is_an_error(wrong: Callable[[], Pool]) -> None:
    with pytest.raises(ValueError):
        wrong()


def test_the_order_is_given_for_the_first_and_kept_for_the_rest() -> None:
    assert labels(edits.order(POOL, ["cy"])) == ["cy", "ada", "bob"]
    assert labels(edits.order(POOL, ["bob", "cy", "ada"])) == ["bob", "cy", "ada"]


def test_a_pool_that_is_brought_back_has_the_accounts_of_then_with_the_tokens_of_now() -> None:
    copy = replace(edits.note(POOL, "ada", "of then"), affinity_generation=3)
    dead = needs_login(account("ada", mark="newer"), "ended", NOW)
    present = Pool((replace(dead, label="work"), account("dan")), affinity_generation=7)
    pool = edits.restored(copy, present)
    assert labels(pool) == ["ada", "bob", "cy"]
    assert pool.accounts == (replace(dead, note="of then"), BOB, CY)
    assert pool.affinity_generation == 8


def test_an_account_that_was_added_again_is_known_by_its_login() -> None:
    again = replace(account("ada", mark="newer"), id="acct_other", email="ADA@example.com ")
    other_seat = replace(account("bob", mark="newer"), id="acct_seat", user_id="user-other")
    ada, bob, _ = edits.restored(POOL, Pool((again, other_seat))).accounts
    assert (ada.id, ada.tokens) == (ADA.id, again.tokens)
    assert bob == BOB


def test_accounts_are_changed_by_name_alone() -> None:
    assert edits.enable(POOL, "bob", False).accounts == (ADA, replace(BOB, enabled=False), CY)
