"""Certificates of several files in one: all of them, and nothing else."""

from pathlib import Path

import pytest
import trustme

from understudy.state.errors import StateError
from understudy.workstation.joining import join


def pem(authority: trustme.CA) -> bytes:
    return authority.cert_pem.bytes()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "home" / "mitmproxy" / "joined.pem"


def test_files_and_folders_are_put_together_each_certificate_once(tmp_path: Path, target: Path) -> None:
    one, two, three = trustme.CA(), trustme.CA(), trustme.CA()
    (tmp_path / "one.pem").write_bytes(b"words\n" + pem(one) + pem(two))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "hash.0").write_bytes(pem(two).rstrip(b"\n"))
    (tmp_path / "folder" / "other.crt").write_bytes(pem(three))
    (tmp_path / "folder" / "deeper").mkdir()
    join({target: (tmp_path / "one.pem", tmp_path / "folder")})
    assert target.read_bytes() == pem(one) + pem(two) + pem(three)
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_private_key_stays_behind(tmp_path: Path, target: Path) -> None:
    authority = trustme.CA()
    (tmp_path / "both.pem").write_bytes(authority.private_key_pem.bytes() + pem(authority))
    join({target: (tmp_path / "both.pem",)})
    assert target.read_bytes() == pem(authority)


def test_what_cannot_be_read_is_left_out(tmp_path: Path, target: Path) -> None:
    (tmp_path / "there.pem").write_bytes(pem(authority := trustme.CA()))
    join({target: (tmp_path / "gone.pem", tmp_path / "there.pem")})
    assert target.read_bytes() == pem(authority)


def test_a_file_that_is_right_is_not_written_again(tmp_path: Path, target: Path) -> None:
    (tmp_path / "there.pem").write_bytes(pem(trustme.CA()))
    join({target: (tmp_path / "there.pem",)})
    before = target.stat().st_ino
    join({target: (tmp_path / "there.pem",)})
    assert target.stat().st_ino == before
    (tmp_path / "there.pem").write_bytes(pem(trustme.CA()))
    join({target: (tmp_path / "there.pem",)})
    assert target.read_bytes() == (tmp_path / "there.pem").read_bytes()


def test_a_link_that_somebody_planted_is_refused(tmp_path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError):
        join({target: ()})
