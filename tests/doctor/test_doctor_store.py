"""The doctor on what is kept: the pool, the figures, what was set aside."""

import json
from dataclasses import replace

from support.clinic import Clinic
from support.logins import account
from understudy.doctor.check import State
from understudy.state.quota import QuotaCache


def test_a_pool_that_cannot_be_read_is_bad_and_stays_where_it_is(clinic: Clinic) -> None:
    path = clinic.home / "accounts.json"
    path.write_bytes(path.read_bytes()[:-40])
    found = clinic.alone("accounts file")
    assert f"{path} cannot be used: it is not JSON" in found.said
    assert found.command == "understudy accounts quarantine"
    assert path.exists()


def test_a_pool_that_is_gone_while_its_backup_is_there_is_bad(clinic: Clinic) -> None:
    (clinic.home / "accounts.json").unlink()
    assert "its backup is there" in clinic.alone("accounts file").said


def test_a_pool_of_a_later_version_is_bad(clinic: Clinic) -> None:
    path = clinic.home / "accounts.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 99}))
    assert clinic.alone("accounts file").command.endswith("-m pip install --upgrade understudy")


def test_what_was_set_aside_is_a_warning(clinic: Clinic) -> None:
    folder = clinic.home / "quarantine"
    folder.mkdir(mode=0o700)
    (folder / "accounts.json.20261121T140500.123456789").touch(mode=0o600)
    assert clinic.alone("quarantine", State.WARN).said == "1 unreadable file was set aside"


def test_figures_that_cannot_be_read_are_a_warning(clinic: Clinic) -> None:
    (clinic.home / "quota.json").write_text("{")
    assert "understudy accounts check" in clinic.alone("figures", State.WARN).command


def test_figures_that_stay_behind_the_requests_are_a_warning_while_a_proxy_runs(clinic: Clinic) -> None:
    ada = account("ada", expires_at=clinic.now + 3600)
    clinic.set_accounts(ada)
    cache = QuotaCache(clinic.home)
    clinic.now += 3600
    cache.record([], (replace(ada, last_used_at=clinic.now - 1),))
    clinic.healthy()
    with clinic.proxy():
        found = clinic.alone("figures", State.WARN)
    assert "the figures of ada are more than 10 min older than the last request there" in found.said


def test_figures_of_an_idle_account_may_be_of_any_age(clinic: Clinic) -> None:
    clinic.now += 86400 * 30
    clinic.set_accounts(account("ada", expires_at=clinic.now + 3600))
    with clinic.proxy():
        assert clinic.findings()["figures"].state is State.OK
