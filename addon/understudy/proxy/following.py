"""A host that follows an answer in the background: what there is of it, and then each event as it comes."""

import time

from mitmproxy import http
from mitmproxy.proxy import events
from mitmproxy.proxy.layers.http import ResponseData, SendHttp

from understudy.proxy.messages import header_fields
from understudy.proxy.timed import Steps
from understudy.proxy.turn import Follow, Turn
from understudy.proxy.waiting import COMMENT, KEEPALIVE, OPENING, WaitingStream

LOOK = 0.05
"""Seconds between two looks at what is new."""


class FollowingStream(WaitingStream):
    """The answer is another request's; this one has no attempt."""

    _followed: Follow | None = None
    _told_at = 0.0

    def _follow_answer(self, turn: Turn, follow: Follow) -> Steps:
        self._followed = follow
        self.flow.response = http.Response(b"HTTP/1.1", 200, b"", header_fields(OPENING), None, None, time.time(), None)
        if not (yield from self._send_head(turn)):
            self._told_at = time.monotonic()
            self._wait_until(self._told_at, self._state_following)

    def _state_following(self, event: events.Event) -> Steps:
        """Nothing comes from upstream."""
        yield from ()

    def _tell_news(self, turn: Turn, now: float) -> Steps:
        follow = self._followed
        assert follow is not None
        # Whether it has ended is asked first: what comes between the two would never be told.
        ended = follow.answer.ended
        news, follow.after = follow.answer.since(follow.after)
        if not news and now >= self._told_at + KEEPALIVE:
            news = COMMENT
        if news:
            self._told_at = now
            yield SendHttp(ResponseData(self.stream_id, news), self.context.client)
        if ended:
            self._sleep()
            yield from self._end_stream(turn, b"")
        else:
            self.deadline = now + LOOK
