"""`understudy config show`: each option with its value, where that comes from, and what is wrong with it."""

from pathlib import Path

from support.clinic import healthy_clinic
from support.terminal import Understudy
from understudy.proxy.options import OPTIONS


def test_every_option_of_ours_is_shown(understudy: Understudy, home: Path) -> None:
    said = understudy("config", "show")
    assert said.code == 0
    for option in OPTIONS:
        assert f"\n{option.name} = " in f"\n{said.out}"
    assert 'codex_hosts = "api.openai.com"   (default)' in said.lines
    assert 'listen_host = "127.0.0.1"   (understudy start)' in said.lines
    assert max(map(len, said.lines)) <= 80


def test_the_file_counts_and_what_is_wrong_in_it_is_said(understudy: Understudy, home: Path) -> None:
    config = home / "mitmproxy" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("codex_hold: 2\ncodex_wait: soon\n")
    said = understudy("config", "show", "--json")
    assert said.code == 1
    assert (said.json["version"], said.json["file"], said.json["proxy"]) == (1, str(config), None)
    found = {option["name"]: option for option in said.json["options"]}
    assert (found["codex_hold"]["value"], found["codex_hold"]["source"]) == (2, str(config))
    assert found["codex_wait"]["fault"] == "takes another kind of value"
    assert "WRONG: takes another kind of value" in understudy("config", "show").words


def test_what_a_running_proxy_tells_counts_most(understudy: Understudy, tmp_path: Path) -> None:
    clinic = healthy_clinic(tmp_path)
    with clinic.proxy(options={"codex_wait": 30, "codex_hold": 5}) as proxy:
        said = understudy("config", "show")
    assert said.code == 0
    assert f"codex_wait = 30   (the running proxy (process {proxy.pid}))" in said.lines
    assert "codex_hold = 5   (default)" in said.lines


def test_options_can_be_tried(understudy: Understudy) -> None:
    said = understudy("config", "show", "--set", "codex_wait=-1")
    assert (said.code, "codex_wait = -1   (--set)" in said.lines) == (1, True)
    assert "WRONG: out of range" in said.words
    assert understudy("config", "show", "--set", "confdir=/tmp").code == 2


def test_passwords_are_not_shown(understudy: Understudy) -> None:
    said = understudy("config", "show", "--set", "proxyauth=ada:s3cret", "--set", "mode=upstream:http://a:s3cret@h:1")
    assert "s3cret" not in said.words


def test_a_file_that_is_no_yaml_is_said_to_be(understudy: Understudy, home: Path) -> None:
    config = home / "mitmproxy" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("- a\n")
    said = understudy("config", "show")
    assert (said.code, said.err) == (1, f"understudy: {config} is not a list of options with their values\n")
