"""A keychain of its own for a test: gnome-keyring, as on a desktop, on a private D-Bus."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import secretstorage

PROGRAMS = ("dbus-daemon", "dbus-send", "gnome-keyring-daemon")
PACKAGES = "dbus gnome-keyring"
"""Debian's packages that have them."""


class PrivateKeychain:
    """A running keychain, unlocked. `environment`: what points a process to it."""

    def __init__(self, environment: dict[str, str], daemon: subprocess.Popen[bytes]) -> None:
        self.environment = environment
        self._daemon = daemon

    def entries(self) -> dict[str, str]:
        """What is in it, by our entries' names."""
        with closing(secretstorage.dbus_init()) as bus:
            items = secretstorage.get_default_collection(bus).get_all_items()
            return {item.get_attributes()["username"]: item.get_secret().decode() for item in items}

    def change(self, name: str, text: str) -> None:
        """Puts another text into an entry."""
        with closing(secretstorage.dbus_init()) as bus:
            (item,) = secretstorage.search_items(bus, {"service": "understudy", "username": name})
            item.set_secret(text.encode())

    def delete(self, name: str) -> None:
        """Deletes an entry."""
        with closing(secretstorage.dbus_init()) as bus:
            (item,) = secretstorage.search_items(bus, {"service": "understudy", "username": name})
            item.delete()

    def lock(self) -> None:
        """From now on it asks the user, of whom there is none."""
        with closing(secretstorage.dbus_init()) as bus:
            secretstorage.get_default_collection(bus).lock()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It is there, and answers nothing."""
        self._daemon.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._daemon.send_signal(signal.SIGCONT)


def missing_programs() -> list[str]:
    """What this machine lacks to run a keychain."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextmanager
def private_keychain(folder: Path) -> Iterator[PrivateKeychain]:
    """Runs a keychain whose files are in `folder`, which need not exist."""
    folder.mkdir(mode=0o700)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("DBUS_", "GNOME_", "XDG_"))},
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
    }
    command = ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address"]
    with _running(command, environment) as bus:
        assert bus.stdout is not None
        environment["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().decode().strip()
        command = ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"]
        with _running(command, environment) as daemon:
            assert daemon.stdin is not None
            daemon.stdin.write(b"password")
            daemon.stdin.close()
            _wait_for_owner(environment, "org.freedesktop.secrets")
            yield PrivateKeychain(environment, daemon)


def _wait_for_owner(environment: dict[str, str], name: str) -> None:
    # Asked for earlier, the bus would start another one, with the user's own files.
    bus = "org.freedesktop.DBus"
    command = ["dbus-send", "--session", "--print-reply", f"--dest={bus}", "/", f"{bus}.NameHasOwner", f"string:{name}"]
    give_up = time.monotonic() + 20
    while b"boolean true" not in subprocess.check_output(command, env=environment):
        assert time.monotonic() < give_up, f"nobody serves {name}"
        time.sleep(0.01)


@contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
