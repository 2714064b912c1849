"""Programs that know of no proxy, led to it by the system: in networks that the test makes, with hosts of its own."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from support.country import ADDRESSES, NEEDED, NEW, OTHER, PYTHON, WORDS, Country
from support.hosts import HOST_KEY, PROGRAMS
from support.namespaces import missing
from support.peers import OPENAI, Origin
from support.proxy import ROOT, clean_environment
from support.theatre import eventually
from understudy.state.runtime import shared_proxy

if reason := missing(NEEDED):
    pytest.skip(f"NO REDIRECTION IS TESTED: {reason}", allow_module_level=True)

ASKED = json.dumps({"model": "gpt-5.5", "input": "hi"})
CURL = (
    "curl",
    "-sS",
    "--max-time",
    "20",
    "-H",
    f"Authorization: Bearer {HOST_KEY}",
    "-H",
    "Content-Type: application/json",
)
ASK = (*CURL, "--data-binary", ASKED, f"https://{OPENAI}/v1/responses")
REFUSED = 7
"""curl's exit code for a connection that is refused."""
TIMED_OUT = 28
NOBODY = 65534
TOOLS = ("nft", "iptables")
DATAGRAM = """\
import socket, sys
for address in sys.argv[1:]:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        try:
            datagrams.sendto(b"hello", (address, 443))
            print("sent")
        except OSError as error:
            print("refused")
"""
KEPT_ALIVE = f"""\
import http.client, sys
connection = http.client.HTTPSConnection("{OPENAI}", timeout=20)
for _ in sys.stdin:
    connection.request("GET", "/")
    print(connection.getresponse().read(), flush=True)
    assert connection.sock is not None
"""
EARLIER = """\
table inet theirs {
	chain output {
		type nat hook output priority -150; policy accept;
		tcp dport 443 redirect to :9
	}
}
"""
SQUATTER = """\
import socket, struct, sys, threading
def passed_on(one, other):
    while piece := one.recv(65536):
        other.sendall(piece)
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family)
print("listens", flush=True)
while True:
    program, _ = listener.accept()
    host = socket.create_connection((sys.argv[3], 443))
    for pair in ((program, host), (host, program)):
        threading.Thread(target=passed_on, args=pair, daemon=True).start()
"""
RULES_OF_OTHERS = """\
table inet others {
	chain output {
		type filter hook output priority 0; policy accept;
		tcp dport 25 reject
	}
}
"""


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA, authority_file: Path) -> Iterator[Country]:
    with Country(tmp_path_factory.mktemp("country"), authority, authority_file) as country:
        country.machine.run("nft", "-f", "-", stdin=RULES_OF_OTHERS)
        # As on a machine that uses iptables: what it makes at its first use it never removes.
        for tables in ("iptables-restore", "ip6tables-restore"):
            country.machine.run(
                tables,
                stdin="*nat\n-A OUTPUT -p tcp --dport 26\nCOMMIT\n*filter\n-A OUTPUT -p tcp --dport 27\nCOMMIT\n",
            )
        yield country


@pytest.fixture
def stage(country: Country) -> Iterator[Country]:
    """The country with a proxy, and nothing redirected."""
    country.names()
    if shared_proxy(country.home) is None:
        country.start_proxy()
    country.forget()
    yield country
    country.understudy("transparent", "down", "--yes", check=True)


@pytest.fixture(params=TOOLS)
def tool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def redirected(stage: Country, tool: str) -> Country:
    """The same, and the group's calls are redirected."""
    up(stage, "--tool", tool)
    return stage


def up(country: Country, *options: str) -> str:
    """Its output; nobody has asked anything then."""
    said = country.understudy("transparent", "up", *options, check=True).stdout
    country.forget()
    return said


def refused_up(country: Country, *options: str) -> str:
    """Why it is not made; the rules are what they were."""
    before = country.rules
    done = country.understudy("transparent", "up", *options)
    assert (done.returncode, done.stdout) == (1, "")
    assert country.rules == before
    return done.stderr


