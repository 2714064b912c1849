"""What a session's answers have used, account by account, and what it cost that it moved from one to another.

A prompt cache belongs to one account. Where another account answers, the part of the prompt that the former one had
seen already is paid for once more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Figures:
    """Answers of one account, and the tokens that went into them; the cached ones are among the input."""

    requests: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
        )


@dataclass(frozen=True, slots=True, order=True)
class Answer:
    """A session's last answer. `number`: how many came before it, whichever process they came through."""

    number: int
    account_id: str
    input_tokens: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """The figures of one session. `accounts`: by account id. `moved_tokens`: what its `moves` have cost so far."""

    accounts: Mapping[str, Figures] = field(default_factory=dict)
    moves: int = 0
    moved_tokens: int = 0
    last: Answer | None = None

    def merged(self, other: "Ledger") -> "Ledger":
        """What either knows. Figures only grow, so the larger ones count; what two processes add at the same time
        counts once. The order of merging makes no difference.
        """
        ids = self.accounts.keys() | other.accounts.keys()
        return Ledger(
            accounts={id: _larger(self.accounts.get(id, NONE), other.accounts.get(id, NONE)) for id in sorted(ids)},
            moves=max(self.moves, other.moves),
            moved_tokens=max(self.moved_tokens, other.moved_tokens),
            last=max((last for last in (self.last, other.last) if last is not None), default=None),
        )


NONE = Figures()
EMPTY = Ledger()


def record(ledger: Ledger, account_id: str, input_tokens: int, cached_tokens: int) -> tuple[Ledger, int]:
    """The ledger with one more answer, and the tokens that the move cost, 0 where the same account answered before.

    The former account had all of its last prompt in its cache, or would have now; of that, this answer can have at most
    its own prompt in common with it. What of it was not cached here had to be read anew.
    """
    last, cost = ledger.last, 0
    moved = last is not None and last.account_id != account_id
    if last is not None and moved:
        cost = max(0, min(last.input_tokens, input_tokens) - cached_tokens)
    figures = ledger.accounts.get(account_id, NONE) + Figures(1, input_tokens, cached_tokens)
    counted = replace(
        ledger,
        accounts={**ledger.accounts, account_id: figures},
        moves=ledger.moves + moved,
        moved_tokens=ledger.moved_tokens + cost,
        last=Answer(0 if last is None else last.number + 1, account_id, input_tokens),
    )
    return counted, cost


def share(figures: Figures) -> float | None:
    """How much of the input was cached, from 0 to 1; None where there was no input."""
    return min(1.0, figures.cached_tokens / figures.input_tokens) if figures.input_tokens else None


def by_account(ledgers: Iterable[Ledger]) -> dict[str, Figures]:
    """The sums over sessions, by account id."""
    sums: dict[str, Figures] = {}
    for ledger in ledgers:
        for account_id, figures in ledger.accounts.items():
            sums[account_id] = sums.get(account_id, NONE) + figures
    return sums


def _larger(one: Figures, other: Figures) -> Figures:
    return Figures(
        max(one.requests, other.requests),
        max(one.input_tokens, other.input_tokens),
        max(one.cached_tokens, other.cached_tokens),
    )
