"""Whether a request is worth keeping until an account can serve it, where its user is willing to wait."""

from understudy.pool.choose import Choice, Exhausted


def worth_waiting(found: Choice | Exhausted, now: float, patience: float) -> float | None:
    """Until when (epoch seconds) a request waits that may wait for `patience` seconds from `now` on; None: it does not.

    It does for the first limit to end, where nothing but limits is in the way; also where somebody is left who costs
    something, or is likely to fail.
    """
    if isinstance(found, Choice):
        if not found.by.is_costly:
            return None
        found = Exhausted(found.passed)
    ends = found.recovers_at if found.by_limits else None
    return ends if ends is not None and ends <= now + patience else None
