"""The authority in its folder: made once, never replaced behind the user's back, its key for nobody's eyes."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import certifi
import pytest

from support.proxy import clean_environment
from understudy.state.errors import StateError
from understudy.wire.text import DAY
from understudy.workstation import keeping
from understudy.workstation.authority import SOON, new_authority
from understudy.workstation.confdir import Confdir
from understudy.workstation.keeping import ensure, file_faults, load, rotate, system_roots, write_bundle

HOST = frozenset({"api.openai.com"})
NOW = time.time()
ROOT = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.fixture
def confdir(home: Path) -> Confdir:
    return Confdir(home)


@pytest.fixture(autouse=True)
def no_roots_of_the_tester(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)


def contents(confdir: Confdir) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in confdir.path.glob("*.pem")}


def test_before_it_is_made_there_is_none_and_nothing_is_made_by_looking(confdir: Confdir) -> None:
    assert load(confdir) is None
    assert not confdir.home.exists()


def test_it_is_made_with_its_certificate_and_a_bundle(confdir: Confdir) -> None:
    made = ensure(confdir, HOST, NOW)
    assert load(confdir) == made
    assert confdir.certificate.read_bytes() == made.certificate
    assert confdir.bundle.read_bytes().endswith(made.certificate)
    assert file_faults(confdir, made) == ()


def test_it_is_for_its_owner_alone(confdir: Confdir) -> None:
    before = os.umask(0)
    try:
        ensure(confdir, HOST, NOW)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (confdir.home, confdir.path)} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in confdir.path.glob("*.pem")} == {0o600}


def test_once_made_it_stays_byte_for_byte(confdir: Confdir) -> None:
    first = ensure(confdir, HOST, NOW)
    before = contents(confdir)
    assert ensure(confdir, HOST, NOW + 300 * DAY) == first
    assert contents(confdir) == before


def test_what_is_missing_or_another_s_beside_it_is_made_again(confdir: Confdir) -> None:
    made = ensure(confdir, HOST, NOW)
    before = contents(confdir)
    confdir.certificate.unlink()
    confdir.bundle.write_bytes(ROOT)
    assert len(file_faults(confdir, made)) == 2
    ensure(confdir, HOST, NOW)
    assert contents(confdir) == before


def test_processes_at_once_make_one(confdir: Confdir) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from understudy.workstation.confdir import Confdir; from understudy.workstation.keeping import ensure\n"
        "sys.stdin.read()\n"
        "print(ensure(Confdir(Path(sys.argv[1])), frozenset({'api.openai.com'}), time.time()).fingerprint)\n"
    )
    command = [sys.executable, "-c", program, str(confdir.home)]
    processes = [
        subprocess.Popen(command, env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    with ThreadPoolExecutor() as pool:
        told = list(pool.map(lambda process: process.communicate(timeout=60)[0], processes))
    found = load(confdir)
    assert found is not None
    assert told == [f"{found.fingerprint}\n"] * 4


def test_to_rotate_makes_another_and_keeps_the_old_key_nowhere(confdir: Confdir) -> None:
    first, old = ensure(confdir, HOST, NOW), confdir.authority.read_bytes()
    (confdir.path / "mitmproxy-ca.p12").write_bytes(b"what mitmproxy writes with a key of its own")
    second = rotate(confdir, HOST, NOW)
    assert second.fingerprint != first.fingerprint
    assert load(confdir) == second and confdir.certificate.read_bytes() == second.certificate
    assert first.certificate not in confdir.bundle.read_bytes()
    key = old[: old.index(b"-----END PRIVATE KEY")]
    left = [path for path in confdir.home.rglob("*") if path.is_file()]
    assert all(key not in path.read_bytes() for path in left)
    assert not [path for path in left if path.suffix == ".p12"]


@pytest.mark.parametrize(
    ("hosts", "later", "words"),
    [
        (frozenset({"chatgpt.com"}), 0.0, "It cannot sign for chatgpt.com"),
        (HOST, 366.0 * DAY, "It expired on"),
        (HOST, -DAY, "It is not valid before"),
    ],
    ids=["other hosts", "expired", "a clock that is behind"],
)
def test_one_that_cannot_serve_is_told_with_the_command_and_left_as_it_is(
    confdir: Confdir, hosts: frozenset[str], later: float, words: str
) -> None:
    ensure(confdir, HOST, NOW)
    before = contents(confdir)
    with pytest.raises(StateError, match=words) as raised:
        ensure(confdir, hosts, NOW + later)
    assert "understudy ca rotate" in str(raised.value) and str(confdir.authority) in str(raised.value)
    assert contents(confdir) == before


def test_one_that_soon_ends_serves_until_it_does(confdir: Confdir) -> None:
    made = ensure(confdir, HOST, NOW)
    assert ensure(confdir, HOST, made.not_after - SOON / 2) == made


def test_mitmproxy_s_own_is_not_used(confdir: Confdir, confdir_template: Path) -> None:
    confdir.path.mkdir(parents=True)
    confdir.authority.write_bytes((confdir_template / "mitmproxy-ca.pem").read_bytes())
    with pytest.raises(StateError, match="its names are not constrained"):
        ensure(confdir, HOST, NOW)


def test_one_that_cannot_be_read_is_told_without_a_byte_of_it(confdir: Confdir) -> None:
    ensure(confdir, HOST, NOW)
    confdir.authority.write_bytes(confdir.authority.read_bytes()[:200])
    with pytest.raises(StateError) as raised:
        load(confdir)
    assert "understudy ca rotate" in str(raised.value)
    assert "BEGIN" not in str(raised.value) and raised.value.__cause__ is None


def test_a_file_that_others_could_have_made_is_not_used(confdir: Confdir, tmp_path: Path) -> None:
    confdir.path.mkdir(parents=True)
    planted = tmp_path / "planted.pem"
    planted.write_bytes(new_authority(HOST, NOW))
    confdir.authority.symlink_to(planted)
    with pytest.raises(StateError, match="symbolic link"):
        ensure(confdir, HOST, NOW)


def test_a_host_that_is_an_address_makes_no_authority(confdir: Confdir) -> None:
    with pytest.raises(StateError, match="host names"):
        ensure(confdir, frozenset({"127.0.0.1"}), NOW)
    assert not confdir.authority.exists()


class TestBundle:
    """All that programs trust whose roots a variable replaces."""

    def test_it_follows_the_system_s_roots(
        self, confdir: Confdir, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        system = tmp_path / "system.pem"
        monkeypatch.setattr(keeping, "SYSTEM_ROOTS", (str(tmp_path / "missing"), str(system)))
        system.write_bytes(ROOT)
        made = ensure(confdir, HOST, NOW)
        assert confdir.bundle.read_bytes() == ROOT + b"\n# Understudy's own:\n" + made.certificate
        system.write_bytes(ROOT * 2)
        ensure(confdir, HOST, NOW)
        assert confdir.bundle.read_bytes().startswith(ROOT * 2)

    def test_what_a_shell_has_named_is_for_its_own_programs(
        self, confdir: Confdir, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """All programs share the bundle; `joining` puts the user's own together with it, for those that have one."""
        company = tmp_path / "company.pem"
        company.write_bytes(ROOT)
        monkeypatch.setenv("SSL_CERT_FILE", str(company))
        ensure(confdir, HOST, NOW)
        assert confdir.bundle.read_bytes().count(b"BEGIN CERTIFICATE") > 20

    @pytest.mark.parametrize("roots", [b"", b"no certificates"])
    def test_it_never_holds_our_certificate_alone(self, confdir: Confdir, roots: bytes) -> None:
        ensure(confdir, HOST, NOW)
        before = confdir.bundle.read_bytes()
        with pytest.raises(StateError, match="no root certificates"):
            write_bundle(confdir, roots)
        assert confdir.bundle.read_bytes() == before

    def test_there_is_none_without_an_authority(self, confdir: Confdir) -> None:
        confdir.path.mkdir(parents=True)
        with pytest.raises(StateError, match="understudy ca create"):
            write_bundle(confdir, ROOT)

    def test_where_the_system_has_none_they_are_certifi_s(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(keeping, "SYSTEM_ROOTS", ())
        assert system_roots() == Path(certifi.where())
