"""The doctor on configuration files, and the options as they are: with values, sources, and what is wrong with them."""

from pathlib import Path

import pytest

from support.clinic import Clinic
from understudy.doctor.check import State
from understudy.doctor.settings import HIDDEN, Setting, launched, settings
from understudy.workstation.errors import LaunchError
from understudy.workstation.wanted import Wanted


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def one(name: str, found: tuple[Setting, ...]) -> Setting:
    return next(setting for setting in found if setting.name == name)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ssl_insecure: true", "ssl_insecure: would hand your ChatGPT tokens to anyone"),
        ("proxy_debug: true", "proxy_debug: would write your ChatGPT tokens into the log"),
        ("emudhra: true", "emudhra: makes certificates that the whole world trusts"),
        ("codex_hold: soon", "codex_hold: takes another kind of value"),
        ("codex_hold: -1", "codex_hold: out of range"),
        ("codex_strategy: best", "codex_strategy: not understood: 'best'"),
        ("codex_holds: 1", "codex_holds: there is no such option"),
        ("scripts: [/tmp/other.py]", "scripts: other scripts see"),
        ("listen_host: 0.0.0.0", "listen_host: other machines can connect"),
    ],
)
def test_a_file_with_an_option_that_is_dangerous_or_not_understood_is_bad(clinic: Clinic, line: str, said: str) -> None:
    write(clinic.confdir.config, f"{line}\n")
    found = clinic.alone("config file")
    assert said in found.said
    assert found.command == "understudy config show"


@pytest.mark.parametrize("text", ["codex_hold: [", "- a\n- b\n"])
def test_a_file_that_is_none_is_bad(clinic: Clinic, text: str) -> None:
    path = write(clinic.confdir.config, text)
    assert clinic.alone("config file").command == f"rm {path}"


def test_a_file_with_what_is_understood_is_well(clinic: Clinic) -> None:
    write(clinic.confdir.config, "codex_hold: 2\nscripts: [/somewhere/codex.py]\nlisten_host: 127.0.0.1\n")
    clinic.healthy()


def test_options_where_our_proxies_do_not_read_them_are_a_warning(clinic: Clinic) -> None:
    stray = write(clinic.user_home / ".mitmproxy" / "config.yaml", "codex_hold: 2\nshowhost: true\n")
    found = clinic.alone("stray options", State.WARN)
    assert found.said == f"{stray} has codex_hold"
    assert found.command == f"cp {stray} {clinic.confdir.config}"


def test_options_of_others_are_no_matter(clinic: Clinic) -> None:
    write(clinic.user_home / ".mitmproxy" / "config.yaml", "showhost: true\n")
    clinic.healthy()


def test_two_wrong_options_are_both_named(tmp_path: Path) -> None:
    config = write(tmp_path / "config.yaml", "codex_wait: -1\ncodex_hold: -1\nssl_insecure: true\n")
    assert [setting.name for setting in settings(config) if setting.fault] == [
        "codex_wait",
        "codex_hold",
        "ssl_insecure",
    ]


def test_what_is_harmless_towards_a_backend_on_loopback_is_no_fault(tmp_path: Path) -> None:
    config = write(tmp_path / "config.yaml", "codex_backend: https://127.0.0.1:9/codex\nssl_insecure: true\n")
    assert not any(setting.fault for setting in settings(config))


def test_each_value_says_where_it_comes_from(tmp_path: Path) -> None:
    config = write(tmp_path / "mitmproxy" / "config.yaml", "codex_hold: 2\ncodex_wait: 9\nlisten_port: 1\n")
    started = launched(tmp_path, Wanted(options=("codex_wait=7", "codex_models=a=b", "upstream_cert=true")), 8080)
    found = settings(config, started, {"codex_hold": (2, "proxy"), "codex_record": (0, "proxy")})
    sources = {setting.name: (setting.value, setting.source) for setting in found}
    assert sources["codex_hosts"] == ("api.openai.com", "default")
    assert sources["codex_hold"] == (2, str(config))
    assert sources["codex_wait"] == (9, str(config)), "mitmproxy reads its file after --set"
    assert sources["codex_models"] == ("a=b", "--set")
    assert sources["codex_record"] == (0, "proxy")
    assert sources["upstream_cert"] == (True, "--set")
    assert sources["listen_port"] == (8080, "understudy start")
    assert sources["confdir"] == (str(tmp_path / "mitmproxy"), "understudy start")
    assert sources["ssl_insecure"] == (False, "mitmproxy's default")


def test_what_the_addon_turns_on_is_said_where_nobody_chose(tmp_path: Path) -> None:
    assert one("connection_strategy", settings(tmp_path / "absent")).source == "turned on by Understudy"


def test_users_and_passwords_are_not_shown(tmp_path: Path) -> None:
    config = write(
        tmp_path / "config.yaml",
        "upstream_auth: ada:s3cret\nproxyauth: ada:s3cret\nweb_password: s3cret\n"
        "mode: ['upstream:http://ada:s3cret@proxy:1']\ncodex_models: 'http://ada:s3cret@x'\n",
    )
    found = settings(config)
    assert not [setting for setting in found if "s3cret" in repr(setting)]
    assert one("proxyauth", found).value == HIDDEN
    assert one("mode", found).value == ["upstream:http://***@proxy:1"]


def test_an_option_that_is_not_the_user_s_to_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="confdir"):
        launched(tmp_path, Wanted(options=("confdir=/tmp",)), 8080)
