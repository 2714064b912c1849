"""Stops asking what keeps failing: an account, or the backend as a whole. One request at a time then finds out.

What it says of an account lasts as a block, which other processes see; what it counts is this process's own.
"""

from collections import deque
from dataclasses import dataclass, field

FAILURES = 3
WINDOW = 60.0
"""Seconds within which so many failures of one account open its breaker."""
OPEN = 30.0
"""Seconds for which it stays open."""
OUTAGE_WINDOW = 10.0
"""Seconds within which so many accounts fail where it is the backend that is down."""
OUTAGE_PAUSE = 10.0
"""Seconds without replays after that."""
CHALLENGE_PAUSE = 60.0
"""Seconds in which one request at a time is sent after Cloudflare has stopped one: more of them make it worse."""


@dataclass(slots=True)
class Pause:
    """A time in which the backend gets one request at a time. `until`: epoch seconds."""

    until: float = 0.0
    probe: str | None = None
    """The id of the request that is out."""


@dataclass(slots=True)
class Breaker:
    """Counts the failures that are the backend's or the network's. All times in epoch seconds."""

    _failures: dict[str, deque[float]] = field(default_factory=dict)
    _latest: dict[str, float] = field(default_factory=dict)
    """When each account failed last, since any has served."""
    _probes: dict[str, str] = field(default_factory=dict)
    _outage_until: float = 0.0
    _challenge: Pause = field(default_factory=Pause)

    def failed(self, account_id: str, now: float) -> bool:
        """Counts a failure. Whether the account's breaker opens, for `OPEN` seconds."""
        times = self._failures.setdefault(account_id, deque(maxlen=FAILURES))
        times.append(now)
        self._latest[account_id] = now
        recent = [at for at in self._latest.values() if 0 <= now - at <= OUTAGE_WINDOW]
        if len(recent) >= FAILURES:
            self._outage_until = now + OUTAGE_PAUSE
        return len(times) == FAILURES and 0 <= now - times[0] <= WINDOW

    def succeeded(self, account_id: str) -> None:
        """It works, and so does the backend."""
        self._failures.pop(account_id, None)
        self._latest.clear()
        self._outage_until, self._challenge = 0.0, Pause()

    def is_outage(self, now: float) -> bool:
        """Whether so many accounts have failed of late that another attempt elsewhere only adds to the load."""
        return 0 < self._outage_until - now <= OUTAGE_PAUSE

    # Probes

    def probes(self, account_id: str) -> bool:
        """Whether a request is out to see if the account works again."""
        return account_id in self._probes

    def probe(self, account_id: str, request_id: str) -> None:
        """This request is the probe."""
        self._probes[account_id] = request_id

    def challenged(self, now: float) -> None:
        """Cloudflare has stopped a request."""
        self._challenge.until = now + CHALLENGE_PAUSE

    def must_wait(self, request_id: str, now: float) -> bool:
        """Whether a request may not go out now, as one is out already to see if Cloudflare lets it pass."""
        pause = self._challenge
        return 0 < pause.until - now <= CHALLENGE_PAUSE and pause.probe not in (None, request_id)

    def sends(self, request_id: str) -> None:
        """The request goes out: after a challenge it is the one that finds out."""
        if self._challenge.until and self._challenge.probe is None:
            self._challenge.probe = request_id

    def ended(self, request_id: str) -> None:
        """The request is over, whatever way: what it probed may be probed again."""
        self._probes = {account: probe for account, probe in self._probes.items() if probe != request_id}
        if self._challenge.probe == request_id:
            self._challenge.probe = None
