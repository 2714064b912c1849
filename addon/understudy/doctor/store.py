"""What is kept on disk, as far as it can be told without changing it: the pool, the figures, what was set aside."""

from collections.abc import Sequence
from pathlib import Path

from understudy.doctor.check import Check, Result, bad, ok, skipped, warn
from understudy.doctor.machine import Machine, Stored
from understudy.doctor.software import PIP
from understudy.pool.account import Lane
from understudy.state.board import Board

BEHIND = 600.0
"""Seconds by which an account's figures may be older than its last request: an answer brings new ones."""


def pool(machine: Machine) -> Result:
    """Whether the accounts can be read."""
    return judge_pool(machine.stored)


def judge_pool(stored: Stored) -> Result:
    """Whether there is a pool, be it empty."""
    if stored.newer:
        return bad(stored.trouble, "Nothing can be read or changed until then.", f"{PIP} --upgrade understudy")
    if stored.pool is None:
        return bad(
            stored.trouble,
            "Without its accounts no proxy carries out anything.",
            stored.command,
        )
    count = len(stored.pool.accounts)
    return ok(f"readable, {count} {'account' if count == 1 else 'accounts'}")


def quarantine(machine: Machine) -> Result:
    """Whether files were set aside that could not be read."""
    folder = machine.home / "quarantine"
    return judge_quarantine(sorted(folder.iterdir()) if folder.is_dir() else ())


def judge_quarantine(kept: Sequence[Path]) -> Result:
    """`kept`: the files that were set aside."""
    if not kept:
        return ok("nothing was set aside")
    return warn(
        f"{len(kept)} unreadable {'file was' if len(kept) == 1 else 'files were'} set aside",
        "There may be logins in it that are nowhere else.",
        "understudy accounts quarantine",
    )


def figures(machine: Machine) -> Result:
    """Whether the figures can be read, and are of now."""
    try:
        board = machine.board
    except ValueError as error:
        return warn(
            f"the figures in {machine.home / 'quota.json'} cannot be used: {error}",
            "`understudy status` shows nothing until they are written anew, and accounts are chosen without them.",
            "understudy accounts check",
        )
    if board is None:
        return skipped("there are no figures yet")
    return judge_figures(board, len(machine.proxies))


def judge_figures(board: Board, proxies: int) -> Result:
    """`proxies`: how many run. Only a running one brings new figures."""
    late = [entry for entry in board.entries if entry.enabled and entry.lane is Lane.CODEX and entry.snapshot]
    late = [e for e in late if e.snapshot and e.last_used_at and e.last_used_at - e.snapshot.updated_at > BEHIND]
    if proxies and late:
        labels = ", ".join(entry.label for entry in late)
        return warn(
            f"the figures of {labels} are more than {BEHIND / 60:.0f} min older than the last request there",
            "Answers bring figures. Either every request failed, or the proxy cannot write them down.",
            f"understudy accounts check {late[0].label}",
        )
    return ok("the figures are as new as the last answers" if board.entries else "there are no accounts to know of")


CHECKS = (
    Check("accounts file", pool),
    Check("quarantine", quarantine),
)
LATER = (Check("figures", figures),)
"""What is of use only where a proxy works."""
