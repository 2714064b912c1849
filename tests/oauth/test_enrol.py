"""A login becomes the account it belongs to, never another, and costs no account its better tokens."""

from dataclasses import replace

import pytest

from support.logins import NOW, jwt, login
from understudy.oauth.claims import Claims
from understudy.oauth.codex_auth import Login
from understudy.oauth.enrol import Change, Enrolled, enrol
from understudy.pool.account import Account, Block, Health
from understudy.pool.labels import is_label
from understudy.wire.secret import Secret


def pool(*logins: Login) -> tuple[Account, ...]:
    accounts: tuple[Account, ...] = ()
    for number, each in enumerate(logins):
        accounts = enrol(accounts, each, f"acct_{number}", now=NOW).accounts
    return accounts


def described(claims: dict[str, str], mark: str = "x") -> Login:
    """A newer login of the same account, but for these claims."""
    return login("ada", expires_at=NOW + 9999, mark=mark, claims=claims)


def again(accounts: tuple[Account, ...], new: Login, label: str | None = None) -> Enrolled:
    return enrol(accounts, new, "acct_new", label, now=NOW)


def dated(issued: float | None, life: float, mark: str) -> Login:
    """A login whose access token says when it was given out, unless that is None, and how long it lives."""
    given = login("ada", expires_at=(NOW if issued is None else issued) + life, mark=mark)
    access = jwt({} if issued is None else {"iat": int(issued)}, f"access-ada-{mark}")
    return replace(given, tokens=replace(given.tokens, access=Secret(access)))


def test_a_new_account_comes_last_and_is_ready() -> None:
    result = again(pool(login("ada")), login("bob"))
    assert result.change is Change.ADDED
    assert [a.account_id for a in result.accounts] == ["ws-ada", "ws-bob"]
    assert result.account == result.accounts[1]
    assert (result.account.id, result.account.enabled, result.account.health) == ("acct_new", True, Health.OK)
    assert (result.account.plan, result.account.email) == ("plus", "bob@example.com")


def test_the_same_account_is_updated_in_its_place_with_its_id_and_label() -> None:
    accounts = pool(login("ada"), login("bob"))
    newer = login("ada", expires_at=NOW + 9999, mark="newer", claims={"plan": "pro", "email": "new@example.com"})
    result = again(accounts, newer)
    assert result.change is Change.UPDATED
    assert [a.id for a in result.accounts] == ["acct_0", "acct_1"]
    assert (result.account.label, result.account.plan, result.account.email) == ("plus-ada", "pro", "new@example.com")
    assert result.account.tokens == newer.tokens
    assert result.accounts[1] == accounts[1]


@pytest.mark.parametrize(
    ("claims", "same"),
    [
        pytest.param({}, True, id="both ids"),
        pytest.param({"account_id": "ws-other"}, False, id="another workspace of one user"),
        pytest.param({"user_id": "user-other"}, False, id="another seat of one workspace"),
        pytest.param({"user_id": "user-other", "email": "x@y.z"}, False, id="another user"),
        pytest.param({"email": "renamed@example.com"}, True, id="a new address of one user"),
        pytest.param({"user_id": ""}, True, id="no user id, same address"),
        pytest.param({"user_id": "", "email": "  ADA@Example.COM "}, True, id="no user id, same address in capitals"),
        pytest.param({"user_id": "", "email": "other@example.com"}, False, id="no user id, another address"),
        pytest.param({"user_id": "", "email": ""}, False, id="neither user id nor address"),
        pytest.param({"plan": "team"}, True, id="another plan"),
    ],
)
def test_an_account_is_its_workspace_and_its_user(claims: dict[str, str], same: bool) -> None:
    result = again(pool(login("ada")), described(claims, mark="newer"))
    assert (result.change is Change.UPDATED) is same
    assert len(result.accounts) == (1 if same else 2)


def test_a_user_id_that_becomes_known_is_kept() -> None:
    accounts = pool(login("ada", claims={"user_id": ""}))
    result = again(accounts, login("ada", expires_at=NOW + 9999, mark="newer"))
    assert result.accounts[0].user_id == "user-ada"
    forgetful = login("ada", expires_at=NOW + 99999, mark="newest", claims={"user_id": ""})
    assert again(result.accounts, forgetful).account.user_id == "user-ada"


def test_an_older_login_does_not_take_the_place_of_tokens_that_work() -> None:
    accounts = pool(login("ada", mark="rotated"))
    result = again(accounts, login("ada", expires_at=NOW, mark="older"))
    assert result.change is Change.KEPT
    assert result.accounts == accounts


