"""What is kept, as this process sees it: what it has just changed, in memory, over what is on disk.

A change is seen at once; one thread writes it down a little later, and then memory lets go of it: so what other
processes write, and delete, is seen as well.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from understudy.state import files
from understudy.state.answers import disk
from understudy.state.answers.book import Book, Bounds, Facts, Item, in_memory
from understudy.state.answers.changes import Change, Conversation, write
from understudy.state.errors import StateError

T = TypeVar("T")
Clock = Callable[[], float]

logger = logging.getLogger(__name__)


class Layers:
    """May be used from several threads. Nothing here raises: where the disk fails it is said once, and what comes from
    then on is kept in memory alone.
    """

    def __init__(self, home: Path, memory: Bounds, on_disk: Bounds | None, clock: Clock) -> None:
        """`on_disk`: None where nothing is to be written down."""
        self._bounds, self._disk_bounds, self._clock = memory, on_disk or memory, clock
        self._front = in_memory()
        self._wiped_file = home / disk.WIPED
        self._wiped = files.stamp(self._wiped_file)
        self._ready = threading.Condition(threading.RLock())
        self._queue: list[Change] = []
        self._busy = False
        self._gone: set[str] = set()
        """Answers and conversations that are to be deleted on disk."""
        self._gone_items: set[tuple[str, int]] = set()
        self._closing = self._closed = False
        self._writes = False
        self._disk: disk.Disk | None = None
        self._thread = threading.Thread(target=self._keep_writing, name="understudy-answers", daemon=True)
        if on_disk is not None:
            self._open(home)

    def _open(self, home: Path) -> None:
        try:
            self._disk = disk.Disk(home)
        except StateError as error:
            logger.warning("understudy: answers are kept in memory alone: %s", error)
            return
        if self._disk.moved:
            logger.warning("understudy: %s", self._disk.moved)
        self._writes = True
        self._queue.append(Change(()))  # What has grown too old meanwhile goes.
        self._thread.start()

    def facts(self, answer_id: str) -> Facts | None:
        return self._look(lambda book: book.facts(answer_id), answer_id)

    def response(self, answer_id: str) -> str:
        return self._look(lambda book: book.response(answer_id), answer_id) or ""

    def conversation(self, conversation_id: str) -> Conversation | None:
        return self._look(lambda book: book.conversation(conversation_id), conversation_id)

    def items(self, owner: str) -> list[Item]:
        """Those of an answer or of a conversation, in their order."""
        found: dict[int, Item] = {}
        for item in self._gather(lambda book: book.items(owner)):
            found.setdefault(item.place, item)
        return [found[place] for place in sorted(found)]

    def items_named(self, item_id: str) -> list[Item]:
        """Those that bear this id; see `Book.items_named`."""
        return self._gather(lambda book: book.items_named(item_id))

    def calls(self, call_id: str) -> list[Item]:
        """The calls of tools with this id."""
        return self._gather(lambda book: book.calls(call_id))

    def change(self, change: Change, *, grows: str | None = None, private: bool = False) -> None:
        """Makes a change. `grows`: the conversation that it puts items into. `private`: it is not for the disk."""
        with self._ready:
            if self._closed:
                return
            self._notice_wiping()
            changes = [change]
            if grows is not None and (known := self.conversation(grows)) is not None:
                changes = [write(known), change]  # It may be on disk alone.
            self._apply(self._front, changes, self._bounds)
            if self._writes and not private:
                self._enqueue(change)

    def make(self, change: Change, owner: str, *, grows: str | None = None, private: bool = False) -> None:
        """Makes a change that begins `owner`, perhaps once more; else as `change`."""
        with self._ready:
            self._gone.discard(owner)
            self.change(change, grows=grows, private=private)

    def delete(self, change: Change, owner: str, place: int | None = None) -> None:
        """Makes a change that deletes what belongs to `owner`, all or the item at `place`."""
        with self._ready:
            self.change(change)
            if self._disk is not None and place is None:
                self._gone.add(owner)
            elif self._disk is not None and place is not None:
                self._gone_items.add((owner, place))

    def flush(self, timeout: float) -> bool:
        """Waits until all is written down, at most `timeout` seconds; whether it is."""
        with self._ready:
            return self._ready.wait_for(lambda: not self._queue and not self._busy, timeout)

    def close(self, timeout: float) -> None:
        """Writes down what is left, within `timeout` seconds, and ends: afterwards there is nothing."""
        self.flush(timeout)
        with self._ready:
            self._closing = True
            self._ready.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout)
        with self._ready:
            self._closed = True
        if not self._thread.is_alive():
            self._front.close()
            if self._disk is not None:
                self._disk.close()

    def _enqueue(self, change: Change) -> None:
        """A disk that falls far behind must not cost memory without end: then what is large is not written."""
        if not change.size or sum(waiting.size for waiting in self._queue) + change.size <= self._bounds.size:
            self._queue.append(change)
            self._ready.notify_all()

    def _look(self, find: Callable[[Book], T | None], owner: str) -> T | None:
        """The first that there is, what is in memory first: it is taken from there only when it is on disk."""
        with self._ready:
            if self._closed:
                return None
            self._notice_wiping()
            found = find(self._front)
            if found or owner in self._gone:
                return found
            return self._read(find)

    def _gather(self, find: Callable[[Book], list[Item]]) -> list[Item]:
        with self._ready:
            if self._closed:
                return []
            self._notice_wiping()
            found = [*find(self._front), *(self._read(find) or ())]
            return [i for i in found if i.owner not in self._gone and (i.owner, i.place) not in self._gone_items]

    def _read(self, find: Callable[[Book], T]) -> T | None:
        if self._disk is None:
            return None
        try:
            return find(self._disk.reader)
        except sqlite3.Error as error:
            # While the thread is at it, it finds out by itself.
            if not self._busy and not disk.is_busy(error):
                self._fail(error)
            return None

    def _apply(self, book: Book, changes: list[Change], bounds: Bounds) -> None:
        book.begin()
        book.apply(changes, bounds, self._clock())

    def _notice_wiping(self) -> None:
        """Forgets everything where the user wants that: one look at a file's status."""
        if (stamp := files.stamp(self._wiped_file)) != self._wiped:
            self._wiped = stamp
            self._queue.clear()
            self._front.wipe()
            self._gone.clear()
            self._gone_items.clear()

    def _keep_writing(self) -> None:
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._queue or self._closing)
                if not self._queue or self._disk is None or not self._writes:
                    return
                batch, wiped, book = list(self._queue), self._wiped, self._disk.writer
                self._busy = True
            try:
                self._write(book, batch, wiped)
                self._written(len(batch), wiped)
            except sqlite3.Error as error:
                if not disk.is_busy(error):
                    with self._ready:
                        self._fail(error)
            finally:
                with self._ready:
                    self._busy = False
                    self._ready.notify_all()

    def _write(self, book: Book, batch: list[Change], wiped: files.Stamp | None) -> None:
        book.begin()
        # Whoever wipes says so before, and then needs the lock that is held here.
        if files.stamp(self._wiped_file) == wiped:
            book.apply(batch, self._disk_bounds, self._clock())
        else:
            book.give_up()

    def _written(self, count: int, wiped: files.Stamp | None) -> None:
        with self._ready:
            if self._wiped == wiped:
                del self._queue[:count]
            if not self._queue:
                self._front.drop_written()
                self._gone.clear()
                self._gone_items.clear()

    def _fail(self, error: sqlite3.Error) -> None:
        """Goes on with a new file where the old one is damaged, and else without one. With the lock held."""
        trouble = str(error)
        if disk.is_broken(error) and self._disk is not None and self._writes:
            try:
                self._disk.reopen()
                logger.warning("understudy: %s", self._disk.moved or "answers are kept in a new file")
                return
            except StateError as again:
                trouble = str(again)
        if self._writes:
            logger.warning("understudy: answers are kept in memory alone from now on: %s", trouble)
        self._writes = False
        self._queue.clear()
