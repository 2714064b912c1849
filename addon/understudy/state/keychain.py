"""The operating system's keychain, through the `keyring` library: bounded in time, and none that is open to others."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

from understudy.state.errors import StateError
from understudy.wire.text import safe_text

SERVICE = "understudy"
"""What our entries are filed under."""
TIMEOUT = 3.0
"""Seconds that one question may take: a keychain that asks the user to unlock it waits for ever."""
PAUSE = 10.0
"""Seconds that a keychain in trouble is left alone: whoever asks may be holding up every request."""

if TYPE_CHECKING:  # an optional library, and slow to load
    from keyring.backend import KeyringBackend

T = TypeVar("T")


class Keychain:
    """Entries by name. Whatever is asked raises StateError, in words that say what to do, where no answer comes."""

    def __init__(self) -> None:
        self._trouble = ""
        self._again_at = 0.0

    def get(self, name: str) -> str | None:
        """The entry's text, or None where there is no such entry."""
        return self._ask(lambda: _backend().get_password(SERVICE, name))

    def put(self, name: str, text: str) -> None:
        """Makes the entry. When this returns it has been read back and is the same."""

        def put() -> bool:
            backend = _backend()
            backend.set_password(SERVICE, name, text)
            return backend.get_password(SERVICE, name) == text

        if not self._ask(put):
            raise StateError("the keychain does not give back what was put into it")

    def delete(self, name: str) -> None:
        """Deletes the entry, if it is there."""

        def delete() -> None:
            backend = _backend()
            if backend.get_password(SERVICE, name) is not None:
                backend.delete_password(SERVICE, name)

        self._ask(delete)

    def _ask(self, question: Callable[[], T]) -> T:
        if time.monotonic() < self._again_at:
            raise StateError(self._trouble)
        try:
            return _bounded(question)
        except StateError as error:
            self._trouble, self._again_at = str(error), time.monotonic() + PAUSE
            raise


def check_keychain() -> None:
    """Raises StateError unless there is a keychain that can be used."""
    _bounded(_backend)


def _bounded(question: Callable[[], T]) -> T:
    answer: Future[T] = Future()

    def ask() -> None:
        try:
            answer.set_result(question())
        except BaseException as error:
            answer.set_exception(error)

    # A thread that nobody waits for: a call that hangs cannot be ended, and must not keep the process from its end.
    Thread(target=ask, name="understudy keychain", daemon=True).start()
    try:
        return answer.result(TIMEOUT)
    except StateError:
        raise
    except TimeoutError:
        raise StateError(f"the keychain did not answer within {TIMEOUT:.0f} s; unlock it and try again") from None
    except Exception as error:
        raise StateError(f"the keychain failed ({_words(error)}); unlock it, or start it, and try again") from None


@cache
def _backend() -> "KeyringBackend":
    try:
        from keyring import core
    except ImportError:
        raise StateError("the keychain needs a library: pip install '.[keyring]' in Understudy's folder") from None
    # What it recommends encrypts. Others, which keep secrets in a plain file or nowhere, a user may have configured.
    core.init_backend(core.recommended)
    backend = core.get_keyring()
    if not core.recommended(backend):
        raise StateError(
            f"there is no keychain of the operating system to be used (the keyring library chose {backend.name})"
        )
    return backend


def _words(error: Exception) -> str:
    from keyring.errors import KeyringError

    return safe_text(str(error), 200) if isinstance(error, KeyringError) else type(error).__name__
