"""Whatever call of the operating system fails, and however, the pool is whole and the trouble is said in words."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.proxy import clean_environment
from support.writers import PROGRAM, members, number_of
from understudy.pool.pool import over_accounts
from understudy.state.accounts import AccountStore

TWICE = (
    PROGRAM
    + """
from understudy.state.errors import StateError

store = AccountStore(Path(sys.argv[1]))
try:
    with store.reserved() as room:
        store.update(rotate, room if "room" in sys.argv else None)
except StateError as error:
    print(error)
else:
    print("written")
print(store.update(rotate).accounts[0].last_used_at)
"""
)


def can_fail_calls() -> bool:
    """Whether strace(1) is here, and may do its work."""
    return shutil.which("strace") is not None and subprocess.run(["strace", "-o", "/dev/null", "true"]).returncode == 0


@pytest.fixture
def home(home: Path) -> Path:
    if not can_fail_calls():
        pytest.skip("NO FAILING DISK IS TESTED: strace is missing, or may not trace; install strace")
    AccountStore(home).update(over_accounts(lambda _: members(1)))
    return home


@pytest.mark.parametrize("room", ["room", "no room"])
@pytest.mark.parametrize(
    ("fault", "said", "last"),
    [
        pytest.param("fallocate:error=ENOSPC:when=1", "cannot reserve space", 2, id="no space to reserve"),
        pytest.param("fallocate:error=EDQUOT:when=1", "cannot reserve space", 2, id="no quota to reserve"),
        pytest.param("fsync:error=EIO:when=1", "cannot reserve space", 2, id="the reservation is not synced"),
        pytest.param("write:error=EIO:when=1", "cannot write", 2, id="the data are not written"),
        pytest.param("write:error=EDQUOT:when=1", "cannot write", 2, id="the quota is used up"),
        pytest.param("fsync:error=EIO:when=2", "cannot write", 2, id="the data are not synced"),
        pytest.param("rename:error=EIO:when=1", "cannot write", 2, id="the file is not put in its place"),
        pytest.param("fsync:error=EIO:when=3", "cannot write", 3, id="the folder is not synced"),
        pytest.param("fsync:error=EIO:when=4", "written", 3, id="the backup is not synced"),
        pytest.param("rename:error=EIO:when=2", "written", 3, id="the backup is not put in its place"),
    ],
)
def test_a_call_that_fails_loses_nothing_and_the_next_write_works(
    home: Path, fault: str, said: str, last: int, room: str
) -> None:
    command = ["strace", "-f", "-o", "/dev/null", "-e", f"inject={fault}", sys.executable, "-c", TWICE, str(home), room]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=60)
    first, second = done.stdout.splitlines()
    assert first.startswith(said), done.stderr
    assert float(second) == last == number_of(AccountStore(home).read())
    assert [path.name for path in home.iterdir() if path.suffix in (".tmp", ".room")] == []
