"""The doctor on Understudy's folder: that it is the user's alone, and what the dead have left in it."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from support.clinic import Clinic
from understudy.doctor.check import State
from understudy.doctor.folder import Seen, judge
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
    link = clinic.home / "planted.json"
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
    assert clinic.alone("folder").command == f"chmod -R go= '{tmp_path}/Application Support'"


def test_a_second_name_of_a_file_is_bad(clinic: Clinic, tmp_path: Path) -> None:
    (tmp_path / "second").hardlink_to(clinic.home / "accounts.json")
    assert "has another name elsewhere" in clinic.alone("folder").said


def test_what_belongs_to_another_user_is_bad(clinic: Clinic) -> None:
    root = Seen(clinic.home, stat.S_IFDIR | 0o700, 0)
    found = judge((root, Seen(clinic.home / "accounts.json", stat.S_IFREG | 0o600, 12)), 0, clinic.confdir)
    assert found.state is State.BAD
    assert not found.fixable
    assert found.command == f"sudo chown -R $(id -u) {clinic.home}"


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
