"""Where tokens are kept: in `accounts.json` itself, or as entries in the keychain that the file names."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from understudy.pool.account import Account, Health, Tokens
from understudy.pool.pool import Pool
from understudy.state import schema
from understudy.state.errors import StateError
from understudy.state.keychain import Keychain
from understudy.state.schema import NO_TOKENS

GONE = "its tokens are not in this keychain; log in again, or use the keychain that has them"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    """A pool, and the names of the entries in the keychain that hold the tokens of some accounts, by account id."""

    pool: Pool
    entries: Mapping[str, str]

    @property
    def whole(self) -> bool:
        """Whether all tokens were found."""
        return all(account.tokens != NO_TOKENS for account in self.pool.accounts)


class Vault:
    """Turns the file's bytes into a pool and back. An entry is never changed: new tokens make a new one.

    So the file stays what decides: one that was not replaced names the old tokens, and they are still there. And an
    entry that was seen once need not be asked for again.
    """

    def __init__(self, keyring: bool | None) -> None:
        self.keyring = keyring
        """Whether tokens belong in the keychain; None: where those of the other accounts are."""
        self._keychain = Keychain()
        self._known: dict[str, Tokens] = {}
        self._told = ""

    def open(self, data: bytes) -> Opened:
        """The pool that the file's bytes hold. An account whose entry is not there needs a login.

        Raises as `schema.decode` does, and StateError where the keychain does not answer.
        """
        entries: dict[str, str] = {}

        def fetch(account_id: str, name: str) -> Tokens:
            entries[account_id] = name
            return self._fetch(name)

        pool = schema.decode(data, fetch)
        names = set(entries.values())
        self._known = {name: tokens for name, tokens in self._known.items() if name in names}
        return Opened(mark_missing(pool), entries)

    def close(self, pool: Pool, before: Opened) -> tuple[bytes, Mapping[str, str]]:
        """The bytes for the file, once all tokens that belong in the keychain are there, and the entries they name.

        Tokens that the keychain does not take stay in the file. Raises ValueError where the pool would not read back.
        """
        entries = self._unmoved(pool, before)
        data = schema.encode(pool, entries)
        if self.open(data).pool != pool:
            raise ValueError("the changed accounts do not read back as they were written")
        if self.keyring is False or (self.keyring is None and not before.entries):
            return data, entries
        entries |= self._moved([account for account in pool.accounts if account.id not in entries])
        return schema.encode(pool, entries), entries

    def misplaces(self, found: Opened) -> bool:
        """Whether tokens lie in the file that belong in the keychain, or the other way round."""
        if self.keyring is None:
            return False
        present = {account.id for account in found.pool.accounts if account.tokens != NO_TOKENS}
        return bool(present - set(found.entries) if self.keyring else present & set(found.entries))

    def forget(self, before: Mapping[str, str], now: Mapping[str, str]) -> None:
        """Deletes the entries that the file names no more."""
        try:
            for name in set(before.values()) - set(now.values()):
                self._keychain.delete(name)
        except StateError as error:
            logger.warning("understudy: tokens that are no longer used stay in the keychain: %s", error)

    def _unmoved(self, pool: Pool, before: Opened) -> dict[str, str]:
        """The entries that stay as they are. Tokens that are missing stay missing, by the name that they had."""
        unchanged = {} if self.keyring is False else {a.id: a.tokens for a in before.pool.accounts}
        return {
            account.id: before.entries.get(account.id, account.id)
            for account in pool.accounts
            if account.tokens == NO_TOKENS
            or (account.id in before.entries and account.tokens == unchanged.get(account.id))
        }

    def _moved(self, accounts: list[Account]) -> dict[str, str]:
        """Makes an entry for each of these accounts, as far as the keychain takes them."""
        entries: dict[str, str] = {}
        trouble = ""
        try:
            for account in accounts:
                text = schema.encode_tokens(account.tokens)
                name = f"{account.id}-{_digest(text)}"
                self._keychain.put(name, text)
                self._known[name] = account.tokens
                entries[account.id] = name
        except StateError as error:
            trouble = str(error)
        if trouble and trouble != self._told:
            logger.warning("understudy: tokens stay in the file accounts.json: %s", trouble)
        self._told = trouble
        return entries

    def _fetch(self, name: str) -> Tokens:
        # Another thread may forget it meanwhile, where it reads a file that does not name it.
        known = self._known.get(name)
        if known is None:
            text = self._keychain.get(name)
            if text is None or not name.endswith(_digest(text)):
                return NO_TOKENS  # There is none, or not the one that the file means.
            known = self._known[name] = schema.decode_tokens(text)
        return known


def mark_missing(pool: Pool) -> Pool:
    """The pool, in which accounts without tokens need a login, and no others for that reason."""
    return replace(pool, accounts=tuple(map(_marked, pool.accounts)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _marked(account: Account) -> Account:
    missing = account.tokens == NO_TOKENS
    if missing and account.health is Health.OK:
        return replace(account, health=Health.NEEDS_LOGIN, health_reason=GONE)
    if not missing and account.health_reason == GONE:
        return replace(account, health=Health.OK, health_reason="")
    return account
