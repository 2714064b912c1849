"""The doctor on the variables of a shell: where they lead programs, and what programs trust by them."""

from pathlib import Path

import pytest

from support.clinic import Clinic
from support.command import free_port
from understudy.doctor.check import State
from understudy.doctor.shell import goes_past, way_of
from understudy.workstation.environment import BEFORE


def led(clinic: Clinic, port: int | None) -> None:
    """The shell leads to a proxy, as `understudy env` has it."""
    clinic.environ |= {"HTTPS_PROXY": f"http://127.0.0.1:{port}", "SSL_CERT_FILE": str(clinic.confdir.bundle)}


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_variable_that_leads_to_a_proxy_that_has_ended_is_bad(clinic: Clinic, name: str) -> None:
    port = free_port()
    clinic.environ[name] = f"http://localhost:{port}"
    found = clinic.alone("shell: proxy")
    assert f"{name} leads to localhost:{port}, where nothing listens" in found.said
    assert found.command == f"unset {name}"


def test_what_env_has_set_env_takes_back(clinic: Clinic) -> None:
    clinic.environ |= {"HTTPS_PROXY": f"http://127.0.0.1:{free_port()}", BEFORE: "{}"}
    assert clinic.alone("shell: proxy").command == 'eval "$(understudy env --unset)"'


def test_a_variable_that_leads_to_where_a_proxy_was_is_bad_while_another_runs(clinic: Clinic) -> None:
    clinic.environ["HTTPS_PROXY"] = f"http://127.0.0.1:{free_port()}"
    with clinic.proxy():
        assert clinic.alone("shell: proxy").command == 'eval "$(understudy env)"'


def test_a_variable_that_leads_to_a_foreign_program_is_a_warning(clinic: Clinic) -> None:
    with clinic.proxy() as proxy:
        clinic.environ["HTTPS_PROXY"] = f"127.0.0.1:{proxy.port}"
        (clinic.home / "running").rename(clinic.home / "elsewhere")
        assert "not a proxy of ours" in clinic.alone("shell: proxy", State.WARN).said
        (clinic.home / "elsewhere").rename(clinic.home / "running")


def test_two_spellings_that_lead_apart_are_bad(clinic: Clinic) -> None:
    with clinic.proxy() as proxy:
        led(clinic, proxy.port)
        clinic.environ["https_proxy"] = "http://127.0.0.1:1"
        assert "lead to different proxies" in clinic.alone("shell: proxy").said


@pytest.mark.parametrize("name", ["WSS_PROXY", "wss_proxy", "SOCKS_PROXY", "socks_proxy"])
def test_what_some_programs_go_by_first_and_that_leads_past_the_proxy_is_bad(clinic: Clinic, name: str) -> None:
    with clinic.proxy() as proxy:
        led(clinic, proxy.port)
        clinic.environ[name] = f"http://127.0.0.1:{proxy.port}"
        clinic.healthy()
        clinic.environ[name] = "socks5://ada:s3cret@proxy.example.com:1080"
        found = clinic.alone("shell: proxy")
        assert f"{name} leads past our proxy" in found.said and "s3cret" not in found.said


def test_a_variable_that_names_nothing_leads_nowhere(clinic: Clinic) -> None:
    clinic.environ["HTTPS_PROXY"] = " "
    assert clinic.healthy()["shell: proxy"].said.startswith("no proxy is named")


def test_a_company_s_proxy_is_well_and_its_password_is_not_shown(clinic: Clinic) -> None:
    clinic.environ["HTTPS_PROXY"] = "http://ada:s3cret@proxy.example.com:3128"
    found = clinic.healthy()["shell: proxy"]
    assert found.said == "HTTPS_PROXY leads to another proxy, proxy.example.com:3128"


@pytest.mark.parametrize("url", ["http://[::1", "http://h:port"])
def test_what_is_no_address_leads_nowhere(url: str) -> None:
    assert way_of("HTTPS_PROXY", url).port is None


