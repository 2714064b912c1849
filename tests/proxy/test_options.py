"""What the options take, and what they tell a user who gave them something else."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy.addonmanager import Loader
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.exceptions import OptionsError
from mitmproxy.options import Options

from support.backstage import Backstage
from support.proxy import SCRIPT, clean_environment
from understudy.pool.choose import Rules
from understudy.pool.pool import Pin
from understudy.pool.session import Isolation
from understudy.pool.strategies import Strategy
from understudy.proxy.options import (
    OPTIONS,
    Settings,
    add_options,
    read_offline,
    read_settings,
    turn_on_needs,
)
from understudy.proxy.values import read_hosts


def options_with(**values: object) -> Any:
    """mitmproxy's options with ours among them."""
    options = Options()
    loader = Loader(SimpleNamespace(options=options))
    Proxyserver().load(loader)
    add_options(loader)
    options.update(**values)
    return options


def settings(**values: object) -> Settings:
    """What the addon makes of them."""
    return read_settings(options_with(**values))


def test_without_any_the_real_services_are_meant() -> None:
    found = settings()
    assert (found.backend.scheme, found.backend.authority) == ("https", "chatgpt.com")
    assert found.backend.target(found.backend.rules) == "/backend-api/codex/responses"
    assert found.issuer == "https://auth.openai.com"
    assert found.scope.hosts == {"api.openai.com"}
    assert (found.record, found.hold, found.stall_timeout, found.wait) == (1024 * 1024, 5, 120, 0)
    assert (
        found.platform.target(found.platform.rules) == "/v1/responses" and found.platform.authority == "api.openai.com"
    )
    assert found.rules == Rules(Strategy.STICKY, None, Isolation.OFF, soft_quota=5, overflow=False, overflow_limit=50)
    assert not found.passthrough


def test_what_the_user_says_about_choosing_is_one_value() -> None:
    found = settings(
        codex_strategy="hybrid",
        codex_account="work",
        codex_isolate="workspace",
        codex_soft_quota=10,
        codex_overflow="on",
        codex_overflow_limit=7,
    )
    assert found.rules == Rules(Strategy.HYBRID, Pin("work"), Isolation.WORKSPACE, 10, overflow=True, overflow_limit=7)


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("https://chatgpt.com/backend-api/codex/", "chatgpt.com", "/backend-api/codex/responses"),
        ("https://CHATGPT.com:8443/x", "chatgpt.com:8443", "/x/responses"),
        ("http://127.0.0.1:8787/backend-api/codex", "127.0.0.1:8787", "/backend-api/codex/responses"),
        ("http://localhost", "localhost", "/responses"),
        ("http://[::1]:8787/a", "[::1]:8787", "/a/responses"),
    ],
)
def test_a_backend_is_an_origin_and_a_path(url: str, authority: str, path: str) -> None:
    backend = settings(codex_backend=url).backend
    assert (backend.authority, backend.target(backend.rules)) == (authority, path)


