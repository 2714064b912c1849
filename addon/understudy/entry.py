"""What the mitmproxy script takes: the addon, or where something that it needs is missing, one that says so and ends.

Like `needs` it is for Pythons and mitmproxies that we do not support as well.
"""

import logging

from understudy.needs import trouble

logger = logging.getLogger(__name__)


def addon() -> object:
    """The addon. An exception would be shown with its traceback, and some versions of mitmproxy would go on."""
    found = trouble()
    if found is None:
        from understudy.proxy.addon import Understudy

        return Understudy()
    # A mitmproxy that logs an error while it starts ends with exit code 1.
    logger.error("understudy: %s", found)
    return Absent()


class Absent:
    """In the addon's place. Without it mitmproxy would send all requests out as they came, so there is to be none."""

    def running(self) -> None:
        """Ends a mitmproxy that did not end by itself."""
        from mitmproxy import ctx

        ctx.master.shutdown()
