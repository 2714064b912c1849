"""The shape of the house: which part may know which, what lies where, and what a quick command does not load."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.proxy import ROOT, clean_environment

PACKAGE = ROOT / "addon" / "understudy"
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))

MAY_IMPORT = {
    "wire": {"wire"},
    "pool": {"pool", "wire"},
    "oauth": {"oauth", "pool", "wire"},
    "state": {"state", "oauth", "pool", "wire"},
    "proxy": {"proxy", "state", "oauth", "pool", "wire"},
    "workstation": {"workstation", "state", "oauth", "pool", "wire"},
    "doctor": {"doctor", "workstation", "proxy", "state", "oauth", "pool", "wire"},
    "cli": {"cli", "doctor", "workstation", "proxy", "sandbox", "state", "oauth", "pool", "wire"},
    "sandbox": {"sandbox", "wire"},
    "script": set(),
}
"""The arrows: cli -> doctor -> workstation, proxy -> state -> oauth -> pool -> wire. The sandbox stands alone, so that
it checks the rest.
"""

SHELL_IN_CORE = {Path("oauth/client.py"), Path("oauth/callback.py"), Path("oauth/port_holder.py")}
"""The modules beside the core that speak to the network."""

NOT_IN_CORE = {
    "asyncio",
    "filelock",
    "httpx",
    "logging.handlers",
    "mitmproxy",
    "multiprocessing",
    "os",
    "pathlib",
    "secrets",
    "shutil",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib.request",
}
"""No I/O, no clock, no mitmproxy in the core: `now` and `random.Random` are arguments."""

TOP = {
    "LICENSE",
    "README.md",
    "addon",
    "certs",
    "docs",
    "pyproject.toml",
    "scripts",
    "tests",
}


def imports(module: Path) -> Iterator[str]:
    """The names that a module of ours imports, relative imports excluded by the house's rules."""
    for node in ast.walk(ast.parse((PACKAGE / module).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_core(module: Path) -> bool:
    return module.parts[0] in ("wire", "pool", "oauth") and module not in SHELL_IN_CORE


@pytest.mark.parametrize("module", [module for module in MODULES if len(module.parts) > 1], ids=str)
def test_arrows_go_one_way(module: Path) -> None:
    known = {name.split(".")[1] for name in imports(module) if name.startswith("understudy.")}
    strangers = {part for part in known if (PACKAGE / part).is_dir()} - MAY_IMPORT[module.parts[0]]
    assert strangers == set(), f"{module} must not know {strangers}"


@pytest.mark.parametrize("module", [module for module in MODULES if is_core(module)], ids=str)
def test_the_core_has_no_io_no_clock_and_no_mitmproxy(module: Path) -> None:
    found = {name for name in imports(module) if name in NOT_IN_CORE or name.partition(".")[0] in NOT_IN_CORE}
    assert found == set()


@pytest.mark.parametrize("module", [module for module in MODULES if is_core(module)], ids=str)
def test_the_core_reads_no_clock_by_another_name(module: Path) -> None:
    calls = (node.func for node in ast.walk(ast.parse((PACKAGE / module).read_text())) if isinstance(node, ast.Call))
    names = {call.attr for call in calls if isinstance(call, ast.Attribute)}
    assert names & {"now", "utcnow", "today", "monotonic", "urandom", "system"} == set()


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_says_what_it_is_responsible_for(module: Path) -> None:
    doc = ast.get_docstring(ast.parse((PACKAGE / module).read_text()))
    assert doc is not None and doc.splitlines()[0].endswith((".", ":"))


def test_no_module_is_long_and_most_are_short() -> None:
    lengths = sorted(len((PACKAGE / module).read_text().splitlines()) for module in MODULES)
    assert lengths[-1] <= 420
    assert lengths[len(lengths) // 2] <= 150


def test_the_addon_s_folder_holds_the_script_and_the_package_alone() -> None:
    # mitmproxy puts this folder first on sys.path: anything else in it could be taken for a library's module.
    assert tracked("addon") == {"codex.py", "understudy"}


def test_the_script_is_a_docstring_an_import_and_a_list() -> None:
    kinds = [type(node) for node in ast.parse((ROOT / "addon" / "codex.py").read_text()).body]
    assert kinds == [ast.Expr, ast.ImportFrom, ast.Assign]


def test_the_top_level_holds_what_it_should() -> None:
    assert {name for name in tracked(".") if not name.startswith(".")} == TOP


@pytest.mark.parametrize(
    "arguments", [["status"], ["status", "--json"], ["version"], ["--help"], ["accounts", "--help"]], ids=" ".join
)
def test_a_quick_command_loads_nothing_slow(tmp_path: Path, arguments: list[str]) -> None:
    slow = ("mitmproxy", "pydantic", "httpx", "keyring", "jwt", "starlette", "hypercorn", "cryptography", "zstandard")
    script = (
        "import sys\n"
        "from understudy.cli.main import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "except SystemExit:\n"
        "    pass\n"
        f"print([name for name in {slow!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=clean_environment(UNDERSTUDY_HOME=str(tmp_path / "home")),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stderr.splitlines()[-1] == "[]", done.stderr


def tracked(folder: str) -> set[str]:
    """What lies in a folder, without what tools leave behind."""
    names = {path.name for path in (ROOT / folder).iterdir()}
    left_behind = {"__pycache__", "build", "dist", "node_modules"}
    return {name for name in names - left_behind if not name.endswith((".egg-info", ".pyc"))}
