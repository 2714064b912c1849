"""The folder that everything lies in is its owner's alone."""

import os
import stat
from pathlib import Path

import pytest

from understudy.state.errors import StateError
from understudy.state.home import home, private_folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_variable_names_the_folder(tmp_path: Path) -> None:
    assert home({"UNDERSTUDY_HOME": str(tmp_path / "mine")}) == tmp_path / "mine"


def test_a_relative_name_becomes_absolute() -> None:
    assert home({"UNDERSTUDY_HOME": "mine"}) == Path.cwd() / "mine"


@pytest.mark.parametrize("environ", [{}, {"UNDERSTUDY_HOME": ""}], ids=["unset", "empty"])
def test_without_the_variable_it_is_the_platforms_folder(environ: dict[str, str]) -> None:
    assert home(environ).name == "understudy"
    assert home(environ).is_absolute()


def test_to_find_the_folder_does_not_make_it(tmp_path: Path) -> None:
    home({"UNDERSTUDY_HOME": str(tmp_path / "mine")})
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_folder_is_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        assert mode(private_folder(tmp_path / "deep" / "mine")) == 0o700
    finally:
        os.umask(before)


@pytest.mark.parametrize("found", [0o755, 0o777, 0o750, 0o500])
def test_a_folder_that_is_open_is_closed(tmp_path: Path, found: int) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine").chmod(found)
    assert mode(private_folder(tmp_path / "mine")) == 0o700


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(StateError, match="UNDERSTUDY_HOME"):
        private_folder(tmp_path / "mine")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_the_folder_of_another_user_is_refused_as_under_sudo(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o700)
    os.chown(tmp_path / "mine", 12345, 12345)
    with pytest.raises(StateError, match="another user"):
        private_folder(tmp_path / "mine")
