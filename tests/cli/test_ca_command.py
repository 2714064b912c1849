"""`understudy ca`: the authority is made, shown, trusted, no longer trusted, and replaced, and its key never shown."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.proxy import ROOT, clean_environment
from support.terminal import Understudy
from understudy.state.running import Running
from understudy.workstation.confdir import Confdir

NSS_DATABASE = ".pki/nssdb"


@pytest.fixture(autouse=True)
def nobody_else_s_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's home, without a browser in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    return tmp_path


@pytest.fixture
def browser(nobody_else_s_home: Path) -> Path:
    """An NSS database where Chromium has it."""
    if shutil.which("certutil") is None:
        pytest.skip("NO NSS DATABASE IS TESTED: certutil is missing; install libnss3-tools")
    path = nobody_else_s_home / NSS_DATABASE
    path.mkdir(parents=True)
    subprocess.run(["certutil", "-N", "-d", f"sql:{path}", "--empty-password"], check=True, timeout=30)
    return path


def nss_names(database: Path) -> list[str]:
    listed = subprocess.run(["certutil", "-L", "-d", f"sql:{database}"], capture_output=True, text=True, timeout=30)
    return [
        line.rsplit(maxsplit=1)[0].strip() for line in listed.stdout.splitlines() if line.endswith(("C,,  ", ",,  "))
    ]


def test_it_is_made_and_described_without_its_key(understudy: Understudy, home: Path) -> None:
    made = understudy("ca", "create")
    assert made.code == 0
    assert "can sign for: api.openai.com" in made.out and str(Confdir(home).certificate) in made.out
    shown = understudy("ca", "show")
    assert shown.code == 0 and "by no store" in shown.out
    for words in (
        ("ca", "create"),
        ("ca", "show"),
        ("ca", "show", "--pem"),
        ("ca", "show", "--json"),
        ("ca", "doctor"),
    ):
        assert "PRIVATE" not in understudy(*words).words


def test_what_is_there_stays(understudy: Understudy, home: Path) -> None:
    understudy("ca", "create")
    before = Confdir(home).authority.read_bytes()
    again = understudy("ca", "create")
    assert again.code == 0 and "stays" in again.out
    assert Confdir(home).authority.read_bytes() == before


def test_it_is_for_the_hosts_that_are_named(understudy: Understudy) -> None:
    assert understudy("ca", "create", "--host", "api.openai.com", "--host", "ChatGPT.com").code == 0
    assert understudy("ca", "show", "--json").json["hosts"] == ["api.openai.com", "chatgpt.com"]
    wrong = understudy("ca", "rotate", "--yes", "--host", "a b")
    assert wrong.code == 2 and "not a host name" in wrong.err


def test_it_is_for_the_hosts_of_the_proxy_s_own_options(understudy: Understudy, home: Path) -> None:
    Confdir(home).path.mkdir(parents=True)
    Confdir(home).config.write_text("codex_hosts: llm.internal.test\ncodex_capture_chatgpt: true\n")
    assert understudy("ca", "create").code == 0
    assert understudy("ca", "show", "--json").json["hosts"] == ["chatgpt.com", "llm.internal.test"]


def test_the_certificate_is_printed_for_programs(understudy: Understudy, home: Path) -> None:
    understudy("ca", "create")
    assert understudy("ca", "show", "--pem").out == Confdir(home).certificate.read_text()


@pytest.mark.parametrize("words", [("show",), ("show", "--pem"), ("trust", "--system")], ids=" ".join)
def test_where_there_is_none_the_command_that_makes_it_is_named(
    understudy: Understudy, home: Path, words: tuple[str, ...]
) -> None:
    said = understudy("ca", *words)
    assert said.code == 1 and "understudy ca create" in said.err
    assert not home.exists()


def test_rotating_asks_and_says_what_is_left_to_do(understudy: Understudy, home: Path) -> None:
    understudy("ca", "create")
    before = Confdir(home).authority.read_bytes()
    assert understudy("ca", "rotate").code == 1
    assert Confdir(home).authority.read_bytes() == before
    said = understudy("ca", "rotate", "--yes")
    assert said.code == 0 and "must be started anew" in said.out and "understudy restart" not in said.out
    assert Confdir(home).authority.read_bytes() != before


class TestDoctor:
    def test_nothing_wrong_is_exit_code_0(self, understudy: Understudy) -> None:
        understudy("ca", "create")
        said = understudy("ca", "doctor")
        assert (said.code, said.lines) == (0, ["nothing is wrong with it"])
        assert understudy("ca", "doctor", "--json").json == {"version": 1, "faults": [], "command": None}

    def test_there_is_none(self, understudy: Understudy) -> None:
        said = understudy("ca", "doctor")
        assert said.code == 1
        assert said.lines == ["There is no certificate authority.", "To mend it: understudy ca create"]

    def test_it_is_for_other_hosts_than_the_proxy_opens(self, understudy: Understudy) -> None:
        understudy("ca", "create", "--host", "llm.internal.test")
        told = understudy("ca", "doctor", "--json").json
        assert told["command"] == "understudy ca rotate" and len(told["faults"]) == 2
        assert understudy("ca", "doctor").code == 1

    def test_it_is_mitmproxy_s_own(self, understudy: Understudy, home: Path, confdir_template: Path) -> None:
        Confdir(home).path.mkdir(parents=True)
        Confdir(home).authority.write_bytes((confdir_template / "mitmproxy-ca.pem").read_bytes())
        said = understudy("ca", "doctor")
        assert said.code == 1 and "It can sign for any host" in said.out
        assert understudy("ca", "create").code == 1
        for store in ("--system", "--nss"):
            refused = understudy("ca", "trust", store, "--yes")
            assert refused.code == 1 and "nothing should trust this authority" in refused.err

    def test_a_file_of_it_is_another_s(self, understudy: Understudy, home: Path) -> None:
        understudy("ca", "create")
        Confdir(home).bundle.unlink()
        said = understudy("ca", "doctor")
        assert said.code == 1 and str(Confdir(home).bundle) in said.out and said.lines[-1].endswith("ca create")
        assert understudy("ca", "create").code == understudy("ca", "doctor").code == 0

    def test_it_cannot_be_read(self, understudy: Understudy, home: Path) -> None:
        understudy("ca", "create")
        Confdir(home).authority.write_bytes(b"")
        said = understudy("ca", "doctor")
        assert said.code == 1 and said.lines[-1] == "To mend it: understudy ca rotate"
        assert understudy("ca", "rotate", "--yes").code == understudy("ca", "doctor").code == 0


class TestBrowsers:
    def test_no_store_is_changed_unless_one_is_named(self, understudy: Understudy) -> None:
        understudy("ca", "create")
        said = understudy("ca", "trust", "--yes")
        assert said.code == 2 and "--system" in said.err and "--nss" in said.err

    def test_a_dry_run_shows_what_would_be_run_and_runs_nothing(self, understudy: Understudy, browser: Path) -> None:
        understudy("ca", "create")
        said = understudy("ca", "trust", "--nss", "--dry-run")
        assert said.code == 0 and f"certutil -A -d sql:{browser}" in said.out
        assert nss_names(browser) == []

    def test_they_trust_it_once_the_user_agrees_and_no_longer_when_told(
        self, understudy: Understudy, browser: Path
    ) -> None:
        understudy("ca", "create")
        name = understudy("ca", "show", "--json").json["name"]
        assert understudy("ca", "trust", "--nss").code == 1 and nss_names(browser) == []
        assert understudy("ca", "trust", "--nss", "--yes").code == 0
        assert nss_names(browser) == [name]
        assert understudy("ca", "show", "--json").json["trusted"] == [str(browser)]
        again = understudy("ca", "trust", "--nss", "--yes")
        assert again.code == 0 and "there is nothing to do" in again.out
        assert understudy("ca", "untrust", "--yes").code == 0
        assert nss_names(browser) == []
        assert "there is nothing to do" in understudy("ca", "untrust", "--yes").out

    def test_others_stay_and_an_older_one_of_ours_goes(
        self, understudy: Understudy, browser: Path, authority_file: Path
    ) -> None:
        add = ["certutil", "-A", "-d", f"sql:{browser}", "-n", "Company", "-t", "C,,", "-i", str(authority_file)]
        subprocess.run(add, check=True, timeout=30)
        understudy("ca", "create")
        understudy("ca", "trust", "--nss", "--yes")
        assert "understudy ca trust --nss" in understudy("ca", "rotate", "--yes").out
        assert understudy("ca", "trust", "--nss", "--yes").code == 0
        assert sorted(nss_names(browser)) == ["Company", understudy("ca", "show", "--json").json["name"]]
        understudy("ca", "rotate", "--yes")
        understudy("ca", "untrust", "--yes")
        assert nss_names(browser) == ["Company"]

    def test_a_user_without_a_browser_is_told_so(self, understudy: Understudy) -> None:
        understudy("ca", "create")
        said = understudy("ca", "trust", "--nss", "--yes")
        assert said.code == 1 and "NSS" in said.err


PRIVATE_MACHINE = """
set -e
mount -t tmpfs none "$SCRATCH"
for folder in etc usr/local var; do
    over=$SCRATCH/$folder
    mkdir -p "$over/upper" "$over/work"
    mount -t overlay none -o "lowerdir=/$folder,upperdir=$over/upper,workdir=$over/work" "/$folder"
