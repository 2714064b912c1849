"""What hosts that show a quota are told of it: that of all accounts which may serve, and not of one."""

import time
from collections.abc import Callable, Sequence

from mitmproxy import http

from understudy.pool.account import Account, Health
from understudy.proxy.messages import fields, header_fields
from understudy.proxy.roster import Roster
from understudy.wire.pooled import Figures, in_event, in_headers, pooled
from understudy.wire.sse import Event


class Together:
    """`serving`: the accounts that may serve now."""

    def __init__(self, roster: Roster, serving: Callable[[], Sequence[Account]]) -> None:
        self._roster = roster
        self._serving = serving

    def retell(self, event: Event) -> bytes:
        """The backend's event of the quota."""
        return in_event(event, self._figures(), time.time())

    def tell(self, response: http.Response) -> None:
        """The head of an answer."""
        given = fields(response.headers)
        told = in_headers(given, self._figures(), time.time())
        if told is not given:
            response.headers = header_fields(told)

    def _figures(self) -> Figures:
        seen = (self._roster.snapshot(account.id) for account in self._serving() if account.health is Health.OK)
        return pooled((snapshot.windows for snapshot in seen if snapshot is not None), time.time())
