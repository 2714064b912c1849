"""What shells evaluate: any value comes out of a real shell as it was."""

import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.proxy import clean_environment
from understudy.workstation.shells import SHELLS, how_to_evaluate, render, shell_named

REAL = ("sh", "bash", "zsh", "fish")
values = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.text("'\"\\$`!*?~{}[]();&|<>#%^=\n\r\t -\u2018\u2019a"),
)


def evaluated(shell: str, text: str, name: str, **environ: str) -> bytes | None:
    """The value of the variable in a program that the shell starts after it has evaluated `text`; None: not there."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} IS NOT TESTED: not installed")
    see = f"env -0 | grep -az '^{name}=' || true"
    how = f'eval "$TEXT"; {see}' if shell != "fish" else f"printf %s $TEXT | source; {see}"
    command = [program, "--no-config"] if shell == "fish" else [program, "-f"] if shell == "zsh" else [program]
    done = subprocess.run(
        [*command, "-c", how], env=clean_environment(TEXT=text, **environ), capture_output=True, check=True, timeout=20
    )
    assert done.stderr == b""
    found = done.stdout.removesuffix(b"\0")
    return found.removeprefix(f"{name}=".encode()) if found else None


@pytest.mark.parametrize("shell", REAL)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=values)
def test_any_value_survives(shell: str, value: str) -> None:
    assert evaluated(shell, render({"A_VALUE": value}, shell), "A_VALUE") == value.encode()


@pytest.mark.parametrize("shell", REAL)
def test_bytes_that_are_no_text_survive(shell: str) -> None:
    value = b"/home/\xff\xfe".decode(errors="surrogateescape")
    text = render({"A_VALUE": value}, shell)
    assert evaluated(shell, text, "A_VALUE") == b"/home/\xff\xfe"


@pytest.mark.parametrize("shell", REAL)
def test_a_variable_goes(shell: str) -> None:
    assert evaluated(shell, render({"A_VALUE": None}, shell), "A_VALUE", A_VALUE="there") is None


def test_powershell_s_text() -> None:
    text = render({"A": "it's $HOME\\x", "B": "\u2018typographic\u2019 \u201aquotes\u201b", "C": None}, "pwsh")
    assert text == (
        "$env:A = 'it''s $HOME\\x'\n"
        "$env:B = '\u2018\u2018typographic\u2019\u2019 \u201a\u201aquotes\u201b\u201b'\n"
        "Remove-Item Env:C -ErrorAction SilentlyContinue\n"
    )


def test_every_shell_is_told_how_to_evaluate_it() -> None:
    assert all("understudy env" in how_to_evaluate(shell) for shell in SHELLS)


@pytest.mark.parametrize(
    ("program", "shell"),
    [
        ("zsh", "zsh"),
        ("-bash\n", "bash"),
        ("/usr/bin/fish", "fish"),
        ("dash", "sh"),
        ("pwsh.exe", "pwsh"),
        ("tcsh", None),
        ("python3", None),
        ("", None),
    ],
)
def test_a_program_s_name_tells_the_shell(program: str, shell: str | None) -> None:
    assert shell_named(program) == shell
