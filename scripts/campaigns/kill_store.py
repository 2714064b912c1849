"""The pool's writers are killed with SIGKILL: at every step of what they do, and at random times, four at once.

Whatever the moment, the pool and its backup are whole, each as a write left it; nothing is set aside as unreadable, and
nothing stays locked; what the dead leave behind is gone with the next write.
"""

import random
import tempfile
from pathlib import Path

from support.killing import Stepping, killings
from support.writers import PROGRAM, members, number_of, number_on_disk, rotate, version_1
from understudy.pool.pool import over_accounts
from understudy.state.accounts import AccountStore

ROUNDS, QUICK_ROUNDS = 1000, 50
"""Of each way to kill; in full, every step there is."""
WRITERS = 4

ONE_STEP = (
    PROGRAM
    + """
def update(store):
    store.update(rotate)

def reserved(store):
    with store.reserved() as room:
        store.update(rotate, room)

def back_up(store):
    store.back_up()

def work(argument):
    kind, _, home = argument.partition(" ")
    globals()[kind](AccountStore(Path(home)))

migrate = update
"""
)
FOREVER = (
    PROGRAM
    + """
def work(path):
    store = AccountStore(path)
    while True:
        with store.reserved() as room:
            store.update(rotate, room)
"""
)
KINDS = ("update", "reserved", "migrate", "back_up")


def run(quick: bool) -> bool:
    """Prints how many rounds there were. Raises AssertionError, or what the store raised, after one that went wrong."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        at_every_step(Path(folder) / "steps", rounds if quick else None)
        at_random(Path(folder) / "random", rounds)
    print("0 torn, 0 lost")
    return True


def at_every_step(home: Path, rounds: int | None) -> None:
    """Kills all kinds of work at every step, or at about so many in all."""
    store = _store(home)
    with Stepping(ONE_STEP) as stepping:
        for kind in KINDS:
            _prepare(store, kind)
            steps = stepping.steps(f"{kind} {home}")
            numbers = range(1, steps + 1, steps * len(KINDS) // rounds if rounds else 1)
            for step in numbers:
                before = _prepare(store, kind)
                stepping.killed(step, f"{kind} {home}")
                _check(store, f"{kind}, step {step}", before)
            print(f"{kind}: killed at {len(numbers)} of {steps} steps")


def at_random(home: Path, rounds: int) -> None:
    """Kills four writers at random times."""
    store, before, writes = _store(home), 1, 0
    for number, _ in enumerate(killings(FOREVER, home, random.Random(5), rounds, writers=WRITERS, within=0.06)):
        writes += number_of(store.read()) - before
        _check(store, f"round {number}", before)
        before = number_of(store.read())
    print(f"{WRITERS} writers: killed {rounds} times at random, in {writes} writes")


def _store(home: Path) -> AccountStore:
    store = AccountStore(home)
    store.update(over_accounts(lambda _: members(1)))
    return store


def _prepare(store: AccountStore, kind: str) -> int:
    """Makes the pool to begin with. Gives the number of the write that it is of."""
    number = number_of(store.read())
    if kind == "migrate":
        store.path.write_bytes(version_1(members(number)))
    return number


def _check(store: AccountStore, moment: str, before: int) -> None:
    """All is as it must be after write `before` and a kill, and then after one more write and one more backup."""
    try:
        assert number_on_disk(store.home, WRITERS) >= before, "a write is undone"
        store.update(rotate)
        store.back_up()
        left = [path.name for path in store.home.rglob("*") if path.suffix in (".tmp", ".room")]
        assert not left, f"left behind: {left}"
        assert not (store.home / "quarantine").exists(), "something was unreadable"
    except Exception as error:
        error.add_note(f"after a kill at: {moment}")
        raise
