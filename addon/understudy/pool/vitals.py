"""How an account has done of late, in two figures that the hybrid strategy weighs: health and tokens in a bucket."""

from dataclasses import dataclass, replace

BEST = 100.0
RECOVERY = 2.0 / 3600
"""Points of health that come back each second."""
CAPACITY = 50.0
"""Tokens in a full bucket."""
REFILL = 6.0 / 60
"""Tokens that come back each second."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """`health`: 0 to 100. `bucket`: 0 to 50; every request takes one token. Both as of `at`, epoch seconds."""

    health: float = BEST
    bucket: float = CAPACITY
    at: float = 0.0

    def present(self, now: float) -> "Vitals":
        """With what has come back since."""
        passed = max(0.0, now - self.at)
        return Vitals(min(BEST, self.health + RECOVERY * passed), min(CAPACITY, self.bucket + REFILL * passed), now)

    def after(self, now: float, *, health: float = 0.0, tokens: float = 0.0) -> "Vitals":
        """With so many points more, or fewer."""
        present = self.present(now)
        return replace(
            present,
            health=min(BEST, max(0.0, present.health + health)),
            bucket=min(CAPACITY, max(0.0, present.bucket + tokens)),
        )


FRESH = Vitals()
"""An account that has done nothing yet."""
