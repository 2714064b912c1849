"""The README says what the program does: help, options and exit codes are compared with it."""

import re
from pathlib import Path

import pytest

from understudy.cli.main import parser
from understudy.pool.account import Ground
from understudy.pool.policy import MAX_ACCOUNTS, ROWS, Row
from understudy.proxy.options import OPTIONS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
POLICY = (ROOT / "docs/policy.md").read_text()


def block(name: str, text: str = README) -> str:
    found = re.search(rf"<!-- begin {name} -->\n(.*)<!-- end {name} -->", text, re.DOTALL)
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


def rows_table() -> str:
    rows = [
        f"| {kind.value} | `{kind.code}` | {row.again.value if row.again else '-'} | {_others(row)} | {_rest(row)} |"
        for kind, row in ROWS.items()
    ]
    head = "| outcome | code | the same account once more | other accounts | the account |"
    return "\n".join([head, "|---|---|---|---|---|", *rows])


def _others(row: Row) -> str:
    return "as long as there are" if row.others >= MAX_ACCOUNTS else str(row.others or "-")


def _rest(row: Row) -> str:
    match row.ground:
        case None:
            return "needs a login" if row.kills else "-"
        case Ground.LIMIT:
            return "rests until the reset"
        case Ground.ENTITLEMENT:
            return f"is not asked for this model for {row.rest / 60:.0f} min"
        case Ground.LOGIN:
            return f"rests {row.rest:.0f} s"
        case _:
            return f"cools {row.rest:.0f} s, or as long as Retry-After says" if row.rest else "cools for a Retry-After"


def test_the_table_of_outcomes_in_the_docs_is_the_one_that_decides() -> None:
    assert block("rows", POLICY) == rows_table()
