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
        return await send(request, self.settings.upstream_proxy, trusted_ca=self.settings.trusted_ca)

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
        return keep(login, self.label)


def keep(login: Login, label: str | None = None) -> Kept:
    """Puts a fresh login into the pool, as `label`. Raises CannotDo and StateError."""
    found: list[tuple[Enrolled, Accounts]] = []

    def change(accounts: Accounts) -> Accounts:
        enrolled = enrol(accounts, login, f"acct_{uuid.uuid4().hex[:12]}", label, now=time.time(), fresh=True)
        found.append((enrolled, accounts))
        return enrolled.accounts

    change_pool(over_accounts(change))
    enrolled, before = found[-1]
    disabled = any(account.id == enrolled.account.id and not account.enabled for account in before)
    return Kept(enrolled.account, enrolled.change.value, disabled)
