"""The kept answers and conversations, as those who answer hosts ask for them."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from understudy.state.answers import changes, disk
from understudy.state.answers.book import MIB, Bounds, Facts, Item
from understudy.state.answers.changes import Conversation
from understudy.state.answers.layers import Clock, Layers
from understudy.wire.conversations import Listed, named
from understudy.wire.stored import Stored, reasoning_of_call

IN_MEMORY = Bounds(size=64 * MIB, age=24 * 3600.0)
ON_DISK = Bounds(size=512 * MIB, age=30 * 86400.0)
"""OpenAI keeps responses for 30 days too (API reference, `store`)."""
_CLOSING = 10.0
_LONGEST_CHAIN = 10_000


class Mode(StrEnum):
    """Where answers are kept: the values of the option `codex_history`."""

    OFF = "off"
    MEMORY = "memory"
    DISK = "disk"


class Answers:
    """A `Recall` that is bounded, in this process's memory or on a disk that all proxies share. For any thread.

    It never waits for the disk but to read. Whatever fails there is logged once, and nothing raises because of it.
    What is looked up counts as used, with all that led to it, so that the bounds take no links out of living chains.
    """

    def __init__(
        self,
        home: Path,
        mode: Mode,
        *,
        memory: Bounds = IN_MEMORY,
        on_disk: Bounds = ON_DISK,
        clock: Clock = time.time,
    ) -> None:
        """Opens, or makes, the file in the folder `home` for `Mode.DISK`. `clock`: gives epoch seconds."""
        self._home, self._clock = home, clock
        self._layers = Layers(home, memory, on_disk if mode is Mode.DISK else None, clock)

    def put(self, stored: Stored) -> None:
        """Keeps an answer, in the place of what there is of it. What is not `listed` is kept in memory alone.
        Its items are put at the end of its conversation too, if it is listed.
        """
        change = changes.put(stored, self._clock())
        self._layers.make(change, stored.id, grows=stored.conversation, private=not stored.listed)

    def get(self, response_id: str) -> Stored | None:
        """The answer, or None."""
        facts = self._layers.facts(response_id)
        if facts is None:
            return None
        self._use((response_id,))
        items = self._layers.items(response_id)
        return Stored(
            id=facts.id,
            created_at=facts.created_at,
            previous=facts.previous,
            conversation=facts.conversation,
            given=tuple(item.text for item in items if not item.is_output),
            output=tuple(item.text for item in items if item.is_output),
            response=self._layers.response(response_id),
            listed=facts.listed,
        )

    def delete(self, response_id: str) -> bool:
        """Deletes an answer, and what is known only through it; its conversation keeps its items. Whether it was
        there.
        """
        if self._layers.facts(response_id) is None:
            return False
        self._layers.delete(changes.delete(response_id), response_id)
        return True

    def clear(self) -> None:
        """Deletes everything, in all processes. Blocking file work. Raises StateError."""
        disk.wipe(self._home)

    def close(self) -> None:
        """Writes down what is left, which takes a few seconds at the most. Afterwards there is nothing."""
        self._layers.close(_CLOSING)

    def flush(self, timeout: float = _CLOSING) -> bool:
        """Waits, at most `timeout` seconds, until all is on disk; whether it is."""
        return self._layers.flush(timeout)

    def items_of(self, response_id: str) -> tuple[str, ...] | None:
        found = self._led_to(response_id)
        return None if found is None else tuple(item.text for item in found)

    def input_of(self, response_id: str) -> tuple[Listed, ...] | None:
        """All that an answer was made from, with the ids under which it is listed; None where it, or any before it, is
        not there.
        """
        found = self._led_to(response_id)
        if found is None:
            return None
        return tuple(Listed(i.id, i.text) for i in found if i.owner != response_id or not i.is_output)

    def item(self, item_id: str) -> str | None:
        found = sorted(self._layers.items_named(item_id), key=lambda item: not item.is_output)
        if not found:
            return None
        self._use((found[0].owner,))
        return found[0].text

    def conversation(self, conversation_id: str) -> tuple[str, ...] | None:
        listed = self.listed_in(conversation_id)
        return None if listed is None else tuple(item.text for item in listed)

    def reasoning_before(self, call_id: str) -> tuple[str, ...]:
        for call in self._layers.calls(call_id):
            output = [item.text for item in self._layers.items(call.owner) if item.is_output]
            if found := reasoning_of_call(output, call_id):
                self._use((call.owner,))
                return found
        return ()

    def begin_conversation(self, metadata: str, items: Sequence[str]) -> Conversation:
        """Makes a conversation of these items. `metadata`: a JSON object's text."""
        now = self._clock()
        made = Conversation(f"conv_{secrets.token_hex(24)}", now, now, metadata)
        self._layers.make(changes.write(made), made.id)
        self.add(made.id, items)
        return made

    def about(self, conversation_id: str) -> Conversation | None:
        """The conversation, or None."""
        return self._layers.conversation(conversation_id)

    def listed_in(self, conversation_id: str) -> tuple[Listed, ...] | None:
        """A conversation's items, with the ids under which they are listed; None where there is no such thing."""
        if self._layers.conversation(conversation_id) is None:
            return None
        self._use((conversation_id,))
        return tuple(Listed(item.id, item.text) for item in self._layers.items(conversation_id))

    def describe(self, conversation_id: str, metadata: str) -> Conversation | None:
        """Gives a conversation other metadata, a JSON object's text. None where there is no such thing."""
        known = self._layers.conversation(conversation_id)
        if known is None:
            return None
        changed = replace(known, metadata=metadata, used_at=self._clock())
        self._layers.change(changes.write(changed))
        return changed

    def add(self, conversation_id: str, items: Sequence[str]) -> tuple[Listed, ...] | None:
        """Puts items at a conversation's end; gives them with their ids. None where there is no such thing."""
        if self._layers.conversation(conversation_id) is None:
            return None
        # An id that nothing else has: not even that of the same item, put there again.
        added = tuple(named(text, secrets.token_hex(16), 0) for text in items)
        self._layers.change(changes.append(conversation_id, added, self._clock()), grows=conversation_id)
        return added

    def take_out(self, conversation_id: str, item_id: str) -> bool:
        """Deletes an item of a conversation; whether it was there."""
        found = [item for item in self._layers.items(conversation_id) if item.id == item_id]
        for item in found:
            self._layers.delete(changes.take_out(conversation_id, item.place), conversation_id, item.place)
        return bool(found)

    def end_conversation(self, conversation_id: str) -> bool:
        """Deletes a conversation and its items; whether it was there."""
        if self._layers.conversation(conversation_id) is None:
            return False
        self._layers.delete(changes.delete(conversation_id), conversation_id)
        return True

    def _use(self, names: Sequence[str]) -> None:
        self._layers.change(changes.touch(names, self._clock()))

    def _led_to(self, response_id: str) -> list[Item] | None:
        """All items up to an answer's last."""
        chain = self._chain(response_id)
        if chain is None:
            return None
        self._use([facts.id for facts in chain])
        first = self._before(chain[0])
        return None if first is None else [*first, *(item for f in chain for item in self._layers.items(f.id))]

    def _chain(self, response_id: str) -> list[Facts] | None:
        """An answer and those before it, the first one first."""
        found: list[Facts] = []
        name: str | None = response_id
        while name is not None:
            facts = self._layers.facts(name)
            if facts is None or len(found) >= _LONGEST_CHAIN:
                return None
            found.append(facts)
            name = facts.previous
        return found[::-1]

    def _before(self, facts: Facts) -> list[Item] | None:
        """The items of the conversation that an answer was given in, up to those of the answer itself."""
        if facts.conversation is None:
            return []
        if self._layers.conversation(facts.conversation) is None:
            return None
        own = {item.id for item in self._layers.items(facts.id)}
        items = self._layers.items(facts.conversation)
        at = next((at for at, item in enumerate(items) if item.id in own), len(items))
        return items[:at]


def open_answers(home: Path, mode: Mode) -> Answers | None:
    """What is to be used in this mode; None where nothing is to be kept."""
    return None if mode is Mode.OFF else Answers(home, mode)