@pytest.mark.parametrize("option", ["codex_backend", "codex_issuer"])
@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://chatgpt.com/backend-api/codex", id="in the clear"),
        pytest.param("http://192.168.1.2:8080", id="in the clear on the network"),
        pytest.param("http://127.0.0.1.evil.test", id="only spelt like loopback"),
        pytest.param("http://localhost.evil.test", id="only begins like localhost"),
        pytest.param("http://127.0.0.1@evil.test", id="loopback as a user name"),
        pytest.param("https://user:secret@chatgpt.com", id="with credentials"),
        pytest.param("https://chatgpt.com/?a=b", id="with a query"),
        pytest.param("https://chatgpt.com/#a", id="with a fragment"),
        pytest.param("ftp://chatgpt.com", id="another scheme"),
        pytest.param("chatgpt.com", id="no scheme"),
        pytest.param("https://", id="no host"),
        pytest.param("https://chatgpt.com:99999", id="no such port"),
        pytest.param("https://chatgpt.com/a b\r\nX-Evil: 1", id="a line break"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_service_that_tokens_must_not_be_sent_to_is_refused(option: str, url: str) -> None:
    with pytest.raises(OptionsError, match=f"^{option}: ") as refused:
        settings(**{option: url})
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("codex_hosts", "", "name at least one host"),
        ("codex_hosts", " , ", "name at least one host"),
        ("codex_hosts", "https://api.openai.com", "not a host name"),
        ("codex_hosts", "api.openai.com:443", "not a host name"),
        ("codex_hosts", "*.openai.com", "not a host name"),
        ("codex_hosts", "api..com", "not a host name"),
        ("codex_hosts", "äpi.openai.com", "not a host name"),
        ("codex_hosts", "-A", "not a host name"),
        ("codex_hosts", "api.openai.com,-api.example", "not a host name"),
        ("codex_record", -1, "cannot be negative"),
        ("codex_hold", -1, "out of range"),
        ("codex_hold", 86401, "out of range"),
        ("codex_stall_timeout", -1, "out of range"),
        ("codex_stall_timeout", 0, "would let nothing pass"),
        ("codex_strategy", "lottery", "there is: sticky, hybrid, round_robin, drain"),
        ("codex_isolate", "none", "there is: off, workspace, account"),
        ("codex_unsupported", "", "there is: strict, passthrough"),
        ("codex_overflow", "yes", "there is: off, on"),
        ("codex_overflow_limit", -1, "cannot be negative"),
        ("codex_soft_quota", 101, "out of range"),
        ("codex_wait", -1, "out of range"),
        ("codex_models", "a=b=c", ""),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_name(option: str, value: object, told: str) -> None:
    with pytest.raises(OptionsError, match=f"^{option}: .*{told}"):
        settings(**{option: value})


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("api.openai.com", {"api.openai.com"}),
        (" API.OpenAI.com. , llm.internal-1.test,", {"api.openai.com", "llm.internal-1.test"}),
        ("localhost", {"localhost"}),
    ],
)
def test_hosts_are_read_as_names_are_compared(text: str, hosts: set[str]) -> None:
    assert read_hosts(text) == hosts


@pytest.mark.parametrize(
    ("option", "pattern"),
    [
        ("ignore_hosts", "api.openai.com"),
        ("ignore_hosts", r"^API\.OpenAI\.com:443$"),
        ("ignore_hosts", ".*"),
        ("ignore_hosts", ":443$"),
        ("ignore_hosts", r"^(?!example\.com:)"),
        ("tcp_hosts", "openai"),
        ("tcp_hosts", r"^api\.openai\.com$"),
        ("udp_hosts", "."),
    ],
)
def test_what_would_lead_calls_past_us_is_refused(option: str, pattern: str) -> None:
    with pytest.raises(OptionsError, match=f"^{option}: it covers api.openai.com, whose calls would go out unread"):
        settings(**{option: ["example.com", pattern]})


@pytest.mark.parametrize(
    ("option", "pattern"),
    [
        ("ignore_hosts", r"example\.com"),
        ("ignore_hosts", r"^(?!api\.openai\.com:443)"),
        ("ignore_hosts", "^chatgpt.com:443$"),
        ("tcp_hosts", r"^(?!api\.openai\.com$)"),
        ("udp_hosts", r"\.example$"),
        ("allow_hosts", r"^api\.openai\.com:443$"),
        ("allow_hosts", "openai"),
    ],
)
def test_what_leaves_our_hosts_to_us_is_not(option: str, pattern: str) -> None:
    assert settings(**{option: [pattern]}).scope.hosts == {"api.openai.com"}


def test_what_is_allowed_has_to_name_every_host_of_ours() -> None:
    chosen: dict[str, object] = {"allow_hosts": ["openai"], "codex_hosts": "api.openai.com,llm.corp"}
    with pytest.raises(OptionsError, match=r"^allow_hosts: it does not cover llm.corp, .*; add llm\\.corp$"):
        settings(**chosen)
    assert settings(**chosen | {"allow_hosts": ["openai", "corp"]})
    assert settings(allow_hosts=["openai"])
    with pytest.raises(OptionsError, match=r"^allow_hosts: it does not cover chatgpt.com"):
        settings(allow_hosts=["openai"], codex_capture_chatgpt=True)


def test_what_is_no_pattern_is_said_to_be_none() -> None:
    with pytest.raises(OptionsError, match=r"^ignore_hosts: no regular expression: "):
        settings(ignore_hosts=["("])


