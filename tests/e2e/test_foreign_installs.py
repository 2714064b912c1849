"""A mitmproxy that was installed elsewhere loads the script, or says in one line what it lacks, and ends."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from support.proxy import ROOT, SCRIPT, Proxy, clean_environment
from understudy.workstation.reach import ask


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The script as the wheel has it, with a version of its own, in a folder that this Python knows nothing of."""
    package = tmp_path / "elsewhere" / "site-packages" / "understudy"
    shutil.copytree(ROOT / "addon" / "understudy", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__init__.py").write_text('"""The installed package."""\n\n__version__ = "9.8.7"\n')
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for source, target in wheel["force-include"].items():
        shutil.copy(ROOT / source, package.parent / target)
    return package / "script" / "codex.py"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A file that every Python with this `PYTHONPATH` runs as it starts."""
    (tmp_path / "site").mkdir()
    return tmp_path / "site" / "sitecustomize.py"


@pytest.mark.parametrize("program", ["mitmdump", "mitmweb"])
@pytest.mark.parametrize("where", ["checkout", "installed"])
def test_a_missing_dependency_is_one_line_and_the_end(
    installed: Path, site: Path, home: Path, where: str, program: str
) -> None:
    site.write_text("import sys\nsys.modules.update({'jwt': None, 'splintr': None})\n")
    script = installed if where == "installed" else SCRIPT
    command = [str(Path(sys.executable).with_name(program)), "-s", str(script), "--listen-host", "127.0.0.1"]
    done = subprocess.run(
        [*command, "--listen-port", "0", "--set", f"confdir={home.parent / 'confdir'}"],
        env=clean_environment(UNDERSTUDY_HOME=str(home), PYTHONPATH=str(site.parent)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if "Understudy needs" in line]
    assert re.search(r"Understudy needs pyjwt>=2\.8, splintr-rs\S* in \S+, where mitmproxy is; run: .*install", line)


def test_an_installed_script_brings_its_own_package(installed: Path, home: Path, confdir_template: Path) -> None:
    confdir = shutil.copytree(confdir_template, home.parent / "confdir")
    with Proxy(home, confdir, {}, script=installed) as proxy:
        runtime = ask(proxy.port)
    assert runtime is not None
    assert runtime.version == "9.8.7"


def test_an_installed_script_needs_no_package_in_mitmproxy_s_own_place(installed: Path, tmp_path: Path) -> None:
    program = f"import runpy, sys; sys.path.insert(0, {str(installed.parent)!r}); runpy.run_path({str(installed)!r})"
    bare = [each for each in sys.path if each.endswith("site-packages")]
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],  # -S: no .pth file leads to the checkout
        env=clean_environment(UNDERSTUDY_HOME=str(tmp_path), PYTHONPATH=":".join(bare)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_folder_of_an_installed_script_holds_nothing_that_could_be_taken_for_a_library(installed: Path) -> None:
    # mitmproxy puts it first on sys.path.
    assert {path.name for path in installed.parent.iterdir()} == {"codex.py", "understudy.py"}
