"""What is redirected, as the rules of each tool and the commands of each plan have it, word for word."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from understudy.workstation.redirection import iptables, nft, pf, plan, record
from understudy.workstation.redirection.machine import unfit
from understudy.workstation.redirection.proof import PYTHONS, Met, faults_inside, faults_outside, steps, unproven
from understudy.workstation.redirection.record import Record
from understudy.workstation.redirection.redirect import Cgroup, OtherUser, Redirect
from understudy.workstation.redirection.step import Step, rendered
from understudy.workstation.redirection.tools import TOOLS, of_this_system

GROUP = Cgroup("/sys/fs/cgroup", "understudy-1000")
GROUP_S = Redirect(
    owner=1000,
    selector=GROUP,
    ports=(8180, 8181),
    hosts=("api.openai.com",),
    addresses=("203.0.113.10", "2001:db8::10"),
    every_address=False,
    token="0a1b2c3d",
)
GUEST_S = replace(GROUP_S, selector=OtherUser("guest", 1001))

NFT_GROUP = """\
add table inet understudy_1000
delete table inet understudy_1000
table inet understudy_1000 {
	set v4 {
		type ipv4_addr
		elements = { 203.0.113.10 }
	}
	set v6 {
		type ipv6_addr
		elements = { 2001:db8::10 }
	}
	chain redirected {
		type nat hook output priority -100; policy accept;
		fib daddr type { local, broadcast, multicast } return
		WHO ip daddr @v4 tcp dport 443 NEW redirect to :8180
		WHO ip6 daddr @v6 tcp dport 443 NEW redirect to :8181
	}
	chain refused {
		type filter hook output priority 0; policy accept;
		fib daddr type { local, broadcast, multicast } return
		WHO ip daddr @v4 udp dport 443 reject
		WHO ip6 daddr @v6 udp dport 443 reject
		WHO ip daddr @v4 tcp dport 443 NEW reject with tcp reset
		WHO ip6 daddr @v6 tcp dport 443 NEW reject with tcp reset
	}
	chain answered {
		type filter hook output priority 0; policy accept;
		meta nfproto ipv4 tcp sport 8180 ACCEPTED ct status dnat meta skuid 1000 accept
		meta nfproto ipv4 tcp sport 8180 ACCEPTED ct status dnat drop
		meta nfproto ipv6 tcp sport 8181 ACCEPTED ct status dnat meta skuid 1000 accept
		meta nfproto ipv6 tcp sport 8181 ACCEPTED ct status dnat drop
	}
	chain made_0a1b2c3d {
	}
}
""".replace("ACCEPTED", "tcp flags & (syn | ack) == syn | ack").replace(
    "NEW", "tcp flags & (fin | syn | rst | ack) == syn"
)
IPTABLES = """\
*filter
:understudy_1000 - [0:0]
-A understudy_1000 -p tcp --sport 8180 --tcp-flags SYN,ACK SYN,ACK -m owner --uid-owner 1000 -j RETURN
-A understudy_1000 -p tcp --sport 8180 --tcp-flags SYN,ACK SYN,ACK -j DROP
-A understudy_1000 -d 203.0.113.10/32 -p udp -j REJECT --reject-with icmp-port-unreachable
-A understudy_1000 -d 203.0.113.10/32 -p tcp -j REJECT --reject-with tcp-reset
-I OUTPUT 1 -p tcp --sport 8180 --tcp-flags SYN,ACK SYN,ACK -m conntrack --ctstate DNAT -j understudy_1000
-I OUTPUT 1 -p udp --dport 443 WHO -m addrtype ! --dst-type LOCAL -j understudy_1000
-I OUTPUT 1 -p tcp --dport 443 --syn WHO -m addrtype ! --dst-type LOCAL -j understudy_1000
COMMIT
*nat
:understudy_1000 - [0:0]
-A understudy_1000 -m comment --comment made_0a1b2c3d
-A understudy_1000 -d 203.0.113.10/32 -p tcp -j REDIRECT --to-ports 8180
-I OUTPUT 1 -p tcp --dport 443 --syn WHO -m addrtype ! --dst-type LOCAL -j understudy_1000
COMMIT
"""
IP6TABLES = (
    IPTABLES.replace("203.0.113.10/32", "2001:db8::10/128")
    .replace("icmp-port", "icmp6-port")
    .replace("--to-ports 8180", "--to-ports 8181")
    .replace("--sport 8180", "--sport 8181")
)
PF = """\
table <v4> persist { 203.0.113.10 }
table <v6> persist { 2001:db8::10 }
rdr pass on lo0 inet proto tcp from any to <v4> port 443 -> 127.0.0.1 port 8180
rdr pass on lo0 inet6 proto tcp from any to <v6> port 443 -> ::1 port 8181
block return out quick inet proto udp from any to <v4> port 443 user 1001
pass out quick route-to (lo0 127.0.0.1) inet proto tcp from any to <v4> port 443 user 1001 flags S/SAFR
block return out quick inet6 proto udp from any to <v6> port 443 user 1001
pass out quick route-to (lo0 ::1) inet6 proto tcp from any to <v6> port 443 user 1001 flags S/SAFR
"""


def texts(steps: tuple[Step, ...], program: str) -> str:
    """What a program of the plan reads."""
    return "".join(step.stdin for step in steps if step.argv[0] == program)


@pytest.mark.parametrize(
    ("selector", "who"),
    [
        pytest.param(GROUP, 'socket cgroupv2 level 1 "understudy-1000"', id="a group"),
        pytest.param(
            Cgroup("/sys/fs/cgroup/unified", "understudy-1000"),
            'socket cgroupv2 level 1 "unified/understudy-1000"',
            id="a group, beside version 1",
        ),
        pytest.param(
            plan.slice_of(1000, "/sys/fs/cgroup"),
            'socket cgroupv2 level 4 "user.slice/user-1000.slice/user@1000.service/understudy.slice"',
            id="a slice",
        ),
        pytest.param(GUEST_S.selector, "meta skuid 1001", id="a user"),
    ],
)
def test_nft_has_one_table_that_takes_the_place_of_the_last(selector: Cgroup | OtherUser, who: str) -> None:
    assert nft.ruleset(replace(GROUP_S, selector=selector)) == NFT_GROUP.replace("WHO", who)


def test_nft_may_redirect_whatever_the_address() -> None:
    said = nft.ruleset(replace(GUEST_S, every_address=True))
    rules = NFT_GROUP.replace("WHO ip daddr @v4", "WHO meta nfproto ipv4").replace(
        "WHO ip6 daddr @v6", "WHO meta nfproto ipv6"
    )
    assert said == rules.replace("WHO", "meta skuid 1001")


def test_nft_cannot_name_a_group_that_is_mounted_elsewhere() -> None:
    assert nft.reach(GROUP) is None
    assert nft.reach(Cgroup("/run/cgroup2", "understudy-1000")) is not None


def test_nft_s_guesses_at_the_name_of_a_group_make_no_difference() -> None:
    seen = ['socket cgroupv2 level 1 "unified/understudy-0" tcp', 'socket cgroupv2 level 1 "memory/limit" tcp']
    assert len({nft.essence(listing) for listing in [*seen, "socket cgroupv2 level 1 4711 tcp"]}) == 1
    assert nft.essence(seen[0]) != nft.essence(seen[0].replace("level 1", "level 2"))


@pytest.mark.parametrize(
    ("selector", "who"),
    [(GROUP, "-m cgroup --path understudy-1000"), (GUEST_S.selector, "-m owner --uid-owner 1001")],
    ids=["a group", "a user"],
)
def test_iptables_refuses_before_it_redirects_for_both_families(selector: Cgroup | OtherUser, who: str) -> None:
    steps = iptables.apply(replace(GROUP_S, selector=selector))
    assert texts(steps, "iptables-restore") == IPTABLES.replace("WHO", who)
    assert texts(steps, "ip6tables-restore") == IP6TABLES.replace("WHO", who)
    assert steps[:1] == iptables.remove("understudy_1000")


def test_iptables_may_redirect_whatever_the_address() -> None:
    said = texts(iptables.apply(replace(GROUP_S, every_address=True)), "iptables-restore")
    assert said == IPTABLES.replace("-d 203.0.113.10/32 ", "").replace("WHO", "-m cgroup --path understudy-1000")


def test_pf_has_an_anchor_below_the_one_that_the_system_leads_to() -> None:
    load, enable = pf.apply(GUEST_S)
    assert (load.argv, load.stdin) == (("pfctl", "-a", "com.apple/understudy_1000", "-f", "-"), PF)
    assert enable.argv == ("pfctl", "-E")
    assert [step.argv for step in pf.remove("understudy_1000")] == [
        ("pfctl", "-a", "com.apple/understudy_1000", "-F", "all")
    ]


@pytest.mark.parametrize("name", TOOLS)
def test_what_runs_as_root_later_is_a_text_given_now(name: str) -> None:
    redirect = GUEST_S if name == "pf" else GROUP_S
    *_, last = plan.up(redirect, TOOLS[name], {})
    assert last.argv[:2] == ("sh", "-c")
    assert last.argv[3:5] == ("understudy_1000:0a1b2c3d", TOOLS[name].refresher(redirect))
    assert last.argv[6:] == ("api.openai.com",)
    assert "understudy transparent" not in " ".join(last.argv)


def test_down_ends_the_refreshers_removes_the_rules_and_then_the_group() -> None:
    steps = plan.down("understudy_1000", GROUP, TOOLS["nft"], {4711: "understudy_1000:0a1b2c3d"})
    assert [step.why for step in steps] == ["end the refresher", "remove the table", "remove the control group"]
    assert steps[0].argv[3:] == ("4711", "understudy_1000:0a1b2c3d")
    assert steps[1].stdin == "add table inet understudy_1000\ndelete table inet understudy_1000\n"
    assert steps[2].argv[3:] == ("/sys/fs/cgroup/understudy-1000",)


def test_systemd_starts_programs_in_the_slice_without_root() -> None:
    redirect = replace(GROUP_S, selector=plan.slice_of(1000, "/sys/fs/cgroup"))
    first, *_ = plan.up(redirect, TOOLS["nft"], {})
    assert (first.argv[3:], first.root) == (("understudy-keep.service", "understudy.slice"), False)
    assert plan.in_slice(("opencode", "run")) == (
        *("systemd-run", "--user", "--scope", "--quiet", "--slice=understudy.slice", "--"),
        *("opencode", "run"),
    )
    *_, last = plan.down("understudy_1000", redirect.selector, TOOLS["nft"], {})
    assert (last.argv, last.root) == (("systemctl", "--user", "stop", "understudy-keep.service"), False)


def test_steps_are_printed_as_a_shell_takes_them() -> None:
    steps = (Step("do this", ("nft", "-f", "-"), "add table inet t\n"), Step("and that", ("echo", "a b"), root=False))
    assert rendered(steps, sudo=True) == (
        "# do this\nsudo nft -f - <<'END'\nadd table inet t\nEND\n# and that\necho 'a b'"
    )
    assert rendered(steps[:1], sudo=False).startswith("# do this\nnft -f -")


@pytest.mark.parametrize(
    ("system", "there", "tools"),
    [
        ("linux", {"nft", "iptables"}, ("nft", "iptables")),
        ("linux", {"iptables", "pfctl"}, ("iptables",)),
        ("linux", set(), ()),
        ("darwin", {"pfctl", "nft"}, ("pf",)),
    ],
)
def test_nft_comes_before_iptables_and_pf_is_for_macos(system: str, there: set[str], tools: tuple[str, ...]) -> None:
    assert of_this_system(there.__contains__, system) == tools


@pytest.mark.parametrize(
    ("membership", "caught"),
    [
        ("/understudy-1000", True),
        ("/understudy-1000/below", True),
        ("/understudy-10001", False),
        ("/", False),
        ("/user.slice/understudy-1000", False),
    ],
)
def test_a_group_catches_what_is_in_it_and_below_it(membership: str, caught: bool) -> None:
    assert GROUP.holds(membership) is caught


@pytest.mark.parametrize("selector", [GROUP, plan.slice_of(1000, "/sys/fs/cgroup"), GUEST_S.selector], ids=repr)
def test_what_was_made_is_read_back_as_it_was_written(tmp_path: Path, selector: Cgroup | OtherUser) -> None:
    made = Record(replace(GROUP_S, selector=selector), "nft", "a boot", "rules", 47, 4711)
    record.write(tmp_path / "home", made)
    assert record.read(tmp_path / "home") == made
    record.forget(tmp_path / "home")
    assert record.read(tmp_path / "home") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2}', '{"version": 1, "redirect": {}}'])
def test_what_another_version_has_written_is_not_known(home: Path, text: str) -> None:
    home.mkdir()
    (home / record.NAME).write_text(text)
    assert record.read(home) is None


@pytest.mark.parametrize(
    ("hosts", "every_address", "said"),
    [
        (("api.openai.com",), False, ()),
        (
            ("llm.corp", "api.openai.com", "a.corp"),
            False,
            ("the proxy serves a.corp, llm.corp by now, to which connections are not redirected",),
        ),
        (
            ("llm.corp",),
            False,
            (
                "the proxy serves llm.corp by now, to which connections are not redirected",
                "connections to api.openai.com are redirected, which the proxy does not serve any more",
            ),
        ),
        (("llm.corp",), True, ()),
    ],
)
def test_it_is_known_what_the_proxy_serves_beside_what_is_redirected(
    hosts: tuple[str, ...], every_address: bool, said: tuple[str, ...]
) -> None:
    assert replace(GROUP_S, every_address=every_address).other_than(hosts) == said


def test_the_chains_of_a_user_are_not_taken_for_another_s(tmp_path: Path) -> None:
    for program in ("iptables-save", "ip6tables-save"):
        (tmp_path / program).write_text("#!/bin/sh\necho '-A OUTPUT -p tcp --syn -j understudy_1000'\n")
        (tmp_path / program).chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"

    def seen(name: str) -> str:
        return subprocess.run(iptables.look(name).argv, env={"PATH": path}, capture_output=True, text=True).stdout

    assert seen("understudy_1000") != ""
    assert seen("understudy_100") == ""


def test_what_the_proof_does_as_root_can_be_shown() -> None:
    (enters,) = steps(GROUP)
    assert (enters.argv[3:], enters.root) == (("PID", "/sys/fs/cgroup/understudy-1000/cgroup.procs"), True)
    assert steps(plan.slice_of(1000, "/sys/fs/cgroup")) == ()


@pytest.mark.parametrize(("uid", "ours"), [(1001, True), (0, False)], ids=["another user", "root"])
def test_root_runs_no_python_that_belongs_to_another(uid: int, ours: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    tried = [step.argv[: step.argv.index("-I")] for step in steps(OtherUser("guest", uid))]
    assert tried[:2] == [("sudo", "-u", "guest", "--", python) for python in PYTHONS]
    assert tried[2:] == ([("sudo", "-u", "guest", "--", sys.executable)] if ours else [])


WELL = Met("203.0.113.10", "ours", "refused")
AWAY = Met("2001:db8::10", "no route", "no route")


def test_it_works_where_all_that_can_be_reached_reaches_the_proxy() -> None:
    assert faults_inside([WELL, AWAY]) == ()
    assert unproven([WELL, AWAY]) == ("2001:db8::10",)


@pytest.mark.parametrize("tcp", ["theirs", "misnamed", "refused", "silent", "broken"])
def test_one_address_that_does_not_reach_the_proxy_is_one_too_many(tcp: str) -> None:
    (fault,) = faults_inside([WELL, replace(AWAY, tcp=tcp)])
    assert fault.startswith("2001:db8::10: ")


def test_http3_that_gets_through_is_a_fault() -> None:
    assert faults_inside([replace(WELL, udp="open")]) == ("203.0.113.10: HTTP/3 (UDP 443) is not refused",)


def test_nothing_is_proven_where_there_is_no_way_to_any_address() -> None:
    assert faults_inside([AWAY]) == ("there is no way to any of the addresses, so that nothing could be tried",)


@pytest.mark.parametrize("tcp", ["ours", "misnamed"])
def test_a_connection_like_the_proxy_s_own_must_not_come_back(tcp: str) -> None:
    assert faults_outside([replace(WELL, tcp=tcp)]) != ()


@pytest.mark.parametrize("tcp", ["theirs", "refused", "silent", "no route", "broken"])
def test_whatever_else_it_meets_it_has_left(tcp: str) -> None:
    assert faults_outside([replace(WELL, tcp=tcp)]) == ()


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "169.254.169.254", "fe80::1", "224.0.0.251", "ff02::1", "0.0.0.0"]
)
def test_addresses_of_this_machine_or_of_nobody_are_not_redirected(address: str) -> None:
    assert unfit(address) != ""


def test_an_address_out_there_may_be_redirected() -> None:
    assert unfit("203.0.113.10") == ""
