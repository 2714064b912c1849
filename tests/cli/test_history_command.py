"""`understudy history`: what is kept is told without a word of it, and wiped."""

from pathlib import Path

import pytest

from support.terminal import Understudy
from understudy.state.answers.disk import NAME
from understudy.state.answers.store import Answers, Mode
from understudy.state.running import Running
from understudy.wire.stored import Stored


def fill(home: Path, mode: Mode = Mode.DISK) -> Answers:
    answers = Answers(home, mode)
    answers.put(Stored("resp_1", 1000.0, given=('{"role":"user","content":"s3cret"}',)))
    answers.begin_conversation('{"topic":"s3cret"}', ['{"role":"user","content":"s3cret"}'])
    assert answers.flush()
    return answers


def test_an_empty_history_says_so_and_makes_nothing(understudy: Understudy, home: Path) -> None:
    said = understudy("history")
    assert (said.code, said.lines) == (0, ["on disk: nothing", "no proxy is running"])
    assert understudy("history", "--json").json == {"version": 1, "disk": None, "proxies": []}
    assert not home.exists()


def test_it_says_how_much_is_kept_and_where_and_nothing_of_it(understudy: Understudy, home: Path) -> None:
    fill(home).close()
    said = understudy("history", "show")
    assert said.code == 0
    assert "on disk: 1 response, 1 conversation, the oldest" in said.out
    assert str(home / NAME) in said.out
    assert "s3cret" not in said.words
    disk = understudy("history", "show", "--json").json["disk"]
    assert (disk["responses"], disk["conversations"], disk["oldest_at"]) == (1, 1, 1000.0)
    assert disk["bytes"] > 0


@pytest.mark.parametrize(
    ("told", "mode", "words"),
    [
        ({"history": "memory"}, "memory", "in its own memory"),
        ({"history": "disk"}, "disk", "on disk"),
        ({"history": "off"}, "off", "keeps no answers"),
        ({}, None, "does not say"),
        ({"history": ["new"]}, None, "does not say"),
    ],
)
def test_it_says_where_a_running_proxy_keeps_its_answers(
    understudy: Understudy, home: Path, told: dict[str, object], mode: str | None, words: str
) -> None:
    running = Running(home)
    running.tell(told)
    assert words in understudy("history").words
    (proxy,) = understudy("history", "--json").json["proxies"]
    assert proxy["mode"] == mode
    running.end()


@pytest.mark.parametrize("mode", [Mode.MEMORY, Mode.DISK])
def test_clearing_wipes_the_file_and_what_a_running_proxy_remembers(
    understudy: Understudy, home: Path, mode: Mode
) -> None:
    answers = fill(home, mode)
    assert answers.get("resp_1") is not None
    said = understudy("history", "clear", "--yes")
    assert (said.code, said.lines) == (0, ["deleted all answers and conversations that were kept"])
    assert answers.get("resp_1") is None
    answers.close()
    assert all(b"s3cret" not in path.read_bytes() for path in home.iterdir() if path.is_file())


def test_nothing_is_cleared_unless_the_user_says_so(understudy: Understudy, home: Path) -> None:
    fill(home).close()
    said = understudy("history", "clear")
    assert said.code == 1 and "--yes" in said.err
    assert understudy("history", "--json").json["disk"]["responses"] == 1


def test_a_file_that_cannot_be_read_is_named_with_what_to_do(understudy: Understudy, home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / NAME).write_bytes(b"no database. " * 1000)
    said = understudy("history")
    assert said.code == 1
    assert f"{home / NAME} cannot be read" in said.err and "understudy history clear" in said.err
    assert understudy("history", "clear", "--yes").code == 0
    assert understudy("history").code == 0