def test_curl_is_answered_from_the_sandbox_over_ipv4_and_ipv6(redirected: Country) -> None:
    for family in ("-4", "-6"):
        done = redirected.in_group(*ASK, family)
        assert WORDS in done.stdout, done
    assert len(redirected.sandbox.journal.responses()) == 2
    assert redirected.asked(OPENAI) == 0
    assert HOST_KEY not in redirected.sandbox.journal.to_json().decode()


def test_a_program_on_the_sdk_is_answered_from_the_sandbox(redirected: Country) -> None:
    done = redirected.in_group(str(PROGRAMS), str(ROOT / "tests" / "programs" / "ask.py"), "stream")
    assert json.loads(done.stdout.splitlines()[-1])["text"] == WORDS, done
    assert redirected.asked(OPENAI) == 0


RUN = (sys.executable, "-m", "understudy", "run", "--transparent", "--")


def test_run_starts_a_program_in_the_group_and_tells_what_was_done(redirected: Country) -> None:
    for family in ("-4", "-6"):
        done = redirected.elsewhere("env", "HTTPS_PROXY=http://127.0.0.1:9", *RUN, *ASK, family)
        assert WORDS in done.stdout, done
        assert "understudy: HTTPS_PROXY would lead past the proxy: left out" in done.stderr
        assert "understudy: 1 request, answered by work (1), counting all" in done.stderr
    assert redirected.asked(OPENAI) == 0


def test_run_starts_nothing_where_nothing_is_redirected(stage: Country) -> None:
    done = stage.elsewhere(*RUN, *ASK)
    assert (done.returncode, done.stdout) == (1, "")
    assert "run: understudy transparent up" in done.stderr
    assert stage.asked(OPENAI) == 0


def test_up_has_a_proxy_listen_that_did_not(stage: Country) -> None:
    stage.understudy("stop", check=True)
    stage.start_proxy(transparent=False)
    assert "the proxy was started anew" in up(stage)
    assert WORDS in stage.in_group(*ASK).stdout
    stage.understudy("transparent", "down", check=True)
    stage.understudy("stop", check=True)
    assert "the proxy was started, in the background" in up(stage)
    assert stage.state() == "in step"
    stage.understudy("stop", check=True)


@pytest.mark.parametrize("user", [None, NOBODY], ids=["root", "nobody"])
def test_programs_outside_of_the_group_meet_the_host_itself(redirected: Country, user: int | None) -> None:
    for family in ("-4", "-6"):
        done = redirected.elsewhere(*ASK, family, user=user)
        assert done.stdout == Origin.BODY.decode(), done
    assert redirected.asked(OPENAI) == 2
    assert redirected.sandbox.journal.responses() == ()


@pytest.mark.parametrize("options", [(), ("--every-address",)], ids=["codex_hosts", "every address"])
def test_other_hosts_show_their_own_certificate_in_the_group(
    stage: Country, tool: str, options: tuple[str, ...]
) -> None:
    up(stage, "--tool", tool, *options)
    # The file has the internet's authority alone: nothing that the proxy has opened would be accepted.
    trust = ("--cacert", str(stage.authority_file))
    for family in ("-4", "-6"):
        done = stage.in_group(*CURL, *trust, family, f"https://{OTHER}/")
        assert done.stdout == Origin.BODY.decode(), done
    assert stage.asked(OTHER) == 2


def test_what_the_proxy_leaves_alone_goes_to_the_host_once_and_does_not_come_back(redirected: Country) -> None:
    done = redirected.in_group(*CURL, "--data-binary", '{"input": "hi"}', f"https://{OPENAI}/v1/embeddings")
    assert done.stdout == Origin.BODY.decode(), done
    assert redirected.asked(OPENAI) == 1


def test_http3_is_refused_in_the_group_alone(redirected: Country) -> None:
    ask = (sys.executable, "-c", DATAGRAM, *ADDRESSES[OPENAI], *ADDRESSES[OTHER])
    assert redirected.in_group(*ask).stdout.split() == ["refused", "refused", "sent", "sent"]
    assert (redirected.told(OPENAI), redirected.told(OTHER)) == (0, 2)
    assert redirected.elsewhere(*ask).stdout.split() == ["sent"] * 4
    assert (redirected.told(OPENAI), redirected.told(OTHER)) == (2, 2)


