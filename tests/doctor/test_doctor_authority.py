"""The doctor on the certificate authority: there, constrained, in date, in step, and trusted where it is said to be."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from support.clinic import HOSTS, Clinic
from understudy.doctor import authority as doctor
from understudy.doctor.authority import judge_stores
from understudy.doctor.check import State
from understudy.doctor.pem import certificates, content
from understudy.workstation.authority import Authority, new_authority, read_authority
from understudy.workstation.confdir import Confdir
from understudy.workstation.keeping import ensure, rotate
from understudy.workstation.trust import Facts, label

DAY = 86400


def ours(clinic: Clinic) -> Authority:
    return read_authority(clinic.confdir.authority.read_bytes())


def facts(anchors: Mapping[str, bytes] | None = None, nss: tuple[str, ...] = ()) -> Facts:
    return Facts("Linux", 0, frozenset(), frozenset(), anchors or {}, {"/home/ada/.pki/nssdb": nss} if nss else {})


def test_none_yet_is_a_warning_and_is_made(clinic: Clinic) -> None:
    for path in clinic.confdir.path.iterdir():
        path.unlink()
    found = clinic.alone("authority", State.WARN)
    assert (found.fixable, found.command) == (True, "understudy ca create")
    confdir = clinic.confdir
    assert clinic.fix() == [f"wrote {path}" for path in (confdir.authority, confdir.certificate, confdir.bundle)]
    clinic.healthy()


def test_one_whose_key_is_gone_is_bad(clinic: Clinic) -> None:
    clinic.confdir.authority.unlink()
    assert "the key of the certificate authority is gone" in clinic.alone("authority").said


def test_one_that_cannot_be_read_is_bad(clinic: Clinic) -> None:
    clinic.confdir.authority.write_text("no PEM")
    found = clinic.alone("authority")
    assert (found.command, found.fixable) == ("understudy ca rotate", False)


def test_one_that_may_sign_for_every_host_is_bad(clinic: Clinic, confdir_template: Path) -> None:
    stock = (confdir_template / "mitmproxy-ca.pem").read_bytes()
    clinic.confdir.authority.write_bytes(stock)
    for path in (clinic.confdir.certificate, clinic.confdir.bundle):
        path.write_bytes(path.read_bytes() + (confdir_template / "mitmproxy-ca-cert.pem").read_bytes())
    found = clinic.alone("authority")
    assert "It can sign for any host" in found.said
    assert found.command == "understudy ca rotate"
    clinic.fix()
    assert clinic.confdir.authority.read_bytes() == stock  # Programs may have been made to trust it.


def test_one_that_is_not_for_our_hosts_is_bad(clinic: Clinic) -> None:
    clinic.confdir.config.write_text("codex_hosts: llm.example.com\n")
    clinic.confdir.config.chmod(0o600)
    assert "It cannot sign for llm.example.com" in clinic.alone("authority").said


def test_one_that_has_ended_is_bad_and_one_that_is_about_to_a_warning(clinic: Clinic) -> None:
    clinic.now += 340 * DAY
    assert "It ends in 24 days." in clinic.alone("authority", State.WARN).said
    clinic.now += 30 * DAY
    assert "It expired on" in clinic.alone("authority").said


def test_a_certificate_of_another_authority_is_bad_and_is_written_anew(clinic: Clinic, tmp_path: Path) -> None:
    other = Confdir(tmp_path / "other")
    ensure(other, HOSTS, clinic.now)
    clinic.confdir.certificate.write_bytes(other.certificate.read_bytes())
    found = clinic.alone("certificates")
    assert "the certificate that programs are pointed to" in found.said
    assert clinic.fix() == [f"wrote {clinic.confdir.certificate}"]
    clinic.healthy()


def test_a_bundle_that_is_gone_is_bad_and_is_written_anew(clinic: Clinic) -> None:
    clinic.confdir.bundle.unlink()
    assert "the bundle that programs are pointed to" in clinic.alone("certificates").said
    assert clinic.fix() == [f"wrote {clinic.confdir.bundle}"]
    clinic.healthy()


def test_a_bundle_with_nothing_but_our_certificate_is_a_warning(clinic: Clinic) -> None:
    clinic.confdir.bundle.write_bytes(clinic.confdir.certificate.read_bytes())
    assert "none of the system's" in clinic.alone("certificates", State.WARN).said


def test_a_running_proxy_with_mitmproxy_s_own_authority_is_a_warning(clinic: Clinic, confdir_template: Path) -> None:
    with clinic.proxy(confdir=str(confdir_template)):
        found = clinic.alone("authority in use", State.WARN)
    assert str(confdir_template) in found.said
    assert "It can sign for any host" in found.said


def test_a_running_proxy_with_another_authority_than_the_files_is_bad(clinic: Clinic) -> None:
    with clinic.proxy(authority=ours(clinic).fingerprint):
        clinic.healthy()
        rotate(clinic.confdir, HOSTS, clinic.now)
        found = clinic.alone("authority in use")
    assert "a running proxy has another authority than the one in the files" in found.said
    assert found.command == "understudy restart"


def test_an_older_authority_that_is_trusted_still_is_bad(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    old = ours(clinic)
    rotate(clinic.confdir, HOSTS, clinic.now)
    anchor = "/usr/local/share/ca-certificates/understudy-0-0badcafe.crt"
    monkeypatch.setattr(doctor, "look", lambda _: facts({anchor: old.certificate}))
    found = clinic.alone("trust")
    assert anchor in found.said
    assert found.command == "understudy ca trust --system"


def test_an_older_authority_in_a_browser_s_store_is_bad(clinic: Clinic) -> None:
    found = judge_stores(facts(nss=("Understudy 0badcafe", label(ours(clinic)))), ours(clinic), frozenset())
    assert (found.state, "Understudy 0badcafe" in found.said) == (State.BAD, True)


def test_one_that_was_given_to_the_system_and_is_not_among_its_roots_is_bad(clinic: Clinic) -> None:
    given = facts({"/usr/local/share/ca-certificates/understudy.crt": ours(clinic).certificate})
    others = certificates(new_authority(HOSTS, clinic.now))
    assert judge_stores(given, ours(clinic), others).state is State.BAD
    assert judge_stores(given, ours(clinic), others | certificates(ours(clinic).certificate)).state is State.OK
    assert judge_stores(given, ours(clinic), frozenset()).state is State.OK  # Its roots are in no file.


def test_a_certificate_is_found_however_its_lines_are_broken(clinic: Clinic) -> None:
    pem = content(clinic.confdir.certificate)
    assert certificates(pem.replace(b"\n", b"\r\n")) == certificates(b"# words\n" + pem) != frozenset()
    assert content(clinic.home / "absent") == b""
