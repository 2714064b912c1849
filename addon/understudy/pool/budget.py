"""Bounds how much a failing backend is asked again: retries are a fraction of the requests, over all hosts."""

from collections import deque

WINDOW = 60.0
"""Seconds that requests and retries count for."""
RATIO = 0.2
FLOOR = 10
"""Retries a window that a quiet proxy may always make."""


class RetryBudget:
    """Twenty retries for a hundred requests, ten a minute at least: as Finagle and Envoy bound them."""

    def __init__(self) -> None:
        self._requests: deque[float] = deque()
        self._retries: deque[float] = deque()

    def request(self, now: float) -> None:
        """Counts a request of a host. `now`: monotonic seconds."""
        self._requests.append(now)
        self._forget(now)

    def withdraw(self, now: float) -> bool:
        """Takes one retry out of the budget; False where there is none left."""
        self._forget(now)
        if len(self._retries) >= max(FLOOR, RATIO * len(self._requests)):
            return False
        self._retries.append(now)
        return True

    def _forget(self, now: float) -> None:
        for times in (self._requests, self._retries):
            while times and now - times[0] > WINDOW:
                times.popleft()
