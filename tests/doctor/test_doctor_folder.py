"""The doctor on Understudy's folder: that it is the user's alone, and what the dead have left in it."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from support.clinic import Clinic
from understudy.doctor.check import State
from understudy.doctor.folder import LEAST_FREE, Seen, judge, judge_room
from understudy.state.running import Running


@pytest.mark.parametrize("name", [".", "accounts.json", "mitmproxy", "mitmproxy/mitmproxy-ca.pem", "quota.json"])
def test_what_others_may_read_is_bad_and_is_closed(clinic: Clinic, name: str) -> None:
    path = clinic.home / name
    path.chmod(path.stat().st_mode | 0o044)
    found = clinic.alone("folder")
    assert found.fixable
    assert str(path) in found.said
    assert clinic.fix() == [f"closed {path} to other users (mode {0o700 if path.is_dir() else 0o600:04o})"]
    clinic.healthy()


def test_the_certificate_may_be_read_by_all_and_written_by_nobody_else(clinic: Clinic) -> None:
    clinic.confdir.certificate.chmod(0o644)
    clinic.healthy()
    clinic.confdir.certificate.chmod(0o664)
    assert clinic.alone("folder").fixable
    clinic.fix()
    assert stat.S_IMODE(clinic.confdir.certificate.stat().st_mode) == 0o644


def test_a_link_is_bad_and_is_left_alone(clinic: Clinic, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    elsewhere.chmod(0o644)
    link = clinic.home / "models.json"
    link.symlink_to(elsewhere)
    found = clinic.alone("folder")
    assert (found.fixable, found.command) == (False, f"rm {link}")
    assert clinic.fix() == []
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o644


def test_the_folder_itself_may_be_behind_a_link_with_a_space_in_its_name(clinic: Clinic, tmp_path: Path) -> None:
    clinic.home.rename(tmp_path / "Application Support")
    clinic.home.symlink_to(tmp_path / "Application Support")
    clinic.healthy()
    (clinic.home / "accounts.json").chmod(0o644)
    assert clinic.alone("folder").command == f"chmod go= '{tmp_path}/Application Support/accounts.json'"


def test_a_second_name_of_a_file_is_bad(clinic: Clinic, tmp_path: Path) -> None:
    (tmp_path / "second").hardlink_to(clinic.home / "accounts.json")
    assert "has another name elsewhere" in clinic.alone("folder").said


def test_what_belongs_to_another_user_is_bad(clinic: Clinic) -> None:
    root = Seen(clinic.home, stat.S_IFDIR | 0o700, 0)
    found = judge((root, Seen(clinic.home / "accounts.json", stat.S_IFREG | 0o600, 12)), 0, clinic.confdir)
    assert found.state is State.BAD
    assert not found.fixable
    assert found.command == f"sudo chown -h $(id -u) {clinic.home}/accounts.json"


def test_many_files_are_named_by_a_few(clinic: Clinic) -> None:
    seen = [Seen(clinic.home / str(n), stat.S_IFREG | 0o644, 0) for n in range(8)]
    assert "4 and 3 more" in judge(seen, 0, clinic.confdir).said


def test_what_a_killed_process_has_left_is_told_and_removed(clinic: Clinic) -> None:
    program = "import sys, os\nfrom pathlib import Path\nfrom understudy.state.running import Running\n"
    program += "Running(Path(sys.argv[1])).tell({})\nos.kill(os.getpid(), 9)\n"
    subprocess.run([sys.executable, "-c", program, str(clinic.home)], timeout=30)
    assert len([*(clinic.home / "running").iterdir()]) == 2
    found = clinic.alone("leftovers", State.WARN)
    assert found.fixable
    assert "2 files are left over" in found.said
    assert len(clinic.fix()) == 2
    clinic.healthy()


def test_a_living_process_s_record_is_no_leftover(clinic: Clinic) -> None:
    with clinic.proxy():
        assert clinic.healthy()["leftovers"].state is State.OK
        assert [record.pid for record in Running(clinic.home).all()] == [os.getpid()]


def modes(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mode for path in (folder, *folder.rglob("*"))}


def public(folder: Path) -> None:
    """Puts there what others are to read."""
    for name in ("public_html/index.html", "project/.git/config", "logs/access.log", "mitmproxy/notes.txt"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("for all")
        path.chmod(0o644)
        if path.parent.name not in ("logs", "mitmproxy"):
            path.parent.chmod(0o755)


def test_what_is_not_ours_in_our_folder_is_neither_judged_nor_changed(clinic: Clinic) -> None:
    (clinic.home / "logs").mkdir(mode=0o700)
    public(clinic.home)
    clinic.healthy()
    before = modes(clinic.home)
    (clinic.home / "accounts.json").chmod(0o644)
    found = clinic.alone("folder")
    assert found.command == f"chmod go= {clinic.home}/accounts.json"
    assert len(clinic.fix()) == 1
    assert modes(clinic.home) == before


@pytest.mark.parametrize(
    "name",
    [
        *("accounts.json.bak", "affinity.json", "history.json", "models.json", "start.json", "transparent.json"),
        *("answers.sqlite3", "answers.sqlite3-wal", "answers.wiped", "service.log", ".start.lock"),
        *(".accounts.json.lock", ".quota.json.0123456789abcdef.tmp", ".accounts.json.0123456789abcdef.room"),
        *("leases/acct_0123456789ab.json", "leases/.acct_0123456789ab.json.lock", "logs/proxy.log", "logs/run.log.2"),
        *("backups/accounts.json.20261121T140500.123456789", "mitmproxy/config.yml", "mitmproxy/mitmproxy-dhparam.pem"),
        *("quarantine/answers.sqlite3.20261121T140500.123456789-wal", "running/.1-0123456789abcdef.json.lock"),
    ],
)
def test_every_file_of_ours_is_known(clinic: Clinic, name: str) -> None:
    path = clinic.home / name
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch()
    path.chmod(0o666)
    assert str(path) in clinic.findings()["folder"].said


def test_a_folder_of_other_things_is_bad_and_is_never_changed(clinic: Clinic, tmp_path: Path) -> None:
    clinic.home = tmp_path / "site"
    public(clinic.home)
    clinic.home.chmod(0o755)
    before = modes(clinic.home)
    found = clinic.findings()["folder"]
    assert (found.state, found.fixable, found.command) == (State.BAD, False, "unset UNDERSTUDY_HOME")
    assert "is not Understudy's folder: it has project, public_html, and no accounts" in found.said
    assert clinic.fix() == []
    assert modes(clinic.home) == before


def test_a_user_s_home_and_the_root_folder_are_never_changed(clinic: Clinic) -> None:
    (clinic.user_home / "accounts.json").write_text("{}")
    (clinic.user_home / "running").mkdir(mode=0o755)
    before = modes(clinic.user_home)
    clinic.home = clinic.user_home
    assert "it is your home" in clinic.findings()["folder"].said
    assert clinic.fix() == []
    assert modes(clinic.user_home) == before
    clinic.home = Path("/")
    assert "it is the root folder" in clinic.findings()["folder"].said
    assert clinic.fix() == []


def test_a_folder_in_which_nothing_is_yet_is_ours(clinic: Clinic, tmp_path: Path) -> None:
    clinic.home = tmp_path / "new"
    (clinic.home / "lost+found").mkdir(parents=True)
    clinic.home.chmod(0o700)
    assert clinic.findings()["folder"].state is State.OK


@pytest.mark.parametrize(
    ("free", "read_only", "may", "said"),
    [
        (LEAST_FREE - 1, False, True, "the disk of /x is full: 10.0 MB are left"),
        (LEAST_FREE, True, False, "/x is on a file system that cannot be written to"),
        (LEAST_FREE, False, False, "/x cannot be written to"),
    ],
)
def test_a_folder_that_cannot_be_written_is_bad(free: int, read_only: bool, may: bool, said: str) -> None:
    found = judge_room(Path("/x"), free, read_only, may)
    assert (found.state, found.said) == (State.BAD, said)
    assert found.why and found.command and not found.fixable


def test_a_file_system_that_does_not_say_how_much_is_free_is_well() -> None:
    assert judge_room(Path("/x"), None, read_only=False, may=True).state is State.OK


def test_room_is_looked_for_where_the_folder_would_be_made(clinic: Clinic, tmp_path: Path) -> None:
    clinic.home = tmp_path / "not" / "there" / "yet"
    assert clinic.findings()["room"].state is State.OK
    assert not (tmp_path / "not").exists()
