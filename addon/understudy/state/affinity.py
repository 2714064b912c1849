"""The bindings that processes share, `affinity.json`: which session, and which turn state, belongs to which account.

It is a cache: whatever is wrong with it costs bindings, and is never an error. Sessions and turn states are in it by
their hashes.
"""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

from understudy.pool.affinity import Affinity, Binding, Bindings
from understudy.pool.ledger import Answer, Figures, Ledger
from understudy.state import fields, files
from understudy.state.errors import StateError
from understudy.wire.jsontext import loads

VERSION = 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shared:
    """What is in the file."""

    sessions: Bindings = field(default_factory=Bindings)
    turn_states: Bindings = field(default_factory=Bindings)

    def is_news_to(self, known: "Shared", everything: bool) -> bool:
        """See `Bindings.is_news_to`."""
        return self.sessions.is_news_to(known.sessions, everything) or self.turn_states.is_news_to(
            known.turn_states, everything
        )


class AffinityFile:
    """`affinity.json` in the folder `home`. Blocking file work; for one thread at a time."""

    def __init__(self, home: Path) -> None:
        self.path = home / "affinity.json"
        self._stamp: files.Stamp | None = None
        self._shared = Shared()
        self._merged = (0, 0)
        """How often the affinities had changed when they were last merged."""
        self._troubles: set[str] = set()

    def changed(self) -> bool:
        """Whether another process has written since the file was last read or written here. Costs next to nothing."""
        return files.stamp(self.path) != self._stamp

    def read(self) -> Shared:
        """What is in the file; nothing where it is missing or, said once, unreadable."""
        if self.changed():
            self._stamp, self._shared = files.stamp(self.path), Shared()
            try:
                content = files.read(self.path)
                if content is not None:
                    self._stamp, self._shared = content.stamp, _decode(content.data)
            except (StateError, ValueError) as error:
                self._complain(f"the bindings in {self.path} are left aside: {error}")
        return self._shared

    def merge(self, affinity: Affinity, turn_states: Affinity, now: float, *, everything: bool = False) -> None:
        """Tells other processes what is remembered here, and hears what they remember. `now`: epoch seconds.

        Nothing is written, nor anybody waited for, unless there is something new; that a binding lasts a little longer
        is not, but for a process that ends, which wants `everything` kept. Where the file cannot be written that is
        said once, and each process goes by what it remembers itself.
        """
        changes = (affinity.changes, turn_states.changes)
        try:
            if everything or changes != self._merged:
                shared = self._write(Shared(affinity.told(now), turn_states.told(now)), now, everything)
            elif self.changed():
                shared = self.read()
            else:
                return
        except StateError as error:
            self._complain(f"sessions are not shared with other processes: {error}")
            return
        self._merged = changes
        affinity.hear(shared.sessions, now)
        turn_states.hear(shared.turn_states, now)

    def _write(self, told: Shared, now: float, everything: bool) -> Shared:
        """Brings the file up to date, and gives what is to be known now."""
        with files.locked(self.path):
            known = self.read()
            merged = Shared(
                _merged(told.sessions, known.sessions, now), _merged(told.turn_states, known.turn_states, now)
            )
            if merged.is_news_to(known, everything):
                self._stamp = files.write(self.path, _encode(merged), durable=False)
                self._shared = merged
            return merged

    def _complain(self, trouble: str) -> None:
        if trouble not in self._troubles:
            self._troubles.add(trouble)
            logger.warning("understudy: %s", trouble)


def _merged(told: Bindings, known: Bindings, now: float) -> Bindings:
    # What we are told with is the pool's present generation; the file may have been written under another one.
    return told.merged(known.at(told.generation).plausible(now))


def _encode(shared: Shared) -> bytes:
    """`{"version": 1, "sessions": {"generation", "bindings": {HASH: {"account", "used_at", "ledger"?}}}, "turn_states":
    likewise}`, with ledgers `{"accounts": {ID: [requests, input tokens, cached tokens]}, "moves", "moved_tokens",
    "last": [number, account, input tokens] | null}`.
    """
    document = {
        "version": VERSION,
        "sessions": _bindings_object(shared.sessions),
        "turn_states": _bindings_object(shared.turn_states),
    }
    return json.dumps(document).encode() + b"\n"


def _bindings_object(bindings: Bindings) -> dict[str, object]:
    objects = {session: _binding_object(binding) for session, binding in bindings.sessions.items()}
    return {"generation": bindings.generation, "bindings": objects}


def _binding_object(binding: Binding) -> dict[str, object]:
    found: dict[str, object] = {"account": binding.account_id, "used_at": binding.used_at}
    ledger, last = binding.ledger, binding.ledger.last
    if ledger.accounts:
        found["ledger"] = {
            "accounts": {
                id: [figures.requests, figures.input_tokens, figures.cached_tokens]
                for id, figures in ledger.accounts.items()
            },
            "moves": ledger.moves,
            "moved_tokens": ledger.moved_tokens,
            "last": [last.number, last.account_id, last.input_tokens] if last else None,
        }
    return found


def _decode(data: bytes) -> Shared:
    """Raises ValueError for whatever is not as `_encode` writes it."""
    try:
        document = fields.as_object(loads(data))
    except ValueError:
        raise ValueError("they are not JSON as it is written here") from None
    if document.get("version") != VERSION:
        raise ValueError("it was written by another version")
    return Shared(_read_bindings(document.get("sessions")), _read_bindings(document.get("turn_states")))


def _read_bindings(value: object) -> Bindings:
    found = fields.as_object(value)
    bindings = fields.as_object(found.get("bindings"))
    return Bindings(fields.count(found, "generation"), {name: _read_binding(each) for name, each in bindings.items()})


def _read_binding(value: object) -> Binding:
    found = fields.as_object(value)
    account = None if found.get("account") is None else fields.text(found, "account")
    ledger = _read_ledger(found["ledger"]) if "ledger" in found else Ledger()
    return Binding(account, fields.number(found, "used_at"), ledger)


def _read_ledger(value: object) -> Ledger:
    found = fields.as_object(value)
    accounts = fields.as_object(found.get("accounts"))
    return Ledger(
        accounts={name: Figures(*_counts(figures)) for name, figures in accounts.items()},
        moves=fields.count(found, "moves"),
        moved_tokens=fields.count(found, "moved_tokens"),
        last=None if found.get("last") is None else _read_answer(fields.as_list(found["last"], 3)),
    )


def _read_answer(value: list[object]) -> Answer:
    number, account, tokens = value
    return Answer(
        fields.as_count(number, "number"), fields.as_text(account, "account"), fields.as_count(tokens, "tokens")
    )


def _counts(value: object) -> list[int]:
    return [fields.as_count(figure, "figure") for figure in fields.as_list(value, 3)]