def test_without_the_proxy_connections_are_refused_and_nothing_goes_out(redirected: Country) -> None:
    os.kill(redirected.proxy, signal.SIGKILL)
    eventually(lambda: shared_proxy(redirected.home) is None)
    for family in ("-4", "-6"):
        assert redirected.in_group(*ASK, family, proven=False).returncode == REFUSED
    assert redirected.asked(OPENAI) == 0
    assert redirected.state() == "stale"
    assert "no proxy is running" in redirected.in_group(*ASK).stderr


@pytest.mark.parametrize(("family", "address"), [("-4", "127.0.0.1"), ("-6", "::1")], ids=["IPv4", "IPv6"])
def test_nobody_else_can_take_the_port_of_a_proxy_that_has_ended(
    redirected: Country, family: str, address: str
) -> None:
    found = shared_proxy(redirected.home)
    assert found is not None
    (port,) = (each.port for each in found.listeners if (each.mode, each.host) == ("transparent", address))
    redirected.understudy("stop", check=True)
    host = ADDRESSES[OPENAI][address == "::1"]
    nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")
    command = redirected.machine.command(*nobody, PYTHON, "-c", SQUATTER, address, str(port), host)
    hurried = [word if word != "20" else "3" for word in ASK]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment()) as squatter:
        try:
            assert squatter.stdout is not None and squatter.stdout.readline() == "listens\n"
            assert redirected.in_group(*hurried, family, proven=False).returncode == TIMED_OUT
        finally:
            squatter.kill()
    assert redirected.asked(OPENAI) == 0


def test_hosts_that_the_proxy_serves_since_are_missed_and_up_redirects_them_too(stage: Country) -> None:
    up(stage)
    both = f"codex_hosts={OPENAI},{OTHER}"
    stage.understudy("ca", "rotate", "--yes", "--host", OPENAI, "--host", OTHER, check=True)
    stage.understudy("restart", "--set", both, check=True)
    try:
        said = stage.understudy("transparent", "status").stdout
        assert said.startswith("half\n") and f"the proxy serves {OTHER} by now" in said
        assert "mend it: understudy transparent up" in said
        assert f"the proxy serves {OTHER} by now" in stage.in_group(*ASK).stderr
        up(stage)
        assert stage.state() == "in step"
        there = [word.replace(OPENAI, OTHER) for word in ASK]
        assert WORDS in stage.in_group(*there).stdout
        assert stage.asked(OTHER) == 0
    finally:
        stage.understudy("stop", check=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--user", "nosuchuser"), "there is no user nosuchuser"),
        (("--tool", "pf"), "there is no pfctl here"),
        (("--systemd",), "This way was not run by us"),
    ],
    ids=["no such user", "no such tool", "not agreed to"],
)
@pytest.mark.parametrize("runs", [False, True], ids=["no proxy", "one that does not listen for it"])
def test_for_what_cannot_be_no_proxy_is_started(
    stage: Country, runs: bool, options: tuple[str, ...], said: str
) -> None:
    stage.understudy("stop", check=True)
    before = stage.start_proxy(transparent=False) if runs else None
    assert said in refused_up(stage, *options)
    found = shared_proxy(stage.home)
    assert (found.pid if found else None) == before
    if runs:
        stage.understudy("stop", check=True)


def test_another_user_s_connections_are_redirected_and_the_proxy_user_s_are_not(stage: Country, tool: str) -> None:
    up(stage, "--tool", tool, "--user", "nobody")
    for family in ("-4", "-6"):
        assert WORDS in stage.elsewhere(*ASK, family, user=NOBODY).stdout
    assert stage.asked(OPENAI) == 0
    assert stage.elsewhere(*ASK).stdout == Origin.BODY.decode()
    assert stage.state() == "in step"


def test_a_connection_that_was_open_before_goes_on(stage: Country, tool: str) -> None:
    with before(stage) as ask:
        assert Origin.BODY.decode() in ask()
        up(stage, "--tool", tool, "--user", "nobody")
        assert Origin.BODY.decode() in ask()