done
mkdir -p /etc/ca-certificates/update.d
rm -f /etc/ca-certificates/update.d/*
printf '#!/bin/sh\\ncat >> %s/told\\n' "$SCRATCH" > /etc/ca-certificates/update.d/jks-keystore
chmod +x /etc/ca-certificates/update.d/jks-keystore
update-ca-certificates --fresh > /dev/null 2>&1
rm "$SCRATCH/told"
state() {
    cd /etc/ssl && find . -type l -printf '%p %l\\n' | sort && find . -type f | sort | xargs sha256sum
    ls /usr/local/share/ca-certificates
}
understudy() { "$PYTHON" -m understudy ca "$@"; }
state > "$SCRATCH/before"
understudy create
understudy trust --system --dry-run
state | cmp - "$SCRATCH/before"
understudy trust --system --yes
understudy trust --system --yes | grep nothing
openssl verify -CApath /etc/ssl/certs "$UNDERSTUDY_HOME/mitmproxy/mitmproxy-ca-cert.pem"
understudy rotate --yes
understudy trust --system --yes
ls /usr/local/share/ca-certificates | grep -c understudy
understudy untrust --yes
state | cmp - "$SCRATCH/before"
understudy untrust --yes
grep understudy "$SCRATCH/told"
"""
"""The system's own tools on the system's own files, none of which is changed outside this process's sight."""


def test_debian_trusts_it_and_is_as_it_was_when_it_is_told_to_stop(home: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    tools = [name for name in ("unshare", "update-ca-certificates") if shutil.which(name) is None]
    if tools or os.geteuid() != 0:
        pytest.skip(f"NO SYSTEM'S STORE IS TESTED: it takes root, and {', '.join(tools) or 'nothing else'}")
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", PRIVATE_MACHINE],
        cwd=ROOT / "addon",
        env=clean_environment(
            UNDERSTUDY_HOME=str(home), HOME=str(tmp_path), SCRATCH=str(scratch), PYTHON=sys.executable
        ),
        capture_output=True,
        text=True,
        timeout=110,
    )
    if "overlay" in done.stderr:
        pytest.skip(f"NO SYSTEM'S STORE IS TESTED: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert sum(line.startswith("proved: /etc/ssl/certs/ca-certificates.crt trusts") for line in lines) == 2
    assert "1" in lines and str(home / "mitmproxy" / "mitmproxy-ca-cert.pem: OK") in lines
    told = [line.partition("understudy-0-")[0] for line in lines if line[1:].startswith("/etc/ssl/certs/understudy-0-")]
    assert told == ["+/etc/ssl/certs/", "-/etc/ssl/certs/", "+/etc/ssl/certs/", "-/etc/ssl/certs/"]
    assert lines[-5] == "there is nothing to do"


def test_after_rotating_a_running_proxy_is_to_be_started_anew(understudy: Understudy, home: Path) -> None:
    from understudy.state.runtime import KEY, Listener, Runtime, encode

    understudy("ca", "create")
    runtime = Runtime(os.getpid(), "mitmdump", "1", "11", 0.0, str(home), (Listener("regular", "127.0.0.1", 1),))
    running = Running(home)
    running.tell({KEY: encode(runtime)})
    try:
        assert f"(process {os.getpid()})" in understudy("ca", "rotate", "--yes").out
    finally:
        running.end()
