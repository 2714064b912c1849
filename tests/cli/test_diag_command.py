"""`understudy diag`: one file for a bug report, in which nothing is that is nobody else's business."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from support.clinic import Clinic, healthy_clinic
from support.logins import CANARY, account
from support.terminal import Understudy
from understudy.doctor import bundle
from understudy.pool.account import Block
from understudy.pool.health import needs_login
from understudy.pool.tally import Tally
from understudy.state.accounts import AccountStore

SECRETS: tuple[str, ...] = (
    *("zanzibar", "quokka", "s3cret", "tangerine", "marigold", CANARY, "@example.com", "ws-zanzibar"),
    *("papaya", "cassowary", "203.0.113", "2001:db8", "fe80"),
)
"""A label, an e-mail, a password, a note, a name in a path, a name in hosts and paths elsewhere, a label that was."""


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clinic:
    folder = tmp_path / "marigold"
    folder.mkdir()
    clinic = healthy_clinic(folder)
    monkeypatch.setenv("UNDERSTUDY_HOME", str(clinic.home))
    monkeypatch.setenv("HOME", str(clinic.user_home))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return clinic


def sections(text: str) -> dict[str, str]:
    """The bodies by their titles."""
    parts = text.split("\n== ")[1:]
    return {part.partition(" ==\n")[0]: part.partition(" ==\n")[2] for part in parts}


def test_it_writes_one_private_file_and_says_what_is_in_it(understudy: Understudy, clinic: Clinic) -> None:
    said = understudy("diag")
    assert said.code == 0
    (path,) = Path.cwd().iterdir()
    assert path.name.startswith("understudy-diag-")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.name in said.out
    assert "Look through it before you send it" in said.words
    found = sections(path.read_text())
    assert list(found) == list(bundle.SECTIONS)
    assert all(title in said.words for title in found)
    assert json.loads(found["doctor"])["version"] == 1
    assert json.loads(found["accounts"])[0]["label"] == "account-1"
    assert json.loads(found["versions"])["mitmproxy"]
    assert {"name": "codex_hold", "value": 5, "source": "default", "fault": ""} in json.loads(found["options"])


def test_it_never_writes_over_a_file_nor_through_a_link(understudy: Understudy, clinic: Clinic) -> None:
    there = Path("there.txt")
    there.write_text("mine")
    Path("link.txt").symlink_to("elsewhere.txt")
    for name in ("there.txt", "link.txt"):
        said = understudy("diag", name)
        assert (said.code, "is there already" in said.err) == (1, True)
    assert there.read_text() == "mine"
    assert not Path("elsewhere.txt").exists()
    assert understudy("diag", "nowhere/x.txt").code == 1


def plant(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets in every field, file name, log and variable."""
    one = account("zanzibar", expires_at=clinic.now + 3600)
    block = Block(until=clinic.now + 99, reason="limit of zanzibar, quokka@example.com", authoritative=True)
    one = replace(one, note="tangerine of s3cret", tags=("tangerine",), email="quokka@example.com", blocks=(block,))
    gone = needs_login(account("tangerine", mark="old"), f"refused rt_{CANARY}-refresh", clinic.now)
    clinic.set_accounts(one, gone)
    AccountStore(clinic.home).back_up()
    quarantine = clinic.home / "quarantine"
    quarantine.mkdir(mode=0o700)
    (quarantine / "quokka-s3cret.json").write_text('{"accounts": [{"label": "marigold", "tokens": {"access": "tanger')
    clinic.confdir.config.write_text(
        "codex_account: zanzibar\nupstream_auth: quokka:s3cret\nproxyauth: quokka:s3cret\nweb_password: s3cret\n"
        "mode: ['upstream:http://quokka:s3cret@papaya:1', 'reverse:https://papaya.example.net']\n"
        "codex_unknown: s3cret@example.com\n"
        f"scripts: [{clinic.user_home}/marigold.py, /home/papaya/secret/papaya.py]\n"
        "codex_backend: https://papaya-llm.example/codex\nsave_stream_file: /srv/papaya/flows\n"
        "codex_hosts: papaya.example\n"
    )
    clinic.confdir.config.with_suffix(".yml").write_text("codex_account: cassowary\n")
    for name in ("papaya.txt", "papaya"):
        (clinic.home / name).mkdir()
    logs = clinic.home / "logs"
    logs.mkdir(mode=0o700)
    (logs / "proxy.log").write_text(
        f"[12:00:00.000] understudy: zanzibar: Bearer {CANARY} of quokka@example.com failed\n"
        f"[12:00:00.000] understudy: marigold met sk-{CANARY}-0123456789 at {clinic.user_home}/x\n"
        f"127.0.0.1:1: POST https://api.openai.com/v1/responses tangerine s3cret\n"
        '    {"input": "s3cret"}\n'
        "understudy: refused a connection from 203.0.113.77, 2001:db8::c0de and fe80::dead:beef\n"
        "understudy: AIzaPAPAYA1234567890 ghp_PAPAYA0123456789 gAAAApapaya AKIAPAPAYA123456\n"
        "understudy: cannot read /mnt/papaya/x, /root/papaya/x y.txt nor C:\\Users\\papaya\\x\n"
        'understudy: "quoted quokka"@papaya.example and https://u:p@sspapaya@papaya/x\n'
        "HTTP(S) proxy listening at http://papaya-machine:8080\n"
        "understudy: papaya-machine is not cassowary\n"
        '  File "/srv/My papaya/x.py", line 3, in f\n'
        "Traceback (most recent call last):\n"
        f'  File "{clinic.user_home}/marigold.py", line 3, in f\n'
        '    raise ValueError("s3cret")\n'
        "ValueError: s3cret\n"
    )
    for name in (
        "HTTPS_PROXY",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "SSL_CERT_FILE",
        "NO_PROXY",
        "NODE_OPTIONS",
        "UNDERSTUDY_BEFORE",
    ):
        monkeypatch.setenv(name, f"http://quokka:s3cret@zanzibar.{CANARY}:1")
    codex = clinic.user_home / ".codex"
    codex.mkdir()
    (codex / "auth.json").write_text(f'{{"tokens": {{"refresh_token": "rt_{CANARY}"}}}}')


