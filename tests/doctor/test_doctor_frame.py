"""The frame of the doctor: every check is told, whatever one of them does, and looking changes nothing."""

import os
import time
from pathlib import Path

from support.clinic import Clinic
from understudy.doctor.check import Check, State, bad, examine, healthy, ok, warn
from understudy.doctor.checks import all_checks, as_object, look


def test_a_check_that_raises_is_a_finding_without_the_exception_s_words() -> None:
    def broken(_: object) -> None:
        raise RuntimeError("s3cret")

    (_, first), (_, second) = examine((Check("one", broken), Check("two", lambda _: ok("fine"))), None)  # type: ignore[arg-type]
    assert first.result.state is State.BAD
    assert first.result.said.startswith("the check itself failed (RuntimeError at broken:")
    assert "s3cret" not in str(first)
    assert second.result.state is State.OK


def test_what_needs_a_package_that_is_missing_cannot_be_told() -> None:
    def needs(_: object) -> None:
        import no_such_package.part  # type: ignore[import-not-found]  # noqa: F401

    check = Check("one", needs)  # type: ignore[arg-type]
    ((_, found),) = examine((check,), None, missing=("no_such_package",))
    assert (found.result.state, found.result.said) == (State.SKIPPED, "cannot be told without no_such_package")
    ((_, found),) = examine((check,), None)
    assert found.result.state is State.BAD


def test_only_a_check_that_can_mend_says_that_it_can() -> None:
    broken = bad("it is", "so", "do", fixable=True)
    checks: tuple[Check[None], ...] = (Check("one", lambda _: broken), Check("two", lambda _: broken, lambda _: ()))
    assert [found.result.fixable for _, found in examine(checks, None)] == [False, True]


def test_warnings_are_healthy() -> None:
    found = [finding for _, finding in examine((Check("one", lambda _: warn("a", "b", "c")),), None)]
    assert healthy(found)
    told = as_object(found, ["did it"])
    assert told == {
        "version": 1,
        "healthy": True,
        "checks": [{"name": "one", "state": "warn", "said": "a", "why": "b", "command": "c", "fixable": False}],
        "fixed": ["did it"],
    }


def test_nothing_is_wrong_with_a_healthy_installation(clinic: Clinic) -> None:
    names = [check.name for check in all_checks()]
    assert list(clinic.healthy()) == names
    assert len(set(names)) == len(names)
    with clinic.proxy() as proxy:
        clinic.environ |= {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}", "SSL_CERT_FILE": str(clinic.confdir.bundle)}
        found = clinic.healthy()
    assert [name for name, result in found.items() if result.state is State.SKIPPED] == ["transparent mode"]


def test_to_look_changes_nothing(clinic: Clinic) -> None:
    """Be it that everything is wrong: files that are open, unreadable, or left by the dead."""
    (clinic.home / "accounts.json").write_text("{")
    (clinic.home / "accounts.json").chmod(0o644)
    (clinic.home / "quota.json").chmod(0o666)
    clinic.confdir.bundle.unlink()
    running = clinic.home / "running"
    running.mkdir(mode=0o755)
    for kind in ("json", "lock"):
        (running / f"4711-0123456789abcdef.{kind}").write_text("{}")
    before = _all_of(clinic.home)
    assert clinic.findings()["leftovers"].state is State.WARN
    assert _all_of(clinic.home) == before


def test_to_look_is_quick(clinic: Clinic) -> None:
    clinic.findings()  # What is imported takes longer, once.
    began = time.process_time()
    clinic.findings()
    assert time.process_time() - began < 0.5


def test_the_order_is_that_in_which_things_break(clinic: Clinic) -> None:
    order = ["python", "mitmproxy", "folder", "accounts file", "accounts", "clock", "authority", "port", "proxy"]
    order += ["shell: proxy", "shell: trust", "transparent mode", "figures", "shared logins", "config file"]
    names = [finding.name for finding in look(clinic.machine())]
    assert [each for each in names if each in order] == order


def _all_of(folder: Path) -> dict[str, object]:
    return {
        str(path): (found.st_mode, found.st_mtime_ns, found.st_ino, path.read_bytes() if path.is_file() else b"")
        for path in (folder, *folder.rglob("*"))
        if (found := os.lstat(path))
    }
