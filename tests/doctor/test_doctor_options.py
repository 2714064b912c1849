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
        ("confdir: /srv/mitmproxy", "confdir: programs trust the authority in Understudy's own folder"),
        ("server: false", "server: it opens no port"),
        ("mode: [transparent, 'reverse:https://api.openai.com']", "mode: none of these is regular or upstream"),
        ("mode: []", "mode: none of these is regular or upstream"),
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
    assert clinic.alone("config file").command == f"mv {path} {path}.old"


def test_a_file_with_what_is_understood_is_well(clinic: Clinic) -> None:
    write(clinic.confdir.config, "codex_hold: 2\nscripts: [/somewhere/codex.py]\nlisten_host: 127.0.0.1\n")
    clinic.healthy()


def test_options_where_our_proxies_do_not_read_them_are_a_warning(clinic: Clinic) -> None:
    stray = write(clinic.user_home / ".mitmproxy" / "config.yaml", "codex_hold: 2\nshowhost: true\n")
    found = clinic.alone("stray options", State.WARN)
    assert found.said == f"{stray} has codex_hold"
    assert found.command == f"cp {stray} {clinic.confdir.path}/"


def test_options_of_others_are_no_matter(clinic: Clinic) -> None:
    write(clinic.user_home / ".mitmproxy" / "config.yaml", "showhost: true\n")
    clinic.healthy()


def test_two_wrong_options_are_both_named(tmp_path: Path) -> None:
    write(tmp_path / "config.yaml", "codex_wait: -1\ncodex_hold: -1\nssl_insecure: true\n")
    assert [setting.name for setting in settings(tmp_path) if setting.fault] == [
        "codex_wait",
        "codex_hold",
        "ssl_insecure",
    ]


def test_what_is_harmless_towards_a_backend_on_loopback_is_no_fault(tmp_path: Path) -> None:
    write(tmp_path / "config.yaml", "codex_backend: https://127.0.0.1:9/codex\nssl_insecure: true\n")
    assert not any(setting.fault for setting in settings(tmp_path))


def test_each_value_says_where_it_comes_from(tmp_path: Path) -> None:
    config = write(tmp_path / "mitmproxy" / "config.yaml", "codex_hold: 2\ncodex_wait: 9\nlisten_port: 1\n")
    started = launched(tmp_path, Wanted(options=("codex_wait=7", "codex_models=a=b", "upstream_cert=true")), 8080)
    found = settings(config.parent, started, {"codex_hold": (2, "proxy"), "codex_record": (0, "proxy")})
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
    write(
        tmp_path / "config.yaml",
        "upstream_auth: ada:s3cret\nproxyauth: ada:s3cret\nweb_password: s3cret\n"
        "mode: ['upstream:http://ada:s3cret@proxy:1']\ncodex_models: 'http://ada:s3cret@x'\n",
    )
    found = settings(tmp_path)
    assert not [setting for setting in found if "s3cret" in repr(setting)]
    assert one("proxyauth", found).value == HIDDEN
    assert one("mode", found).value == ["upstream:http://***@proxy:1"]


def test_an_option_that_is_not_the_user_s_to_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="confdir"):
        launched(tmp_path, Wanted(options=("confdir=/tmp",)), 8080)


def test_the_second_file_that_mitmproxy_reads_counts_and_is_judged(clinic: Clinic) -> None:
    write(clinic.confdir.config, "codex_hold: 2\ncodex_wait: 3\n")
    second = write(clinic.confdir.path / "config.yml", "codex_wait: -1\n")
    found = clinic.alone("config file")
    assert found.said.startswith(f"{second} has options that are dangerous or not understood: codex_wait")
    shown = settings(clinic.confdir.path)
    assert (one("codex_hold", shown).source, one("codex_wait", shown).source) == (
        str(clinic.confdir.config),
        str(second),
    )
    second.write_text("- a\n")
    assert clinic.alone("config file").command == f"mv {second} {second}.old"


def test_options_in_the_second_file_that_is_not_ours_are_a_warning(clinic: Clinic) -> None:
    stray = write(clinic.user_home / ".mitmproxy" / "config.yml", "codex_hold: 2\n")
    assert clinic.alone("stray options", State.WARN).said == f"{stray} has codex_hold"


@pytest.mark.parametrize("name", ["ignore_hosts", "tcp_hosts"])
def test_an_option_that_leads_our_hosts_past_the_proxy_is_bad(clinic: Clinic, name: str) -> None:
    write(clinic.confdir.config, f"{name}: ['.*openai.*']\n")
    assert f"{name}: " in clinic.alone("config file").said
    assert one(name, settings(clinic.confdir.path)).fault


def test_allowed_hosts_without_ours_are_bad(clinic: Clinic) -> None:
    write(clinic.confdir.config, "allow_hosts: ['example.com']\n")
    assert "allow_hosts: " in clinic.alone("config file").said
    assert one("allow_hosts", settings(clinic.confdir.path)).fault


@pytest.mark.parametrize("mode", ["[regular, transparent]", "['regular@127.0.0.1:9']", "['upstream:http://proxy:1']"])
def test_a_mode_that_gives_programs_a_port_is_well(clinic: Clinic, mode: str) -> None:
    write(clinic.confdir.config, f"mode: {mode}\n")
    clinic.healthy()


def test_a_password_for_the_proxy_is_a_warning_that_does_not_quote_it(clinic: Clinic) -> None:
    write(clinic.confdir.config, "proxyauth: ada:s3cret\n")
    found = clinic.alone("config file", State.WARN)
    assert "proxyauth: what `understudy run` and `understudy env` lead to it has no password" in found.said
    assert "s3cret" not in str(found)
    assert "cannot get in" in one("proxyauth", settings(clinic.confdir.path)).fault


def test_what_keeps_programs_out_of_a_proxy_of_ours_is_said_of_it_alone(tmp_path: Path) -> None:
    config = write(tmp_path / "mitmproxy" / "config.yaml", "server: false\nmode: [transparent]\n")
    started = launched(tmp_path, Wanted(), 8080)
    assert one("server", settings(config.parent, started)).fault
    assert one("mode", settings(config.parent, started)).fault
    assert not one("mode", settings(config.parent, launched(tmp_path, Wanted(modes=("regular",)), 8080))).fault
    assert not one("server", settings(config.parent)).fault
