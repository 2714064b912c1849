"""The logs of proxies in the background: private, bounded, and good for telling why one did not start."""

import os
from pathlib import Path

from understudy.workstation.logs import KEPT, LARGEST, opened, why


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
    assert len(list(path.parent.iterdir())) == KEPT + 1


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