@pytest.mark.parametrize(
    "entry", ["*", ".openai.com", "localhost, openai.com:443", "*.OpenAI.com", "*openai*", "penai.com", "https://"]
)
def test_no_proxy_that_leads_past_the_proxy_is_bad(clinic: Clinic, entry: str) -> None:
    with clinic.proxy() as proxy:
        led(clinic, proxy.port)
        clinic.environ["no_proxy"] = entry
        assert "no_proxy has programs go to api.openai.com directly" in clinic.alone("shell: no_proxy").said


@pytest.mark.parametrize("entry", ["", "localhost,127.0.0.1,::1", "notopenai.com", "chat.openai.com", "10.0.0.0/8"])
def test_no_proxy_for_others_is_well(entry: str) -> None:
    assert not goes_past(entry, "api.openai.com")


def test_no_proxy_does_not_matter_where_no_proxy_is_named(clinic: Clinic) -> None:
    clinic.environ["NO_PROXY"] = "*"
    clinic.healthy()


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "CODEX_CA_CERTIFICATE", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize("there", [True, False])
def test_a_file_without_the_proxy_s_certificate_is_bad(
    clinic: Clinic, tmp_path: Path, confdir_template: Path, name: str, there: bool
) -> None:
    file = confdir_template / "mitmproxy-ca-cert.pem" if there else tmp_path / "absent.pem"
    with clinic.proxy() as proxy:
        led(clinic, proxy.port)
        clinic.environ[name] = str(file)
        found = clinic.alone("shell: trust")
    assert f"the file of {name} do" in found.said


def test_a_file_that_takes_the_place_of_all_others_and_holds_ours_alone_is_a_warning(clinic: Clinic) -> None:
    with clinic.proxy() as proxy:
        led(clinic, proxy.port)
        clinic.environ["SSL_CERT_FILE"] = str(clinic.confdir.certificate)
        assert "and no other" in clinic.alone("shell: trust", State.WARN).said


def test_a_file_that_adds_to_the_others_may_hold_ours_alone(clinic: Clinic) -> None:
    with clinic.proxy() as proxy:
        led(clinic, proxy.port)
        clinic.environ["NODE_EXTRA_CA_CERTS"] = str(clinic.confdir.certificate)
        clinic.healthy()


def test_a_proxy_that_nothing_trusts_is_a_warning(clinic: Clinic) -> None:
    with clinic.proxy() as proxy:
        clinic.environ["HTTPS_PROXY"] = f"http://127.0.0.1:{proxy.port}"
        assert "no variable has programs trust" in clinic.alone("shell: trust", State.WARN).said


@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "OPENAI_API_BASE"])
def test_a_base_url_that_leads_elsewhere_is_bad_where_the_shell_leads_to_us(clinic: Clinic, name: str) -> None:
    clinic.environ[name] = "https://llm.example.com/v1"
    assert f"{name} leads to llm.example.com" in clinic.alone("shell: base url", State.WARN).said
    with clinic.proxy() as proxy:
        led(clinic, proxy.port)
        assert clinic.alone("shell: base url").command == f"unset {name}"


def test_a_base_url_that_leads_to_openai_or_to_a_proxy_of_ours_is_well(clinic: Clinic) -> None:
    with clinic.proxy() as proxy:
        for url in ("https://api.openai.com/v1", f"http://127.0.0.1:{proxy.port}/v1"):
            clinic.environ["OPENAI_BASE_URL"] = url
            clinic.healthy()


def test_a_check_of_certificates_that_is_turned_off_is_bad(clinic: Clinic) -> None:
    clinic.environ["NODE_TLS_REJECT_UNAUTHORIZED"] = "0"
    assert clinic.alone("shell: tls").command == "unset NODE_TLS_REJECT_UNAUTHORIZED"


@pytest.mark.parametrize("name", ["SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE"])
def test_keys_that_are_written_down_are_bad(clinic: Clinic, name: str) -> None:
    clinic.environ[name] = "/tmp/keys"
    assert clinic.alone("shell: tls").command == f"unset {name}"


def test_a_key_of_the_user_s_own_is_well(clinic: Clinic) -> None:
    clinic.environ["OPENAI_API_KEY"] = "sk-of-the-user"
    assert "sk-of-the-user" not in repr(clinic.healthy())