@pytest.mark.parametrize(
    ("issued", "life"),
    [
        pytest.param(NOW - 60, 9999.0, id="tokens lived longer then"),
        pytest.param(NOW, 3600.0, id="both of one second"),
        pytest.param(None, 3600.0, id="both end in one second"),
    ],
)
def test_a_login_that_is_not_later_for_sure_does_not_take_the_place_of_tokens_that_work(
    issued: float | None, life: float
) -> None:
    accounts = pool(dated(NOW if issued is not None else None, 3600.0, "rotated"))
    result = again(accounts, dated(issued, life, "spent"))
    assert (result.change, result.accounts) == (Change.KEPT, accounts)


def test_a_later_login_takes_the_place_of_tokens_that_live_longer() -> None:
    later = dated(NOW + 60, 600.0, "later")
    result = again(pool(dated(NOW, 3600.0, "ours")), later)
    assert (result.change, result.account.tokens) == (Change.UPDATED, later.tokens)


def test_an_older_login_takes_the_place_of_tokens_that_do_not_work() -> None:
    dead = replace(pool(login("ada"))[0], health=Health.NEEDS_LOGIN, health_reason="ended")
    result = again((dead,), login("ada", expires_at=NOW, mark="older"))
    assert result.change is Change.UPDATED
    assert (result.account.health, result.account.health_reason) == (Health.OK, "")


def test_the_very_login_that_stopped_working_does_not_revive_the_account() -> None:
    dead = replace(pool(login("ada"))[0], health=Health.NEEDS_LOGIN, health_reason="ended")
    result = again((dead,), login("ada"))
    assert (result.change, result.accounts) == (Change.UNCHANGED, (dead,))


def test_a_disabled_account_stays_disabled_and_a_blocked_one_blocked() -> None:
    block = Block(NOW + 60, "usage limit", authoritative=True)
    before = replace(pool(login("ada"))[0], enabled=False, blocks=(block,))
    result = again((before,), login("ada", expires_at=NOW + 9999, mark="newer"))
    assert (result.account.enabled, result.account.block) == (False, block)


@pytest.mark.parametrize(
    ("claims", "label"),
    [
        ({"plan": "plus", "email": "ada.lovelace@example.com"}, "plus-ada"),
        ({"plan": "self_serve_business_prolite", "email": "x@example.com"}, "self-x"),
        ({"plan": "", "email": "ada@example.com"}, "ada"),
        ({"plan": "pro", "email": ""}, "pro"),
        ({"plan": "", "email": ""}, "account"),
        ({"plan": "plus", "email": "äöü@example.com"}, "plus"),
        ({"plan": "x\u202ey" * 40, "email": "../../etc@example.com"}, "x-etc"),
    ],
)
def test_a_first_label_is_made_from_the_plan_and_three_letters(claims: dict[str, str], label: str) -> None:
    made = again((), described(claims)).account.label
    assert made == label
    assert is_label(made)


def test_labels_of_new_accounts_are_unique() -> None:
    accounts = pool(*(login("ada", claims={"account_id": f"ws-{n}"}) for n in range(4)))
    assert [a.label for a in accounts] == ["plus-ada", "plus-ada-2", "plus-ada-3", "plus-ada-4"]


def test_the_user_may_choose_a_label_at_any_import() -> None:
    accounts = again((), login("ada"), "work").accounts
    assert accounts[0].label == "work"
    assert again(accounts, login("ada"), "home").accounts[0].label == "home"


@pytest.mark.parametrize("label", ["", "two words", "-x", "a/b", "x" * 33, "ä", "a\n", "acct_123456789abc"])
def test_a_label_can_be_typed_and_is_nothing_like_an_id(label: str) -> None:
    with pytest.raises(ValueError, match="not a label"):
        again((), login("ada"), label)


@pytest.mark.parametrize("label", ["work", "WORK", "ws-ada"], ids=["label", "in capitals", "its ChatGPT id"])
def test_a_label_that_means_another_account_is_refused(label: str) -> None:
    accounts = again((), login("ada"), "work").accounts
    with pytest.raises(ValueError, match="another account"):
        again(accounts, login("bob"), label)


def test_logins_that_name_no_user_are_one_account_for_each_workspace() -> None:
    nameless = replace(login("ada"), claims=Claims(account_id="ws-ada"))
    first = enrol((), nameless, "acct_000000000001", now=NOW)
    newer = enrol(first.accounts, replace(nameless, tokens=login("bob").tokens), "acct_000000000002", now=NOW)
    other = enrol(newer.accounts, replace(nameless, claims=Claims(account_id="ws-bob")), "acct_000000000003", now=NOW)
    assert [account.account_id for account in other.accounts] == ["ws-ada", "ws-bob"]


def test_a_login_that_names_no_user_does_not_take_the_place_of_one_that_does() -> None:
    known = enrol((), login("ada"), "acct_000000000001", now=NOW)
    nameless = replace(login("ada"), claims=Claims(account_id=known.account.account_id))
    assert len(enrol(known.accounts, nameless, "acct_000000000002", now=NOW).accounts) == 2
