"""The operating system's keychain is asked for so long and no longer, and none that keeps secrets in the open."""

import os
import subprocess
import sys
import time

import pytest

from support.keychain import PrivateKeychain
from understudy.state import keychain as module
from understudy.state.errors import StateError
from understudy.state.keychain import Keychain

# The library leaves connections open where a keychain is locked.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

LONG = "x" * 50_000


def test_what_is_put_is_there_and_what_is_deleted_is_not(keychain: PrivateKeychain) -> None:
    chain = Keychain()
    chain.put("one", "1")
    chain.put("long", LONG)
    assert (chain.get("one"), chain.get("long"), chain.get("other")) == ("1", LONG, None)
    chain.delete("one")
    assert keychain.entries() == {"long": LONG}


def test_to_delete_what_is_not_there_is_no_trouble(keychain: PrivateKeychain) -> None:
    Keychain().delete("nothing")


def test_a_keychain_that_does_not_answer_is_given_up_and_then_left_alone(keychain: PrivateKeychain) -> None:
    chain = Keychain()
    began = time.monotonic()
    with keychain.stopped():
        with pytest.raises(StateError, match="did not answer within 3 s; unlock it"):
            chain.get("one")
        assert time.monotonic() - began < module.TIMEOUT + 1
        asked = time.monotonic()
        with pytest.raises(StateError, match="did not answer within 3 s; unlock it"):
            chain.get("one")
        assert time.monotonic() - asked < 0.5
    assert Keychain().get("one") is None


def test_a_locked_keychain_is_an_error_that_says_so(keychain: PrivateKeychain) -> None:
    keychain.lock()
    with pytest.raises(StateError, match="unlock"):
        Keychain().get("one")


def test_without_a_bus_it_is_an_error_that_says_so(keychain: PrivateKeychain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
    with pytest.raises(StateError, match=r"the keychain failed|no keychain of the operating system"):
        Keychain().get("one")


CHECK = """
from understudy.state.keychain import check_keychain
try:
    check_keychain()
except Exception as error:
    print(type(error).__name__, error)
"""


def checked(program: str = CHECK, **environment: str) -> str:
    """What a process of its own says of the keychain."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=30).stdout


def test_a_keychain_that_can_be_used_passes_the_check(keychain: PrivateKeychain) -> None:
    assert checked() == ""


@pytest.mark.parametrize("backend", ["null", "fail"])
def test_a_backend_that_keeps_nothing_is_refused(backend: str) -> None:
    said = checked(PYTHON_KEYRING_BACKEND=f"keyring.backends.{backend}.Keyring")
    assert said == (
        "StateError there is no keychain of the operating system to be used "
        f"(the keyring library chose {backend} Keyring)\n"
    )


IN_THE_OPEN = """
import keyring.backend

class Plaintext(keyring.backend.KeyringBackend):
    priority = 0.5  # as those of keyrings.alt
    get_password = set_password = delete_password = None
"""


def test_a_backend_that_keeps_secrets_in_the_open_is_refused() -> None:
    said = checked(IN_THE_OPEN + CHECK, PYTHON_KEYRING_BACKEND="__main__.Plaintext")
    assert "no keychain of the operating system" in said and "Plaintext" in said


def test_without_the_library_the_error_says_what_to_install() -> None:
    said = checked("import sys; sys.modules['keyring'] = None\n" + CHECK)
    assert said == "StateError the keychain needs a library: pip install '.[keyring]' in Understudy's folder\n"