def test_the_commands_refuse_it_as_the_proxy_does(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("tcp_hosts: [openai]\n")
    with pytest.raises(OptionsError, match=r"^tcp_hosts: it covers api.openai.com"):
        read_offline([], str(tmp_path))


def test_unchecked_certificates_are_for_loopback_alone() -> None:
    with pytest.raises(OptionsError, match=r"ssl_insecure would hand your ChatGPT tokens to anyone"):
        settings(ssl_insecure=True)
    assert settings(ssl_insecure=True, codex_backend="https://127.0.0.1:8443").backend.port == 8443


def test_unchecked_certificates_are_not_for_keys_that_go_to_the_platform() -> None:
    loopback = {"ssl_insecure": True, "codex_backend": "https://127.0.0.1:8443"}
    with pytest.raises(OptionsError, match=r"ssl_insecure would hand your ChatGPT tokens to anyone"):
        settings(**loopback, codex_overflow="on")
    found = settings(**loopback, codex_overflow="on", codex_platform="https://127.0.0.1:8444/v1")
    assert found.platform.port == 8444


def test_an_option_that_writes_tokens_into_the_log_is_refused() -> None:
    with pytest.raises(OptionsError, match="proxy_debug"):
        settings(proxy_debug=True)


@pytest.mark.parametrize("chosen", [{}, {"connection_strategy": "eager"}, {"listen_host": "0.0.0.0"}], ids=str)
def test_what_the_addon_needs_is_turned_on_unless_the_user_chose_otherwise(chosen: dict[str, object]) -> None:
    options = options_with(**chosen)
    told = turn_on_needs(options)
    needs = {"connection_strategy": "lazy", "listen_host": "127.0.0.1"}
    assert {name: getattr(options, name) for name in needs} == needs | chosen
    assert [line.partition(" ")[0] for line in told] == [name for name in needs if name not in chosen]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_each_says_what_it_is_for(option: Any) -> None:
    assert option.name.startswith("codex_")
    assert isinstance(option.default, option.type)
    assert option.help.endswith(".") and len(option.help) < 220


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("codex_backend=http://chatgpt.com/x", "codex_backend: 'http://chatgpt.com/x' would send tokens in the clear"),
        ("codex_hosts=", "codex_hosts: name at least one host"),
        ("codex_hold=soon", "soon"),
        ("codex_strategy=lottery", "codex_strategy"),
        ("codex_stall_timeout=0", "codex_stall_timeout: a timeout of 0 seconds would let nothing pass"),
        ("codex_keyring=true", "codex_keyring: there is no keychain of the operating system to be used"),
        ("codex_nosuch=1", "there is no option codex_nosuch"),
        ("ignore_hosts=api.openai.com", "ignore_hosts: it covers api.openai.com, whose calls would go out unread"),
        ("ssl_insecure=true", "ssl_insecure would hand your ChatGPT tokens to anyone"),
    ],
)
def test_mitmproxy_does_not_start_with_a_bad_one_and_says_why(
    make_backstage: Callable[[], Backstage], setting: str, told: str
) -> None:
    stage = make_backstage()
    command = [str(Path(sys.executable).with_name("mitmdump")), "-s", str(SCRIPT), "--set", f"confdir={stage.confdir}"]
    done = subprocess.run(
        [*command, "--listen-host", "127.0.0.1", "-p", "0", "--set", setting],
        env=clean_environment(UNDERSTUDY_HOME=str(stage.home), DBUS_SESSION_BUS_ADDRESS="unix:path=/nonexistent"),
        capture_output=True,
        text=True,
        timeout=10,
    )
    assert done.returncode == 1
    assert told in done.stdout + done.stderr


def test_the_commands_take_the_proxy_and_its_credentials_as_mitmproxy_does(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("upstream_auth: ada:secret\nweb_port: 9\n")
    settings = read_offline(["mode=upstream:http://127.0.0.1:3128"], str(tmp_path))
    assert settings.route.proxy == "http://ada:secret@127.0.0.1:3128"
    assert read_offline(["mode=upstream:http://127.0.0.1:3128"], str(tmp_path / "none")).route.proxy == (
        "http://127.0.0.1:3128"
    )


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("codex_isuer=http://127.0.0.1:1", "there is no option codex_isuer"),
        ("nonsense=1", "no option nonsense"),
        ("mode=upstream:", "mode: "),
        ("codex_issuer=http://example.com", "codex_issuer: "),
    ],
)
def test_what_the_commands_cannot_take_is_an_error_and_nobody_is_asked(setting: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=said):
        read_offline([setting], str(tmp_path))


def test_tokens_stay_where_they_are_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    assert read_offline([], str(tmp_path)).keyring is None
    assert read_offline(["codex_keyring=false"], str(tmp_path)).keyring is False
