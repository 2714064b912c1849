"""What a proxy has done, or has done for one program: plain numbers, and a line for people."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Tally:
    """Claimed requests that have ended, the attempts behind them, and what was not claimed."""

    requests: int = 0
    """Those that an account carried out, or that none could."""
    failed: int = 0
    """Of these, the ones whose host got an error or an answer that broke off."""
    replays: int = 0
    """Attempts beyond each request's first."""
    accounts: Mapping[str, int] = field(default_factory=dict)
    """Requests answered, by the label of the account that answered."""
    passed: int = 0
    """Requests to our hosts that went on as they came, under the program's own key."""

    def __sub__(self, earlier: "Tally") -> "Tally":
        """What has been done since."""
        accounts = Counter(self.accounts)
        accounts.subtract(earlier.accounts)
        return Tally(
            self.requests - earlier.requests,
            self.failed - earlier.failed,
            self.replays - earlier.replays,
            {label: count for label, count in accounts.items() if count > 0},
            self.passed - earlier.passed,
        )

    def __str__(self) -> str:
        """`12 requests, answered by work (10), home (2), 2 replays`."""
        parts = [_count(self.requests, "request")] if self.requests or not self.passed else []
        if self.accounts:
            by_count = sorted(self.accounts.items(), key=lambda item: (-item[1], item[0]))
            parts.append("answered by " + ", ".join(f"{label} ({count})" for label, count in by_count))
        if self.replays:
            parts.append(_count(self.replays, "replay"))
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.passed:
            parts.append(f"{self.passed} let through under the program's own key")
        return ", ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