@pytest.mark.parametrize("options", [(), ("--user", "nobody"), ("--every-address",)], ids=" ".join)
def test_down_leaves_every_other_rule_as_it_was(stage: Country, tool: str, options: tuple[str, ...]) -> None:
    before = stage.rules
    up(stage, "--tool", tool, *options)
    assert stage.rules != before
    stage.understudy("transparent", "down", check=True)
    assert stage.rules == before
    assert not stage.group.exists()
    assert stage.understudy("transparent", "down").stdout == "nothing is redirected\n"


def test_the_way_out_needs_neither_python_nor_understudy(stage: Country, tool: str) -> None:
    before = stage.rules
    up(stage, "--tool", tool, "--user", "nobody")
    stage.machine.run(str(ROOT / "scripts" / "transparent-down"))
    assert (stage.rules, stage.state()) == (before, "gone")
    assert stage.understudy("transparent", "down").returncode == 0
    assert (stage.rules, stage.state()) == (before, "off")


def test_up_once_more_changes_nothing(redirected: Country, tool: str) -> None:
    before = uncounted(redirected.rules)
    assert up(redirected, "--tool", tool).startswith("up already, and tried")
    assert uncounted(redirected.rules) == before
    assert redirected.state() == "in step"


def test_a_dry_run_does_nothing(stage: Country, tool: str) -> None:
    before = stage.rules
    said = stage.understudy("transparent", "up", "--tool", tool, "--dry-run").stdout
    assert "203.0.113.10" in said and "2001:db8::10" in said
    made, tried = said.split("\n\n# And to look whether it is there, and works:\n")
    assert "# look at" in tried and "its process enters the group" in tried and "# look at" not in made
    assert (stage.rules, stage.group.exists(), stage.state()) == (before, False, "off")


@pytest.mark.parametrize("lost", [False, True], ids=["it knows of it", "the file is lost"])
def test_down_cleans_up_after_an_up_that_was_killed(stage: Country, tool: str, lost: bool) -> None:
    before = stage.rules
    up(stage, "--tool", tool)
    path = stage.home / "transparent.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "essence": None, "group": None, "refresher": None}))
    assert stage.state() == "half"
    if lost:
        path.unlink()
        assert "nothing is known of; run: understudy transparent down" in refused_up(stage, "--tool", tool)
    stage.understudy("transparent", "down", "--yes", check=True)
    assert (stage.rules, stage.state()) == (before, "off")


def test_after_a_reboot_it_says_so_and_down_has_nothing_to_remove(redirected: Country, tool: str) -> None:
    redirected.understudy("transparent", "down", "--yes")
    up(redirected, "--tool", tool)
    path = redirected.home / "transparent.json"
    made = path.read_text()
    redirected.understudy("transparent", "down", "--yes", check=True)
    path.write_text(json.dumps(json.loads(made) | {"boot": "an earlier one"}))
    path.chmod(0o600)
    assert redirected.state() == "gone"
    assert "nothing is redirected yet" in redirected.in_group(*ASK).stderr
    assert redirected.understudy("transparent", "down").stdout == "nothing is redirected\n"
    assert not path.exists()


def test_rules_that_somebody_removed_are_missed_and_made_again(redirected: Country, tool: str) -> None:
    flush = {"nft": "nft delete table inet understudy_0", "iptables": "iptables -t nat -F OUTPUT"}
    redirected.machine.run("sh", "-c", flush[tool])
    assert redirected.state() in ("gone", "half")
    assert "it does not work here" in redirected.in_group(*ASK).stderr
    assert redirected.asked(OPENAI) <= 2  # The trial itself, which sends nothing.
    up(redirected, "--tool", tool)
    assert redirected.state() == "in step"
    assert WORDS in redirected.in_group(*ASK).stdout


def test_a_group_that_was_made_anew_is_not_taken_for_the_old_one(redirected: Country, tool: str) -> None:
    (redirected.group / "cgroup.kill").write_text("1")
    eventually(lambda: removed(redirected.group))
    redirected.group.mkdir()
    assert redirected.state() == "half"
    assert "made anew" in redirected.in_group(*ASK).stderr
    up(redirected, "--tool", tool)
    assert WORDS in redirected.in_group(*ASK).stdout


