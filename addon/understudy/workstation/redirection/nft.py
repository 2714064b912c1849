"""The redirection as nftables has it: one table of our own, and nothing outside it."""

import re
from ipaddress import ip_address
from pathlib import PurePosixPath

from understudy.workstation.redirection.redirect import Cgroup, OtherUser, Redirect, Selector
from understudy.workstation.redirection.step import Step

ROOT = PurePosixPath("/sys/fs/cgroup")
"""Where nft looks for a group, to write down its number (libnftables, `cgroupv2_type_parse`)."""

_NEW = "tcp flags & (fin | syn | rst | ack) == syn"
"""A connection's first packet. Where nothing has tracked connections before, the kernel takes the next packet of an old
one for the first of a new one: without this it would be redirected in its midst, and break."""
_ACCEPTED = "tcp flags & (syn | ack) == syn | ack"
_OWN = "fib daddr type { local, broadcast, multicast } return"
"""What goes to this machine itself is nobody else's; and a name may be made to lead here."""


def apply(redirect: Redirect) -> tuple[Step, ...]:
    """Makes the table, or puts this one in the place of an older: in one transaction, so that nothing gets by."""
    return (Step("redirect new connections, refuse HTTP/3", ("nft", "-f", "-"), ruleset(redirect)),)


def ruleset(redirect: Redirect) -> str:
    """The table."""
    name, chosen = redirect.name, _chosen(redirect.selector)
    to_v4, to_v6 = ("meta nfproto ipv4", "meta nfproto ipv6") if redirect.every_address else _BY_ADDRESS
    return f"""\
add table inet {name}
delete table inet {name}
table inet {name} {{
	set v4 {{
		type ipv4_addr
{_elements(redirect.of_family(4))}	}}
	set v6 {{
		type ipv6_addr
{_elements(redirect.of_family(6))}	}}
	chain redirected {{
		type nat hook output priority -100; policy accept;
		{_OWN}
		{chosen} {to_v4} tcp dport 443 {_NEW} redirect to :{redirect.ports[0]}
		{chosen} {to_v6} tcp dport 443 {_NEW} redirect to :{redirect.ports[1]}
	}}
	chain refused {{
		type filter hook output priority 0; policy accept;
		{_OWN}
		{chosen} {to_v4} udp dport 443 reject
		{chosen} {to_v6} udp dport 443 reject
		{chosen} {to_v4} tcp dport 443 {_NEW} reject with tcp reset
		{chosen} {to_v6} tcp dport 443 {_NEW} reject with tcp reset
	}}
	chain answered {{
		type filter hook output priority 0; policy accept;
		{_answer(redirect.ports[0], 4)} meta skuid {redirect.owner} accept
		{_answer(redirect.ports[0], 4)} drop
		{_answer(redirect.ports[1], 6)} meta skuid {redirect.owner} accept
		{_answer(redirect.ports[1], 6)} drop
	}}
	chain {_mark(redirect)} {{
	}}
}}
"""


_BY_ADDRESS = ("ip daddr @v4", "ip6 daddr @v6")


def remove(name: str) -> tuple[Step, ...]:
    """Removes the table, whatever is in it; does nothing where there is none."""
    return (Step("remove the table", ("nft", "-f", "-"), f"add table inet {name}\ndelete table inet {name}\n"),)


def look(name: str) -> Step:
    """Prints the table without its addresses; fails where there is none."""
    return Step("look at the table", ("nft", "--stateless", "--terse", "list", "table", "inet", name))


def essence(listing: str) -> str:
    """What `look` printed, without what differs between two looks at the same rules.

    nft finds a group's path by its number, anywhere below `ROOT`: where version 1 is mounted there it is often the path
    of something else with the same number.
    """
    return re.sub(r'cgroupv2 level (\d+) (".*?"|\S+)', r"cgroupv2 level \1", listing)


def refresher(redirect: Redirect) -> str:
    """A loop for `sh -c`, with the hosts as its arguments: adds what their addresses become, ends with the table."""
    return f"""\
while nft list chain inet {redirect.name} {_mark(redirect)} > /dev/null 2>&1; do
	for host; do
		for address in $({{ getent -A ahosts "$host" || getent ahosts "$host"; }} | cut -d " " -f 1 | sort -u); do
			case $address in
				*:*) nft add element inet {redirect.name} v6 "{{ $address }}" ;;
				*) nft add element inet {redirect.name} v4 "{{ $address }}" ;;
			esac
		done
	done
	sleep 10
done
"""


def reach(selector: Selector) -> str | None:
    """Why nft cannot select by this, in words; None where it can."""
    if isinstance(selector, Cgroup) and not PurePosixPath(selector.folder).is_relative_to(ROOT):
        return f"nft looks for control groups in {ROOT}, and version 2 is mounted at {selector.mount}"
    return None


def _answer(port: int, version: int) -> str:
    """The second packet of a redirected connection, which tells whose socket listens. Without the third there is no
    connection: nobody else can take the port once the proxy has ended, and read or pass on what comes."""
    return f"meta nfproto ipv{version} tcp sport {port} {_ACCEPTED} ct status dnat"


def _chosen(selector: Selector) -> str:
    match selector:
        case Cgroup():
            path = PurePosixPath(selector.folder).relative_to(ROOT)
            return f'socket cgroupv2 level {selector.level} "{path}"'
        case OtherUser():
            return f"meta skuid {selector.uid}"


def _elements(addresses: tuple[str, ...]) -> str:
    listed = ", ".join(str(ip_address(address)) for address in addresses)
    return f"\t\telements = {{ {listed} }}\n" if listed else ""


def _mark(redirect: Redirect) -> str:
    return f"made_{redirect.token}"