def test_no_byte_of_it_is_secret(understudy: Understudy, clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(clinic, monkeypatch)
    tally = Tally(3, 1, 0, {"zanzibar": 2})
    with clinic.proxy(web="http://127.0.0.1:8081/?token=s3cret", tally=tally, options={"codex_account": "zanzibar"}):
        said = understudy("diag", "bundle.txt")
    assert said.code == 0, said
    text = Path("bundle.txt").read_text()
    for secret in SECRETS:
        assert secret not in text.lower(), [line for line in text.splitlines() if secret in line.lower()]
    assert str(clinic.home) not in text
    found = sections(text)
    assert json.loads(found["running proxies"])[0]["tally"]["accounts"] == {"account-1": 2}
    assert "understudy: account-1: Bearer <token> of <secret> failed" in found["log"]
    assert "api.openai.com/v1/responses" not in found["log"]


def test_it_goes_to_the_standard_output_where_that_is_asked(understudy: Understudy, clinic: Clinic) -> None:
    said = understudy("diag", "-")
    assert (said.code, said.err) == (0, "")
    assert list(sections(said.out)) == list(bundle.SECTIONS)
    assert not list(Path.cwd().iterdir())


def test_what_is_not_ours_in_the_folder_is_not_looked_at(understudy: Understudy, clinic: Clinic) -> None:
    (clinic.home / "public").mkdir()
    (clinic.home / "public" / "large.json").write_text('{"label": "understudy"}')
    assert understudy("diag", "bundle.txt").code == 0
    found = sections(Path("bundle.txt").read_text())
    assert json.loads(found["files"])["."]["files"] > 0
    assert "account-2" not in found["versions"]


def test_where_something_cannot_be_found_out_the_rest_is_written(understudy: Understudy, clinic: Clinic) -> None:
    (clinic.home / "quota.json").write_text("{")
    (clinic.home / "accounts.json").write_text("{")
    assert understudy("diag", "bundle.txt").code == 0
    found = sections(Path("bundle.txt").read_text())
    assert found["figures"].strip() == '"could not be found out (ValueError)"'
    assert "cannot be used: it is not JSON" in found["accounts"]
