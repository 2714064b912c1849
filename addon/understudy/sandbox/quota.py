"""An account's limits, each with its windows, which move with every answer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from understudy.sandbox.catalogue import has_model
from understudy.sandbox.scenario import Credits, Limit, Window

MAIN_LIMIT = "codex"
"""The limit that every model counts against which has none of its own."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """One window: how full it is and when it empties. `resets_at`: epoch seconds."""

    minutes: int
    used: float
    resets_at: int
    cost: float

    def at(self, now: float) -> "Gauge":
        """The window at `now`: emptied, and begun again, as often as its reset has passed."""
        if now < self.resets_at:
            return self
        length = self.minutes * 60
        return replace(self, used=0.0, resets_at=self.resets_at + length * (int((now - self.resets_at) // length) + 1))

    def renewed(self, now: float) -> "Gauge":
        """The window emptied, and begun again, at `now`."""
        return replace(self, used=0.0, resets_at=math.ceil(now + self.minutes * 60))


@dataclass(frozen=True, slots=True)
class Meter:
    """One limit: its id, its windows, its name for people, and the models that count against it."""

    limit_id: str
    gauges: tuple[Gauge, ...]
    name: str = ""
    models: tuple[str, ...] = ()

    @property
    def used_up(self) -> int | None:
        """The window that is used up, the last to reset if there are several; None where the limit is not reached."""
        full = [index for index, gauge in enumerate(self.gauges) if gauge.used >= 100]
        return max(full, key=lambda index: self.gauges[index].resets_at, default=None)

    def at(self, now: float) -> "Meter":
        """The limit at `now`."""
        return replace(self, gauges=tuple(gauge.at(now) for gauge in self.gauges))

    def renewed(self, now: float) -> "Meter":
        """The limit with all windows begun again at `now`."""
        return replace(self, gauges=tuple(gauge.renewed(now) for gauge in self.gauges))

    def spent(self) -> "Meter":
        """The limit after one more answer."""
        return replace(self, gauges=tuple(replace(g, used=min(100.0, g.used + g.cost)) for g in self.gauges))

    def exhausted(self, index: int, resets_at: int) -> "Meter":
        """The limit with one window used up until `resets_at`. An index beyond the windows changes nothing."""
        gauges = [replace(g, used=100.0, resets_at=resets_at) if i == index else g for i, g in enumerate(self.gauges)]
        return replace(self, gauges=tuple(gauges))


@dataclass(frozen=True, slots=True)
class Quota:
    """The plan, its limits with the main one first, and credits."""

    plan: str
    meters: tuple[Meter, ...]
    credits: Credits

    @property
    def main(self) -> Meter:
        """The limit that most models count against."""
        return self.meters[0]

    def meter(self, model: str) -> Meter:
        """The limit that a model counts against."""
        return next((meter for meter in self.meters[1:] if has_model(meter.models, model)), self.main)

    def moved(self, changed: Meter) -> "Quota":
        """The quota with one limit changed."""
        return replace(self, meters=tuple(changed if m.limit_id == changed.limit_id else m for m in self.meters))

    def at(self, now: float) -> "Quota":
        """The quota at `now`."""
        return replace(self, meters=tuple(meter.at(now) for meter in self.meters))

    def renewed(self, now: float) -> "Quota":
        """The quota with every window begun again at `now`."""
        return replace(self, meters=tuple(meter.renewed(now) for meter in self.meters))


def open_quota(
    plan: str, windows: Sequence[Window], credits: Credits, now: float, limits: Mapping[str, Limit] | None = None
) -> Quota:
    """The quota as the scenario starts it."""
    more = [Meter(id, _open(limit.windows, now), limit.name, limit.models) for id, limit in (limits or {}).items()]
    return Quota(plan, (Meter(MAIN_LIMIT, _open(windows, now)), *more), credits)


def _open(windows: Sequence[Window], now: float) -> tuple[Gauge, ...]:
    return tuple(
        Gauge(w.minutes, w.used, math.ceil(now + (w.minutes * 30 if w.resets_in is None else w.resets_in)), w.cost)
        for w in windows
    )
