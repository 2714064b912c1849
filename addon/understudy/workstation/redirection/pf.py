"""The redirection as macOS's packet filter has it: an anchor of our own. Not run by us: no macOS was at hand.

pf redirects only what comes in. So what goes out is sent to the loopback interface first, and redirected as it comes in
there (mitmproxy's documentation, "Transparent proxying", macOS). The anchor lies below `com.apple/`, to which the
system's own rules lead: no file of the system is changed. pf knows users, and no groups of processes.
"""

from ipaddress import ip_address

from understudy.workstation.redirection.redirect import Cgroup, OtherUser, Redirect, Selector
from understudy.workstation.redirection.step import Step


def apply(redirect: Redirect) -> tuple[Step, ...]:
    """Loads the anchor, and enables pf; it counts who wants it enabled."""
    return (
        Step("load the anchor", ("pfctl", "-a", _anchor(redirect.name), "-f", "-"), rules(redirect)),
        Step("enable pf", ("pfctl", "-E")),
    )


def rules(redirect: Redirect) -> str:
    """The anchor."""
    targets = (("inet", "127.0.0.1", redirect.ports[0], 4), ("inet6", "::1", redirect.ports[1], 6))
    tables = [f"table <v{version}> persist {{ {_listed(redirect, version)} }}" for *_, version in targets]
    incoming = [
        f"rdr pass on lo0 {family} proto tcp from any to {_to(redirect, version)} port 443 -> {address} port {port}"
        for family, address, port, version in targets
    ]
    user = f"user {_user(redirect.selector)}"
    outgoing = [
        line
        for family, address, _, version in targets
        for line in (
            f"block return out quick {family} proto udp from any to {_to(redirect, version)} port 443 {user}",
            f"pass out quick route-to (lo0 {address}) {family} proto tcp from any to {_to(redirect, version)} port 443"
            f" {user} flags S/SAFR",
        )
    ]
    return "\n".join([*tables, *incoming, *outgoing, ""])


def remove(name: str) -> tuple[Step, ...]:
    """Empties the anchor. pf stays enabled: others may want it so by now."""
    return (Step("empty the anchor", ("pfctl", "-a", _anchor(name), "-F", "all")),)


def look(name: str) -> Step:
    """Prints the rules; fails where there are none."""
    text = 'for kind in nat rules; do pfctl -a "$0" -s "$kind"; done 2> /dev/null | grep .'
    return Step("look at the anchor", ("sh", "-c", text, _anchor(name)))


def essence(listing: str) -> str:
    """What `look` printed."""
    return listing


def refresher(redirect: Redirect) -> str:
    """A loop for `sh -c`, with the hosts as its arguments: adds what their addresses become, ends with the anchor."""
    return f"""\
while pfctl -a {_anchor(redirect.name)} -s nat 2> /dev/null | grep -q .; do
	for host; do
		for address in $(dscacheutil -q host -a name "$host" | sed -n "s/^ipv*6*_address: //p" | sort -u); do
			case $address in
				*:*) pfctl -a {_anchor(redirect.name)} -t v6 -T add "$address" ;;
				*) pfctl -a {_anchor(redirect.name)} -t v4 -T add "$address" ;;
			esac
		done
	done
	sleep 10
done
"""


def _anchor(name: str) -> str:
    return f"com.apple/{name}"


def _to(redirect: Redirect, version: int) -> str:
    return "any" if redirect.every_address else f"<v{version}>"


def _listed(redirect: Redirect, version: int) -> str:
    return ", ".join(str(ip_address(address)) for address in redirect.of_family(version))


def _user(selector: Selector) -> int:
    match selector:
        case OtherUser():
            return selector.uid
        case Cgroup():
            raise ValueError("pf knows no control groups")
