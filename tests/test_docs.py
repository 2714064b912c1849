"""The README says what the program does: help, options and exit codes are compared with it."""

import re
from pathlib import Path

import pytest

from understudy.cli.main import parser
from understudy.proxy.options import OPTIONS

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def block(name: str) -> str:
    found = re.search(rf"<!-- begin {name} -->\n(.*)<!-- end {name} -->", README, re.DOTALL)
    assert found is not None
    return found[1].strip()


def options_table() -> str:
    rows = [f"| `{o.name}` | `{o.default if o.default != '' else ' '}` | {o.help} |" for o in OPTIONS]
    return "\n".join(["| option | default | what it does |", "|---|---|---|", *rows])


def test_the_help_in_the_readme_is_what_help_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert block("help") == f"```\n$ understudy --help\n{parser().format_help().strip()}\n```"


def test_the_options_in_the_readme_are_all_there_are() -> None:
    assert block("options") == options_table()


def test_the_exit_codes_in_the_readme_are_those_of_the_help() -> None:
    assert "exit codes: 0 done, 1 could not, 2 wrong use" in parser().format_help()
    assert all(f"| {code} | " in README for code in (0, 1, 2))
