"""The doctor with `--live`: the backend's clock, and whether it takes the logins. Asked of a sandbox on loopback."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from support.clinic import Clinic
from support.command import free_port
from support.members import member
from understudy.doctor import live
from understudy.doctor.check import Result, State
from understudy.doctor.clock import judge_against
from understudy.oauth.usage import Finding, Verdict
from understudy.proxy.options import read_offline
from understudy.sandbox.server import Sandbox

SCENARIO: dict[str, object] = {"accounts": {"work": {}, "old": {"first_life": 0}}}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PAUSE", 0.0)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SCENARIO) as running:
        yield running


def ask(clinic: Clinic, backend: str, tmp_path: Path) -> Mapping[str, Result]:
    settings = read_offline([f"codex_backend={backend}"], str(tmp_path / "none"))
    return {check.name: check.look(clinic.machine()) for check in live.checks(settings)}


def test_a_clock_and_logins_that_the_backend_takes_are_well(clinic: Clinic, sandbox: Sandbox, tmp_path: Path) -> None:
    clinic.set_accounts(member(sandbox, "work"))
    found = ask(clinic, sandbox.backend, tmp_path)
    assert {result.state for result in found.values()} == {State.OK}, found


def test_a_backend_with_another_time_is_bad(
    clinic: Clinic, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late:
        def time(self) -> float:
            return time.time() + 3600

        def sleep(self, seconds: float) -> None: ...

    clinic.set_accounts(member(sandbox, "work"))
    monkeypatch.setattr(live, "time", Late())
    found = ask(clinic, sandbox.backend, tmp_path)["live: clock"]
    assert found.state is State.BAD
    assert "s fast, by what 127.0.0.1 says" in found.said


@pytest.mark.parametrize(("off", "state"), [(59, State.OK), (-59, State.OK), (61, State.BAD), (-61, State.BAD)])
def test_a_minute_is_allowed(off: int, state: State) -> None:
    assert judge_against(1000.0, 1000.0 + off, "chatgpt.com").state is state


def test_a_backend_that_cannot_be_reached_is_bad(clinic: Clinic, tmp_path: Path) -> None:
    found = ask(clinic, f"http://127.0.0.1:{free_port()}/codex", tmp_path)
    assert found["live: clock"].state is State.BAD
    assert "127.0.0.1 cannot be reached" in found["live: clock"].said


def test_a_login_that_was_ended_is_a_warning_beside_one_that_works_and_bad_alone() -> None:
    ended, works = Finding(Verdict.NEEDS_LOGIN, "ended"), Finding(Verdict.WORKS)
    assert live.judge_logins([("work", works), ("old", ended)]).state is State.WARN
    assert live.judge_logins([("old", ended)]).state is State.BAD
    assert live.judge_logins([]).state is State.SKIPPED


def test_an_access_token_that_has_ended_is_a_warning(clinic: Clinic, sandbox: Sandbox, tmp_path: Path) -> None:
    old = member(sandbox, "old")
    clinic.set_accounts(replace(old, tokens=replace(old.tokens, expires_at=clinic.now - 1)))
    found = ask(clinic, sandbox.backend, tmp_path)["live: logins"]
    assert found.state is State.WARN
    assert "its access token has expired" in found.said


def test_disabled_accounts_are_not_asked(clinic: Clinic, sandbox: Sandbox, tmp_path: Path) -> None:
    clinic.set_accounts(replace(member(sandbox, "work"), enabled=False))
    assert ask(clinic, sandbox.backend, tmp_path)["live: logins"].state is State.SKIPPED
    assert not [entry for entry in sandbox.journal.entries() if "usage" in entry.path]
