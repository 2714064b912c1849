"""The redirection as iptables and ip6tables have it: a chain of our own in `nat` and in `filter`, and what leads there.

For machines without nft. An address is a rule, since sets need one more program.
"""

from ipaddress import ip_address

from understudy.workstation.redirection.redirect import Cgroup, OtherUser, Redirect, Selector
from understudy.workstation.redirection.step import Step

_REFUSALS = {4: "icmp-port-unreachable", 6: "icmp6-port-unreachable"}
_PROGRAMS = {4: "iptables", 6: "ip6tables"}


def apply(redirect: Redirect) -> tuple[Step, ...]:
    """Makes the chains; what is there of an earlier `up` goes first. It refuses before it redirects."""
    made = tuple(
        Step(f"IPv{version}: {what}", (f"{program}-restore", "--wait", "--noflush"), text)
        for version, program in _PROGRAMS.items()
        for what, text in (
            ("refuse HTTP/3, and what is not redirected", _filter(redirect, version)),
            ("redirect new connections", _nat(redirect, version)),
        )
    )
    return remove(redirect.name) + made


def remove(name: str) -> tuple[Step, ...]:
    """Removes the chains and what leads there; does nothing where there are none."""
    return (Step("remove the chains", ("sh", "-c", _REMOVE, name)),)


def look(name: str) -> Step:
    """Prints the rules without the addresses; fails where there are none."""
    return Step("look at the chains", ("sh", "-c", _LOOK, name))


def essence(listing: str) -> str:
    """What `look` printed."""
    return listing


def refresher(redirect: Redirect) -> str:
    """A loop for `sh -c`, with the hosts as its arguments: adds what their addresses become, ends with the chain."""
    name, (port4, port6) = redirect.name, redirect.ports
    return f"""\
add() {{
	for rule in "$2 -p tcp -j REDIRECT --to-ports $3" ; do
		"$1" --wait -t nat -C {name} -d $rule || "$1" --wait -t nat -A {name} -d $rule
	done
	for rule in "$2 -p udp -j REJECT --reject-with $4" "$2 -p tcp -j REJECT --reject-with tcp-reset"; do
		"$1" --wait -C {name} -d $rule || "$1" --wait -A {name} -d $rule
	done
}}
while iptables --wait -t nat -C {name} {_mark(redirect)} > /dev/null 2>&1; do
	for host; do
		for address in $({{ getent -A ahosts "$host" || getent ahosts "$host"; }} | cut -d " " -f 1 | sort -u); do
			case $address in
				*:*) add ip6tables "$address/128" {port6} {_REFUSALS[6]} ;;
				*) add iptables "$address/32" {port4} {_REFUSALS[4]} ;;
			esac
		done
	done
	sleep 10
done
"""


_REMOVE = """\
for tables in iptables ip6tables; do
	"$tables-save" 2> /dev/null | grep -q ":$0 " || continue
	for table in nat filter; do
		"$tables" --wait -t "$table" -S OUTPUT | grep -e " -j $0$" | sed "s/^-A/-D/" | while read -r rule; do
			eval "\\"$tables\\" --wait -t \\"$table\\" $rule"
		done
		"$tables" --wait -t "$table" -F "$0" 2> /dev/null && "$tables" --wait -t "$table" -X "$0"
	done
done
true
"""

_LOOK = """\
{ iptables-save; ip6tables-save; } 2> /dev/null | grep -w -e "$0" | grep -v -e "^:" -e " -d " | grep .
"""


def _nat(redirect: Redirect, version: int) -> str:
    port = redirect.ports[0 if version == 4 else 1]
    lines = [f"-A {redirect.name} {to}-p tcp -j REDIRECT --to-ports {port}" for to in _addresses(redirect, version)]
    return _table("nat", redirect, ["tcp --dport 443 --syn"], [f"-A {redirect.name} {_mark(redirect)}", *lines])


def _filter(redirect: Redirect, version: int) -> str:
    # The second packet of a redirected connection: nobody but the proxy's user may send it, as `nft` has it.
    accepted = f"tcp --sport {redirect.ports[0 if version == 4 else 1]} --tcp-flags SYN,ACK SYN,ACK"
    answers = [
        f"-A {redirect.name} -p {accepted} {what}"
        for what in (f"-m owner --uid-owner {redirect.owner} -j RETURN", "-j DROP")
    ]
    lines = [
        line
        for to in _addresses(redirect, version)
        for line in (
            f"-A {redirect.name} {to}-p udp -j REJECT --reject-with {_REFUSALS[version]}",
            f"-A {redirect.name} {to}-p tcp -j REJECT --reject-with tcp-reset",
        )
    ]
    led = f"-I OUTPUT 1 -p {accepted} -m conntrack --ctstate DNAT -j {redirect.name}"
    return _table("filter", redirect, ["udp --dport 443", "tcp --dport 443 --syn"], [*answers, *lines, led])


def _table(table: str, redirect: Redirect, caught: list[str], lines: list[str]) -> str:
    own = "-m addrtype ! --dst-type LOCAL"
    first = [f"-I OUTPUT 1 -p {what} {_chosen(redirect.selector)} {own} -j {redirect.name}" for what in caught]
    return "\n".join([f"*{table}", f":{redirect.name} - [0:0]", *lines, *first, "COMMIT", ""])


def _addresses(redirect: Redirect, version: int) -> list[str]:
    """The beginnings of the rules: one an address, or one for all."""
    if redirect.every_address:
        return [""]
    width = 32 if version == 4 else 128
    return [f"-d {ip_address(address)}/{width} " for address in redirect.of_family(version)]


def _chosen(selector: Selector) -> str:
    match selector:
        case Cgroup():
            return f"-m cgroup --path {selector.path}"
        case OtherUser():
            return f"-m owner --uid-owner {selector.uid}"


def _mark(redirect: Redirect) -> str:
    return f"-m comment --comment made_{redirect.token}"
