"""The environment of a program behind the proxy: what it gets, what it keeps, and what can be taken back."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.wire.identity import DUMMY_KEY
from understudy.workstation.confdir import Confdir
from understudy.workstation.environment import (
    BEFORE,
    Upstream,
    applied,
    before,
    changes,
    current_proxy,
    joined,
    old_node,
    restoring,
    upstream,
    warnings,
    without_proxies,
)

URL = "http://127.0.0.1:8080"
CONFDIR = Confdir(Path("/data/understudy"))
BUNDLE, CERTIFICATE = str(CONFDIR.bundle), str(CONFDIR.certificate)
COMPANY = "/etc/company/roots.pem"

NAMES = """HTTPS_PROXY https_proxy WSS_PROXY wss_proxy SOCKS_PROXY socks_proxy NO_PROXY no_proxy
SSL_CERT_FILE SSL_CERT_DIR NODE_EXTRA_CA_CERTS REQUESTS_CA_BUNDLE CURL_CA_BUNDLE CODEX_CA_CERTIFICATE
NODE_OPTIONS OPENAI_API_KEY HOME"""
names = st.sampled_from(NAMES.split())
environments = st.dictionaries(names, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))


def child(**own: str) -> dict[str, str]:
    """The environment of a program whose user has these variables."""
    return applied(own, changes(URL, CONFDIR, own))


def test_a_program_gets_what_each_kind_of_program_reads() -> None:
    got = child(HOME="/home/ada", GIT_SSL_CAINFO=COMPANY)
    saved = json.loads(got.pop(BEFORE))
    assert got == {
        "HOME": "/home/ada",
        "GIT_SSL_CAINFO": COMPANY,
        "HTTPS_PROXY": URL,
        "https_proxy": URL,
        "WSS_PROXY": URL,
        "wss_proxy": URL,
        "NO_PROXY": "localhost,127.0.0.1,::1",
        "no_proxy": "localhost,127.0.0.1,::1",
        "NODE_USE_ENV_PROXY": "1",
        "SSL_CERT_FILE": BUNDLE,
        "CURL_CA_BUNDLE": BUNDLE,
        "REQUESTS_CA_BUNDLE": BUNDLE,
        "NODE_EXTRA_CA_CERTS": CERTIFICATE,
        "CODEX_CA_CERTIFICATE": CERTIFICATE,
        "OPENAI_API_KEY": DUMMY_KEY,
    }
    assert saved.keys() == got.keys() - {"HOME", "GIT_SSL_CAINFO"}


def test_without_a_url_a_program_is_told_what_to_trust_and_nothing_of_a_proxy() -> None:
    got = changes(None, CONFDIR, {})
    assert "SSL_CERT_FILE" in got and not {"HTTPS_PROXY", "NO_PROXY", "NODE_USE_ENV_PROXY"} & got.keys()


def test_a_key_of_the_user_s_own_stays() -> None:
    assert child(OPENAI_API_KEY="sk-own")["OPENAI_API_KEY"] == "sk-own"
    assert child(OPENAI_API_KEY="")["OPENAI_API_KEY"] == DUMMY_KEY


@pytest.mark.parametrize(
    "name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "SSL_CERT_DIR", "GIT_SSL_CAINFO"]
)
def test_what_is_not_for_https_to_us_stays_as_it_is(name: str) -> None:
    assert child(**{name: "/some/thing"})[name] == "/some/thing"


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        "api.openai.com",
        "API.OpenAI.com",
        ".openai.com",
        "openai.com",
        "*.openai.com",
        "com",
        "api.openai.com.",
        "api.openai.com:443",
        "api.*.com",
        "i.openai.com",
        "*openai*",
        "https://api.openai.com",
        "https://*.openai.com",
        "https://api.openai.com:443/",
        "all://api.openai.com",
        "all://",
        "https://",
        "api.openai.com/",
    ],
)
def test_what_some_program_would_take_for_a_way_past_the_proxy_is_left_out_and_said(entry: str) -> None:
    own = {"NO_PROXY": f"intranet.example,{entry}"}
    assert child(**own)["no_proxy"] == "intranet.example,localhost,127.0.0.1,::1"
    assert warnings(own) == (f"NO_PROXY has {entry!r}, which would lead past the proxy: left out",)


@pytest.mark.parametrize(
    "entry",
    [
        "chatgpt.com",
        "10.0.0.0/8",
        "https://intranet.example/",
        "api.openai.com.example",
        ".internal",
        "platform.openai.com",
    ],
)
def test_the_user_s_other_exceptions_stay(entry: str) -> None:
    assert child(no_proxy=entry)["NO_PROXY"] == f"{entry},localhost,127.0.0.1,::1"
    assert warnings({"no_proxy": entry}) == ()


@pytest.mark.parametrize("name", ["SOCKS_PROXY", "socks_proxy"])
def test_what_some_programs_go_through_rather_than_through_https_proxy_is_left_out_and_said(name: str) -> None:
    own = {name: "socks5://proxy.corp:1080"}
    got = child(**own)
    assert name not in got and applied(got, restoring(got)) == own
    assert warnings(own) == (f"{name} would lead some programs past the proxy: left out",)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy", "WSS_PROXY", "wss_proxy", "SOCKS_PROXY", "socks_proxy"])
def test_no_proxy_of_the_user_s_is_left_to_a_program_whose_connections_are_redirected(name: str) -> None:
    assert without_proxies({name: "http://proxy.corp:3128", "HTTP_PROXY": "http://proxy.corp:3128"}) == {name: None}


def test_both_spellings_say_what_either_said() -> None:
    got = child(NO_PROXY="one.example two.example", no_proxy="three.example,localhost")
    assert got["NO_PROXY"] == got["no_proxy"] == "three.example,localhost,one.example,two.example,127.0.0.1,::1"


def test_another_claimed_host_is_not_to_be_bypassed_either() -> None:
    own = {"NO_PROXY": "llm.example"}
    assert "llm.example" not in str(changes(URL, CONFDIR, own, {"llm.example"})["NO_PROXY"])


def test_the_user_s_own_certificates_are_put_together_with_ours() -> None:
    own = {"NODE_EXTRA_CA_CERTS": COMPANY, "SSL_CERT_FILE": COMPANY}
    got, files = child(**own), joined(CONFDIR, own)
    assert got["NODE_EXTRA_CA_CERTS"] == got["SSL_CERT_FILE"]
    assert files == {Path(got["SSL_CERT_FILE"]): (Path(COMPANY), CONFDIR.certificate)}
    assert got["REQUESTS_CA_BUNDLE"] == BUNDLE and got["CODEX_CA_CERTIFICATE"] == CERTIFICATE


def test_a_folder_of_certificates_counts_where_a_file_comes_before_it() -> None:
    own = {"SSL_CERT_DIR": "/etc/one:/etc/two"}
    sources = joined(CONFDIR, own)[Path(child(**own)["SSL_CERT_FILE"])]
    assert sources == (Path("/etc/one"), Path("/etc/two"), CONFDIR.bundle)


def test_requests_goes_by_curl_s_certificates_where_it_has_none_of_its_own() -> None:
    got = child(CURL_CA_BUNDLE=COMPANY)
    assert got["REQUESTS_CA_BUNDLE"] == got["CURL_CA_BUNDLE"] != BUNDLE


@pytest.mark.parametrize("path", [BUNDLE, CERTIFICATE])
def test_our_own_files_are_not_put_together_with_ours(path: str) -> None:
    assert child(SSL_CERT_FILE=path)["SSL_CERT_FILE"] == path
    assert joined(CONFDIR, {"SSL_CERT_FILE": path}) == {}


def test_a_node_that_knows_no_proxy_gets_a_script_beside_the_user_s_own_options() -> None:
    own = {"NODE_OPTIONS": "--no-warnings"}
    got = changes(URL, CONFDIR, own, preload=Path('/a "b"/node\\proxy.cjs'))
    assert got["NODE_OPTIONS"] == '--no-warnings --require "/a \\"b\\"/node\\\\proxy.cjs"'


@pytest.mark.parametrize(
    ("version", "is_old"),
    [
        ("v20.20.2\n", True),
        ("v22.20.0", True),
        ("v22.21.0", False),
        ("v23.11.0", True),
        ("v24.0.0", False),
        ("", False),
    ],
)
def test_which_node_knows_no_proxy(version: str, is_old: bool) -> None:
    assert old_node(version) is is_old


@given(environments)
def test_all_of_it_can_be_taken_back(own: dict[str, str]) -> None:
    got = applied(own, changes(URL, CONFDIR, own, preload=Path("/x.cjs")))
    assert applied(got, restoring(got)) == before(got) == own


@given(environments, st.integers(1, 65535))
def test_to_change_it_twice_is_to_change_it_once(own: dict[str, str], port: int) -> None:
    once = applied(own, changes(f"http://127.0.0.1:{port}", CONFDIR, own, preload=Path("/x.cjs")))
    assert applied(once, changes(URL, CONFDIR, once)) == applied(own, changes(URL, CONFDIR, own))
    assert joined(CONFDIR, once) == joined(CONFDIR, own)


def test_what_the_user_sets_afterwards_stays_when_it_is_taken_back() -> None:
    got = child() | {"HTTPS_PROXY": "http://other.example:1"}
    assert applied(got, restoring(got)) == {"HTTPS_PROXY": "http://other.example:1"}


def test_where_nothing_was_changed_there_is_nothing_to_take_back() -> None:
    assert restoring({"HTTPS_PROXY": URL}) == {}


@pytest.mark.parametrize("value", ["", "[]", "{", "17", '{"A":1}', '{"A":[1,2]}', "null", '{"A; ls":["x",null]}'])
def test_what_is_kept_of_the_past_may_be_anything(value: str) -> None:
    own = {"A": "1", "HTTPS_PROXY": "http://proxy.example:3128"}
    assert before(own | {BEFORE: value}) == own


@pytest.mark.parametrize("name", ["A; ls", "A\nB", "1A", "", "A="])
def test_what_is_no_name_of_a_variable_is_not_taken_back(name: str) -> None:
    assert restoring({BEFORE: json.dumps({name: ["x", None]})}) == {BEFORE: None}


def test_an_environment_leads_to_our_proxy_until_another_is_set() -> None:
    assert current_proxy(child()) == URL
    assert current_proxy(child() | {"HTTPS_PROXY": "http://other.example"}) is None
    assert current_proxy({"HTTPS_PROXY": URL}) is None


@pytest.mark.parametrize(
    ("own", "url", "auth"),
    [
        ({"HTTPS_PROXY": "http://proxy.corp:3128"}, "http://proxy.corp:3128", ""),
        ({"https_proxy": "proxy.corp:3128", "HTTPS_PROXY": "http://no"}, "http://proxy.corp:3128", ""),
        ({"ALL_PROXY": "https://proxy.corp"}, "https://proxy.corp:443", ""),
        ({"HTTPS_PROXY": "http://ada:p%40ss@proxy.corp"}, "http://proxy.corp:80", "ada:p@ss"),
        ({"HTTPS_PROXY": "http://[::1]:3128/"}, "http://[::1]:3128", ""),
    ],
)
def test_the_user_s_own_proxy_is_found(own: dict[str, str], url: str, auth: str) -> None:
    for environ in (own, child(**own)):
        found = upstream(environ)
        assert found is not None and (found.url, found.auth.reveal()) == (url, auth)


@pytest.mark.parametrize(
    "own", [{}, {"HTTPS_PROXY": ""}, {"HTTPS_PROXY": " "}, {"HTTPS_PROXY": "http://proxy.corp", "NO_PROXY": "*"}]
)
def test_where_the_user_has_no_proxy_none_is_found(own: dict[str, str]) -> None:
    assert upstream(own) is None


@pytest.mark.parametrize("value", ["socks5://proxy.corp:1080", "http://proxy.corp:port", "http://[", "http://:3128"])
def test_a_proxy_that_cannot_be_gone_through_is_named_without_its_password(value: str) -> None:
    with pytest.raises(ValueError, match=r"^HTTPS_PROXY names a proxy"):
        upstream({"HTTPS_PROXY": value})


def test_a_proxy_s_password_does_not_show() -> None:
    found = upstream({"HTTPS_PROXY": "http://ada:hidden@proxy.corp"})
    assert isinstance(found, Upstream) and "hidden" not in repr(found)


@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "OPENAI_API_BASE"])
def test_a_base_url_elsewhere_stays_and_is_said(name: str) -> None:
    own = {name: "https://llm.example:8443/v1"}
    assert child(**own)[name] == own[name]
    assert warnings(own) == (f"{name} leads elsewhere (llm.example): programs that heed it are not served",)
    assert warnings({name: "https://api.openai.com/v1"}) == warnings({name: ""}) == ()
