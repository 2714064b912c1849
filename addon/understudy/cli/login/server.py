"""The login server as a login needs it: asked once for each thing, and in the end a login that is in the pool."""

import time
import uuid
from dataclasses import dataclass

from understudy.cli.arguments import CannotDo
from understudy.cli.pool import change_pool
from understudy.oauth.client import NoAnswer, NotSent, send
from understudy.oauth.codex_auth import Login
from understudy.oauth.enrol import Enrolled, enrol
from understudy.oauth.exchange import exchange_request, read_exchange
from understudy.oauth.refused import Refused
from understudy.oauth.request import OAuthRequest
from understudy.pool.account import Account
from understudy.pool.pool import Accounts, over_accounts
from understudy.proxy.options import Settings
from understudy.wire.secret import Secret

AGAIN = "Nothing was changed; start the login again."


@dataclass(frozen=True, slots=True)
class Kept:
    """A login that is on disk: the account it became, `added` or `updated`, and whether that enabled it again."""

    account: Account
    change: str
    enabled: bool
    hint: str = ""
    """What the user may want to do about it; a sentence or nothing."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where the login server is and how it is reached.

    `workspace`: the only one that a login may be for; `label`: what the user wants its account called.
    """

    settings: Settings
    workspace: str | None = None
    label: str | None = None

    @property
    def issuer(self) -> str:
        """The URL of the login server."""
        return self.settings.issuer

    async def ask(self, request: OAuthRequest) -> tuple[int, bytes]:
        """The answer's status and body. Raises NotSent and NoAnswer."""
        return await send(request, self.settings.route)

    async def finish(self, code: Secret, redirect: str, verifier: Secret) -> Kept:
        """Exchanges a code, and keeps the login in the pool. Raises CannotDo and StateError."""
        try:
            status, body = await self.ask(exchange_request(self.issuer, code, redirect, verifier))
        except (NotSent, NoAnswer) as error:
            raise CannotDo(f"{error}. {AGAIN}") from None
        login = read_exchange(status, body, time.time())
        if not isinstance(login, Login):
            raise CannotDo(f"{login.message if isinstance(login, Refused) else login.reason}. {AGAIN}")
        if self.workspace not in (None, login.claims.account_id):
            raise CannotDo(f"this login is for another workspace than {self.workspace}. {AGAIN}")
        return keep(login, self.label, self.settings.keyring)


def keep(login: Login, label: str | None = None, keyring: bool | None = None) -> Kept:
    """Puts a fresh login into the pool, as `label` if that is to be had. Raises CannotDo and StateError."""
    found: list[tuple[Enrolled, Accounts]] = []

    def change(accounts: Accounts) -> Accounts:
        enrolled = _enrolled(accounts, login, label)
        found.append((enrolled, accounts))
        return enrolled.accounts

    change_pool(over_accounts(change), keyring)
    enrolled, before = found[-1]
    account = enrolled.account
    disabled = any(known.id == account.id and not known.enabled for known in before)
    refused = label is not None and account.label != label
    hint = f"Another account is called {label}; to rename: understudy accounts label {account.label} NAME"
    return Kept(account, enrolled.change.value, disabled, hint if refused else "")


def _enrolled(accounts: Accounts, login: Login, label: str | None) -> Enrolled:
    new_id, now = f"acct_{uuid.uuid4().hex[:12]}", time.time()
    try:
        return enrol(accounts, login, new_id, label, now=now, fresh=True)
    except ValueError:
        # The user has logged in by now: that is not thrown away for a name.
        return enrol(accounts, login, new_id, now=now, fresh=True)
