"""The lists of models outlast the process: byte for byte, within bounds, and never an error."""

import json
import logging
import stat
from pathlib import Path

import pytest

from understudy.state.catalogue import MOST_BYTES, MOST_VERSIONS, CatalogueFile, Copy, bounded

BODY = '{"models": [{"slug":"gpt-5.5",  "n":1.0, "odd":"\\ud800 é 漢"}]}'


def copy(name: str = "ada", version: str = "0.1.0", etag: str = 'W/"1"', body: str = BODY) -> Copy:
    return Copy(f"acct_{name}", version, etag, body)


@pytest.fixture
def file(tmp_path: Path) -> CatalogueFile:
    return CatalogueFile(tmp_path / "home")


def test_what_was_noted_is_read_as_it_was(file: CatalogueFile) -> None:
    file.note(copy())
    file.note(copy("bob", etag=""))
    assert CatalogueFile(file.path.parent).read() == (copy(), copy("bob", etag=""))


def test_it_is_the_owner_s_alone(file: CatalogueFile) -> None:
    file.note(copy())
    assert file.path.name == "models.json"
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_a_newer_copy_takes_the_place_of_the_one_before(file: CatalogueFile) -> None:
    for etag, name in (("1", "ada"), ("1", "bob"), ("2", "ada")):
        file.note(copy(name, etag=etag))
    assert file.read() == (copy("bob", etag="1"), copy(etag="2"))


def test_accounts_with_the_same_list_share_it(file: CatalogueFile) -> None:
    for name in ("ada", "bob", "cid"):
        file.note(copy(name))
    assert len(json.loads(file.path.read_text())["bodies"]) == 1


def test_of_an_account_the_newest_versions_are_kept() -> None:
    copies = [copy(version=str(n)) for n in range(10)]
    assert bounded([copy("bob"), *copies]) == (copy("bob"), *copies[-MOST_VERSIONS:])


def test_of_too_much_the_newest_is_kept() -> None:
    first, second, third = (copy(name, body=name[0] * (MOST_BYTES // 2)) for name in ("ada", "bob", "cid"))
    assert bounded([first, second, third]) == (second, third)
    assert bounded([copy(body="x" * (MOST_BYTES + 1))]) == ()


def test_where_there_is_no_file_there_are_no_copies(file: CatalogueFile, caplog: pytest.LogCaptureFixture) -> None:
    assert file.read() == ()
    assert caplog.records == []


ROW = '{"account": "a", "client_version": "1", "etag": "", "body": "b"}'


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"version": 2, "bodies": {}, "copies": []}',
        '{"version": 1, "bodies": {}}',
        f'{{"version": 1, "bodies": {{}}, "copies": [{ROW}]}}',
        f'{{"version": 1, "bodies": {{"b": 7}}, "copies": [{ROW}]}}',
    ],
)
def test_what_cannot_be_read_is_left_aside_with_a_warning_and_written_anew(
    file: CatalogueFile, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    file.path.parent.mkdir()
    file.path.write_text(content)
    with caplog.at_level(logging.WARNING):
        assert file.read() == ()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    file.note(copy())
    assert file.read() == (copy(),)


def test_what_cannot_be_written_is_told_and_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "home").write_text("no folder")
    CatalogueFile(tmp_path / "home").note(copy())
    assert "a list of models is not kept" in caplog.text
