"""The logs of proxies in the background: private, bounded, and good for telling why one did not start."""

import os
import subprocess
import sys
from pathlib import Path

from understudy.state.logs import KEPT, LARGEST, opened
from understudy.workstation.logs import why


def write(path: Path, text: str) -> None:
    file = opened(path)
    os.write(file, text.encode())
    os.close(file)


def test_they_are_for_their_owner_alone(tmp_path: Path) -> None:
    write(tmp_path / "logs" / "proxy.log", "one\n")
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "logs" / "proxy.log").stat().st_mode & 0o777 == 0o600


def test_what_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "proxy.log"
    write(path, "one\n")
    write(path, "two\n")
    assert path.read_text() == "one\ntwo\n"


def test_a_large_one_is_put_aside_and_a_few_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "proxy.log"
    for number in range(KEPT + 2):
        write(path, f"{number}" * (LARGEST + 1))
    write(path, "new")
    aside = [path.with_name(f"proxy.log.{number}").read_text()[0] for number in range(1, KEPT + 1)]
    assert (path.read_text(), aside) == ("new", ["4", "3", "2"])
    assert len(list(path.parent.glob("proxy.log*"))) == KEPT + 1


def test_errors_say_why_it_did_not_start(tmp_path: Path) -> None:
    path = tmp_path / "proxy.log"
    path.write_text("understudy: of an earlier one\n")
    began = path.stat().st_size
    write(path, "Loading script\n\n[1] understudy: codex_wait: cannot be negative\nError logged during startup\n")
    assert why(path, began).splitlines() == [
        "  [1] understudy: codex_wait: cannot be negative",
        "  Error logged during startup",
    ]


def test_or_else_the_last_that_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "proxy.log"
    write(path, "".join(f"line {number}\n" for number in range(20)))
    assert why(path, 0).splitlines()[-1] == "  line 19"
    assert len(why(path, 0).splitlines()) == 8


def test_or_that_it_wrote_nothing(tmp_path: Path) -> None:
    write(tmp_path / "proxy.log", "")
    assert why(tmp_path / "proxy.log", 0) == "  it wrote nothing"


def outgrown(home: Path, log: Path, program: str) -> None:
    """Runs a program that writes to `log`, in which there is too much."""
    write(log, "old" * LARGEST)
    start = "import os\nfrom pathlib import Path\nfrom understudy.state.logs import bound\n"
    start += f"home = Path({str(home)!r})\n"
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    subprocess.run([sys.executable, "-c", start + program], stdout=file, stderr=file, check=True, timeout=30)
    os.close(file)


def test_a_process_whose_log_has_grown_too_large_goes_on_in_a_new_one(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "proxy.log"
    outgrown(
        tmp_path, log, "print('before', flush=True)\nbound(home)\nprint('after', flush=True)\nos.write(2, b'error')"
    )
    assert log.read_text() == "after\nerror"
    assert log.with_name("proxy.log.1").read_text().endswith("oldbefore\n")
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_process_whose_log_was_put_aside_by_another_follows(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "run.log"
    aside = "log = home / 'logs' / 'run.log'\nlog.rename(f'{log}.1')\nlog.write_text('another\\n')\n"
    outgrown(tmp_path, log, f"{aside}bound(home)\nprint('after', flush=True)")
    assert log.read_text() == "another\nafter\n"
    assert not log.with_name("run.log.2").exists()


def test_what_is_no_log_of_ours_is_left_alone(tmp_path: Path) -> None:
    outgrown(tmp_path / "home", tmp_path / "mine" / "mine.log", "bound(home)\nprint('after', flush=True)")
    assert (tmp_path / "mine" / "mine.log").read_text().endswith("after\n")
    assert not (tmp_path / "home").exists()


def test_where_there_can_be_no_new_one_it_goes_on_in_the_old(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "proxy.log"
    locked = "import filelock\nfrom understudy.state import files\nfiles.LOCK_TIMEOUT = 0\n"
    locked += "with filelock.FileLock(home / 'logs' / '.proxy.log.lock'):\n    bound(home)\nprint('after', flush=True)"
    outgrown(tmp_path, log, locked)
    assert log.read_text().endswith("after\n")
