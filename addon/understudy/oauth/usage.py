"""ChatGPT's usage endpoint: to ask it costs nothing, and shows whether a login works and what of its plan is used."""

from dataclasses import dataclass
from enum import Enum

from understudy.oauth.answer import read_object
from understudy.oauth.request import OAuthRequest, as_account
from understudy.pool.account import Account, Health
from understudy.wire.outcome import Kind, from_response
from understudy.wire.provider import Provider
from understudy.wire.quota import Snapshot, from_usage

LOG_IN = "log in again: understudy login"


class Verdict(Enum):
    """What is known of a login once it was tried."""

    WORKS = "works"
    LIMITED = "limited"
    """The login works; the plan is used up for now."""
    STALE = "stale"
    """The access token is no longer good. That is no fault of the login: it is renewed when it is next used."""
    NEEDS_LOGIN = "needs_login"
    DEACTIVATED = "deactivated"
    UNREACHABLE = "unreachable"
    UNCLEAR = "unclear"
    """The answer says nothing of the login."""
    DISABLED = "disabled"
    """Not asked."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What trying a login showed. `message`: what it means and what to do, for the user; empty where it works."""

    verdict: Verdict
    message: str = ""
    snapshot: Snapshot | None = None

    @property
    def works(self) -> bool:
        """Whether the backend takes the login."""
        return self.verdict in (Verdict.WORKS, Verdict.LIMITED)


def foregone(account: Account, now: float) -> Finding | None:
    """What is known without asking, or None where it takes an answer. `now`: epoch seconds."""
    if account.health is Health.NEEDS_LOGIN:
        return Finding(Verdict.NEEDS_LOGIN, f"{account.health_reason}; {LOG_IN}")
    if account.tokens.expires_at <= now:
        return _stale(account, "its access token has expired")
    return None


def usage_request(backend: Provider, account: Account, version: str) -> OAuthRequest:
    """`GET {backend}/usage`, which for `.../backend-api/codex` is `.../backend-api/wham/usage`, as the account.

    It goes to the backend's own origin, which is https or on loopback. Raises ValueError for an id that is none.
    """
    beside = backend.path.removesuffix("/codex")
    path = f"{backend.path}/usage" if beside == backend.path else f"{beside}/wham/usage"
    return as_account(backend, path, account, version)


def read_usage(account: Account, status: int, body: bytes, now: float) -> Finding:
    """What the answer says of the account's login. `now`: epoch seconds.

    Only a 200, a 401 and the 402 of a workspace do: a 403 or a 404 comes from what stands before the backend, too.
    """
    if status == 200:
        return _served(read_object(body), now)
    if status == 401:
        if from_response(status, (), body, now).kind is Kind.REVOKED:
            return Finding(Verdict.NEEDS_LOGIN, f"ChatGPT has ended this login; {LOG_IN}")
        return _stale(account, "ChatGPT did not take its access token (401)")
    if status == 402 and _detail_code(body) == "deactivated_workspace":
        return Finding(Verdict.DEACTIVATED, "ChatGPT has deactivated its workspace; its administrator can tell why")
    if status == 429:
        return Finding(Verdict.UNCLEAR, "ChatGPT was asked too often (429); try again in a few minutes")
    return Finding(Verdict.UNCLEAR, f"ChatGPT answered {status}, which says nothing of the login")


def _served(answer: dict[str, object] | None, now: float) -> Finding:
    snapshot = from_usage(answer, now)
    if answer is None or snapshot is None:
        return Finding(Verdict.UNCLEAR, "ChatGPT's answer is not the one that was asked for")
    limit = answer.get("rate_limit")
    reached = isinstance(limit, dict) and (limit.get("limit_reached") is True or limit.get("allowed") is False)
    return Finding(Verdict.LIMITED if reached and not snapshot.goes_on else Verdict.WORKS, snapshot=snapshot)


def _stale(account: Account, why: str) -> Finding:
    cure = f"the proxy renews it when it is next used, or: understudy accounts refresh {account.label}"
    return Finding(Verdict.STALE, f"{why}; {cure}")


def _detail_code(body: bytes) -> object:
    detail = (read_object(body) or {}).get("detail")
    return detail.get("code") if isinstance(detail, dict) else None
