"""The pool as the commands see it: read, changed, and an account in the words that all of them use."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from understudy.cli.arguments import CannotDo
from understudy.cli.render import age
from understudy.pool import edits
from understudy.pool.account import Account, Block, Ground, Lane
from understudy.pool.health import State, state
from understudy.pool.pool import Pool
from understudy.state.home import home
from understudy.wire.text import DAY, clock_time, safe_text

if TYPE_CHECKING:  # pydantic and filelock take longer to load than `--help` takes
    from understudy.state.accounts import AccountStore

LOG_IN = "understudy login"
"""The command for a pool without accounts, and for an account whose login no longer works."""
ADD_KEY = "understudy accounts add-api-key LABEL"
KEY_GOES_ON = "An API key is good until it is revoked: https://platform.openai.com/api-keys"
HOW_TO_ADD = f"""\
  {LOG_IN}                                  log in to ChatGPT
  understudy accounts import ~/.codex/auth.json     take over the login of the Codex CLI
"""
NO_ACCOUNTS = f"There are no accounts. To add one:\n\n{HOW_TO_ADD}"


def store(keyring: bool | None = None) -> "AccountStore":
    """The pool's store, in the user's folder. `keyring`: see `AccountStore`."""
    from understudy.state.accounts import AccountStore

    return AccountStore(home(), keyring)


def change_pool(change: Callable[[Pool], Pool], keyring: bool | None = None) -> Pool:
    """Changes the pool on disk, and what the status shows of it; a running proxy sees it at its next request.

    Raises CannotDo where `change` raises ValueError, and StateError.
    """
    from understudy.state.quota import QuotaCache

    try:
        pool = store(keyring).update(change)
    except ValueError as error:
        raise CannotDo(str(error)) from None
    QuotaCache(home()).sync(pool)
    return pool


def edit(change: Callable[[Pool], Pool]) -> tuple[Pool, Pool]:
    """Changes the pool as `change_pool` does. Gives it as it was, and as it is. Raises CannotDo."""
    before: list[Pool] = []

    def noted(pool: Pool) -> Pool:
        before.append(pool)
        return change(pool)

    after = change_pool(noted)
    return before[-1], after


def edit_account(name: str, change: Callable[[Pool], Pool]) -> tuple[Account, Account]:
    """Changes the account that the user calls `name`. Gives it as it was, and as it is. Raises CannotDo."""
    before, after = edit(change)
    account = edits.named(before, name)
    return account, edits.named(after, account.id)


def chosen(pool: Pool, names: Sequence[str]) -> list[Account]:
    """The accounts that the user names, each once, or all where none is named. Raises CannotDo where there is none."""
    try:
        accounts = [edits.named(pool, name) for name in names] or list(pool.accounts)
    except ValueError as error:
        raise CannotDo(str(error)) from None
    if not accounts:
        raise CannotDo(f"there are no accounts; add one: {LOG_IN}")
    return list(dict.fromkeys(accounts))


def confirm(question: str, yes: bool) -> None:
    """Has the user agree to what cannot be taken back. `yes`: they have, by --yes. Raises CannotDo."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CannotDo(f"{question} There is nobody to ask: say --yes to do it.")
    print(f"{question} [y/N] ", end="", flush=True, file=sys.stderr)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CannotDo("nothing was changed")


def condition(account: Account, now: float) -> State:
    """The account's condition in one word. `now`: epoch seconds."""
    until = account.block.until if account.block else None
    return state(enabled=account.enabled, health=account.health, blocked_until=until, now=now)


def condition_words(account: Account, now: float) -> str:
    """The account's condition for a line of text: `ok`, `needs login`, `blocked until 14:05`. `now`: epoch seconds."""
    found = condition(account, now)
    until = f" until {clock_time(account.block.until, now)}" if found is State.BLOCKED and account.block else ""
    return found.words + until


def cure(account: Account) -> str:
    """What the user can do where the account's login, or its key, works no more; a sentence without its full stop."""
    if account.lane is Lane.PLATFORM:
        return f"Remove it, and add another key: {ADD_KEY}"
    return f"Log in again: {LOG_IN}"


def blocks_now(account: Account, now: float) -> list[Block]:
    """What keeps the account from serving at `now` (epoch seconds), be it for one model only; the longest first."""
    return sorted((block for block in account.blocks if block.until > now), key=lambda block: -block.until)


def block_words(block: Block, now: float) -> str:
    """`gpt-5 until 14:05: usage limit (tried all the same 3 min ago)`. `now`: epoch seconds."""
    model = f"{safe_text(block.model)} " if block.model else ""
    is_guess = block.ground is Ground.LIMIT and not block.authoritative
    guess = " (the time is a guess: ChatGPT named none)" if is_guess else ""
    # What was tried before it began was another block, whose time it keeps.
    tried_at = block.tried_at if block.tried_at is not None and block.tried_at >= block.since else None
    tried = "" if tried_at is None else f" (tried all the same {age(now - tried_at)})"
    return f"{model}until {clock_time(block.until, now)}: {block.reason}{guess}{tried}"


def paid_today(account: Account, now: float) -> int:
    """How many requests, each of which costs money, the account has carried out on the day, UTC, of `now`."""
    return account.spending.on(int(now // DAY))


def email_of(account: Account, shown: bool = False) -> str:
    """The account's e-mail address, masked unless it is to be `shown`."""
    from understudy.oauth.claims import mask_email

    return safe_text(account.email, 320) if shown else mask_email(account.email)


def about(account: Account) -> str:
    """`plus-ada (plus, a***@example.com)`."""
    facts = ", ".join(fact for fact in (account.plan, email_of(account)) if fact)
    return safe_text(f"{account.label} ({facts})" if facts else account.label, 200)
