"""The values that an option may have: each reader gives what it was given, checked, or says what is wrong with it."""

from collections.abc import Sequence
from functools import lru_cache

from understudy.state.errors import StateError
from understudy.state.keychain import check_keychain

LONGEST_WAIT = 86400
"""Seconds: the most that an option may ask to wait."""


@lru_cache(maxsize=8)
def read_hosts(text: str) -> frozenset[str]:
    """Host names separated by commas, in lower case. Raises ValueError for none, or for what is no host name."""
    hosts = frozenset(name.strip().lower().removesuffix(".") for name in text.split(",") if name.strip())
    for host in hosts:
        if host.startswith("-") or not all(map(_is_label, host.split("."))):
            raise ValueError(f"not a host name: {host!r}")
    if not hosts:
        raise ValueError("name at least one host, or do not load the script")
    return hosts


def _is_label(part: str) -> bool:
    return part.isascii() and part.replace("-", "").isalnum()


def read_word(words: Sequence[str], word: str) -> str:
    """One of `words`. Raises ValueError for anything else."""
    if word not in words:
        raise ValueError(f"not understood: {word!r} (there is: {', '.join(words)})")
    return word


def read_percent(percent: int) -> int:
    """0 to 100. Raises ValueError for anything else."""
    if not 0 <= percent <= 100:
        raise ValueError(f"out of range (0 to 100 percent): {percent}")
    return percent


def read_count(count: int) -> int:
    """A number of things. Raises ValueError for a negative one."""
    if count < 0:
        raise ValueError(f"cannot be negative: {count}")
    return count


def read_seconds(seconds: int) -> int:
    """A non-negative number of seconds, a day at most. Raises ValueError for anything else."""
    if not 0 <= seconds <= LONGEST_WAIT:
        raise ValueError(f"out of range (0 to {LONGEST_WAIT} seconds): {seconds}")
    return seconds


def read_timeout(seconds: int) -> int:
    """As `read_seconds`, but not 0: nothing would ever be in time. Raises ValueError."""
    if seconds == 0:
        raise ValueError("a timeout of 0 seconds would let nothing pass")
    return read_seconds(seconds)


@lru_cache(maxsize=2)
def read_keyring(wanted: bool) -> bool:
    """Whether tokens belong in the keychain. Raises ValueError where they do and there is none that can be used."""
    if wanted:
        try:
            check_keychain()
        except StateError as error:
            raise ValueError(str(error)) from None
    return wanted