def test_a_new_address_is_redirected_once_the_name_service_tells_it(redirected: Country) -> None:
    redirected.names(openai=[NEW])
    at = (*CURL, "--resolve", f"{OPENAI}:443:{NEW}", "--data-binary", ASKED, f"https://{OPENAI}/v1/responses")
    eventually(lambda: NEW in redirected.rules, timeout=20)
    assert WORDS in redirected.in_group(*at).stdout
    assert redirected.asked(OPENAI) == 0


def test_with_every_address_one_that_nobody_told_is_redirected_too(stage: Country, tool: str) -> None:
    up(stage, "--tool", tool, "--every-address")
    at = (*CURL, "--resolve", f"{OPENAI}:443:{NEW}", "--data-binary", ASKED, f"https://{OPENAI}/v1/responses")
    assert WORDS in stage.in_group(*at).stdout
    assert stage.asked(OPENAI) == 0


def test_it_refuses_to_catch_the_proxy(stage: Country) -> None:
    assert "root runs the proxy itself" in refused_up(stage, "--user", "root")
    stage.group.mkdir()
    (stage.group / "cgroup.procs").write_text(str(stage.proxy))
    assert "it would catch the proxy itself" in refused_up(stage)
    (stage.group.parent / "cgroup.procs").write_text(str(stage.proxy))
    up(stage)
    (stage.group / "cgroup.procs").write_text(str(stage.proxy))
    assert stage.state() == "loop"
    (stage.group.parent / "cgroup.procs").write_text(str(stage.proxy))
    assert stage.state() == "in step"


@pytest.mark.parametrize("address", ["127.0.0.1", "192.0.2.1", "2001:db8:1::1", "fe80::1", "224.0.0.1"])
def test_it_refuses_addresses_that_are_this_machine_s_or_nobody_s(stage: Country, address: str) -> None:
    stage.names(openai=[address])
    assert f"leads to {address}, which is a" in refused_up(stage)


def test_it_refuses_where_the_name_service_knows_nothing(stage: Country) -> None:
    stage.machine.hosts.write_text("")
    assert "the addresses of api.openai.com are not known" in refused_up(stage)


def test_a_dry_run_starts_no_proxy(stage: Country) -> None:
    stage.understudy("stop", check=True)
    assert "run: understudy start --transparent" in refused_up(stage, "--dry-run")
    stage.start_proxy(transparent=False)
    assert "run: understudy restart --transparent" in refused_up(stage, "--dry-run")
    stage.understudy("stop", check=True)


def test_where_the_proof_fails_all_is_taken_back(stage: Country, tool: str) -> None:
    # Somebody else's redirection comes first, and leads to a port where nobody listens.
    stage.machine.run("nft", "-f", "-", stdin=EARLIER)
    try:
        said = refused_up(stage, "--tool", tool)
    finally:
        stage.machine.run("nft", "delete table inet theirs")
    assert said.startswith("understudy: it does not work: ") and "203.0.113.10: connections are refused" in said
    assert (stage.state(), stage.group.exists()) == ("off", False)


def test_down_asks_while_programs_run_in_the_group(redirected: Country) -> None:
    with in_the_group(redirected) as pid:
        done = redirected.understudy("transparent", "down")
        assert f"(processes {pid}) will use their own keys" in done.stderr
        assert redirected.state() == "in step"


def uncounted(rules: str) -> str:
    """The rules without what they count; iptables always counts."""
    return re.sub(r"counter packets \d+ bytes \d+", "counter", rules)


def removed(group: Path) -> bool:
    try:
        group.rmdir()
    except OSError:
        return False
    return True


@contextmanager
def in_the_group(country: Country) -> Iterator[int]:
    """A program that runs in the group: its process."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as program:
        (country.group / "cgroup.procs").write_text(str(program.pid))
        yield program.pid
        program.kill()


@contextmanager
def before(country: Country) -> Iterator[Callable[[], str]]:
    """A connection of nobody's to the host itself: asks once more over it."""
    nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")
    command = country.machine.command(*nobody, PYTHON, "-c", KEPT_ALIVE)
    trust = clean_environment(SSL_CERT_FILE=country.trusted)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=trust) as program:

        def ask() -> str:
            assert program.stdin is not None and program.stdout is not None
            program.stdin.write("again\n")
            program.stdin.flush()
            return program.stdout.readline()

        yield ask
        program.kill()
