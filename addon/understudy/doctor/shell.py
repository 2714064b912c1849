"""Whether the variables of this shell lead programs to the running proxy, and have them trust it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from understudy.doctor.check import Check, Result, bad, ok, skipped, warn
from understudy.doctor.machine import Machine
from understudy.doctor.pem import certificates, content, roots_of_system
from understudy.doctor.ports import is_taken
from understudy.workstation.environment import BEFORE, SOCKS, WEBSOCKETS, covers

Environ = Mapping[str, str]

FIRST = (*WEBSOCKETS, *SOCKS)
"""What some programs go by rather than by HTTPS_PROXY."""
PROXY = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", *FIRST)
"""What leads to a proxy: for most programs the first that they know counts."""
NO_PROXY = ("NO_PROXY", "no_proxy")
REPLACING = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Files that take the place of what a program trusts otherwise."""
ADDING = ("NODE_EXTRA_CA_CERTS", "CODEX_CA_CERTIFICATE")
"""Files whose certificates are trusted beside the others."""
BASE_URLS = ("OPENAI_BASE_URL", "OPENAI_API_BASE")
KEY_LOGS = ("SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE")

SET = 'eval "$(understudy env)"'
UNSET = 'eval "$(understudy env --unset)"'


@dataclass(frozen=True, slots=True)
class Way:
    """Where this shell's programs go. `port`: of this machine's loopback; None: to no proxy, or to one elsewhere."""

    name: str = ""
    """The variable that says so."""
    where: str = ""
    """`host:port`, without the user and password that the URL may have."""
    port: int | None = None


def way(environ: Environ) -> Way:
    """The proxy that the variables name."""
    name = next(iter(_named(environ)), "")
    return way_of(name, environ.get(name, ""))


def way_of(name: str, url: str) -> Way:
    """The proxy that one variable names."""
    if not url:
        return Way()
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return Way(name, "something that is no address")
    local = host in ("localhost", "::1") or host.startswith("127.")
    return Way(name, f"{host}:{port}", port if local else None)


def leads(machine: Machine) -> Result:
    """Whether HTTPS_PROXY leads to a running proxy, or nowhere."""
    ports = tuple(proxy.port for proxy in machine.proxies if proxy.port is not None)
    found = way(machine.environ)
    listens = found.port is not None and is_taken(found.port)
    return judge_proxy(machine.environ, ports, listens)


def judge_proxy(environ: Environ, ports: Sequence[int], listens: bool) -> Result:
    """`ports`: those of running proxies; `listens`: whether anybody does where the variables lead to."""
    found = way(environ)
    if not found.name:
        return ok("no proxy is named; `understudy run` sets one")
    if found.port is None:
        return ok(f"{found.name} leads to another proxy, {found.where}")
    others = {name: way_of(name, environ[name]) for name in PROXY[:2] if environ.get(name, "").strip()}
    if len({other.where for other in others.values()}) > 1:
        return bad(
            "HTTPS_PROXY and https_proxy lead to different proxies",
            "Some programs go by the one, some by the other.",
            SET,
        )
    past = [name for name in FIRST if environ.get(name, "").strip() and way_of(name, environ[name]).port != found.port]
    if found.port in ports and past:
        return bad(
            f"{' and '.join(past)} leads past our proxy at {found.where}",
            "Some programs go by it rather than by HTTPS_PROXY, above all to WebSockets.",
            SET,
        )
    if found.port in ports:
        return ok(f"{found.name} leads to our proxy at {found.where}")
    if listens:
        return warn(
            f"{found.name} leads to {found.where}, where another program listens that is not a proxy of ours",
            "Programs of this shell do not reach Understudy.",
            SET,
        )
    return bad(
        f"{found.name} leads to {found.where}, where nothing listens",
        "Every program of this shell that follows it fails to connect. It is left from a proxy that has ended.",
        SET if ports else UNSET if BEFORE in environ else f"unset {' '.join(_named(environ))}",
    )


def _named(environ: Environ) -> list[str]:
    return [name for name in PROXY if environ.get(name, "").strip()]


def bypass(machine: Machine) -> Result:
    """Whether NO_PROXY leads calls past the proxy."""
    return judge_bypass(machine.environ, machine.hosts, _is_ours(machine))


def judge_bypass(environ: Environ, hosts: frozenset[str], ours: bool) -> Result:
    """`hosts`: those whose calls we want; `ours`: the variables lead to a proxy of ours."""
    if not ours:
        return skipped("no variable leads to a proxy of ours")
    for name in NO_PROXY:
        past = [host for host in sorted(hosts) if goes_past(environ.get(name, ""), host)]
        if past:
            return bad(
                f"{name} has programs go to {', '.join(past)} directly",
                "Their calls do not reach Understudy, and go out with their own key.",
                SET,
            )
    return ok("NO_PROXY leaves our hosts to the proxy")


def goes_past(no_proxy: str, host: str) -> bool:
    """Whether any program that goes by `no_proxy` connects to `host` directly."""
    return any(covers(entry, (host,)) for entry in no_proxy.replace(",", " ").split())


def trust(machine: Machine) -> Result:
    """Whether the files of trusted certificates that this shell names hold the proxy's."""
    port = way(machine.environ).port
    proxy = next((proxy for proxy in machine.proxies if port is not None and proxy.port == port), None)
    if proxy is None:
        return skipped("no variable leads to a proxy of ours")
    ours = certificates(content(Path(proxy.confdir) / "mitmproxy-ca-cert.pem"))
    if not ours:
        return skipped(f"the proxy's certificate is not in {proxy.confdir}")
    named = {name: machine.environ[name] for name in (*REPLACING, *ADDING) if machine.environ.get(name)}
    held = {name: certificates(content(Path(path))) for name, path in named.items()}
    return judge_trust(held, next(iter(ours)), ours <= roots_of_system())


def judge_trust(held: Mapping[str, frozenset[bytes]], ours: bytes, trusted: bool) -> Result:
    """`held`: the certificates in the file that each variable names; `trusted`: the system trusts ours."""
    without = [name for name, certificates in held.items() if ours not in certificates]
    if without:
        return bad(
            f"the {'file' if len(without) == 1 else 'files'} of {' and '.join(without)} do not hold the proxy's "
            "certificate",
            "Programs that go by it refuse the proxy: a connection error, to them.",
            SET,
        )
    alone = [name for name in REPLACING if held.get(name) == frozenset({ours})]
    if alone:
        return warn(
            f"{' and '.join(alone)} holds the proxy's certificate and no other",
            "It takes the place of all others: programs that go by it refuse every other host.",
            SET,
        )
    if not held and not trusted:
        return warn(
            "no variable has programs trust the proxy's certificate, and the system does not",
            "Programs of this shell go to the proxy, and refuse it: a connection error, to them.",
            SET,
        )
    return ok("what this shell's programs trust includes the proxy")


def base_url(machine: Machine) -> Result:
    """Whether programs are told to speak to somebody else than OpenAI."""
    ports = tuple(each.port for proxy in machine.proxies for each in proxy.listeners)
    return judge_base_url(machine.environ, machine.hosts, ports, _is_ours(machine))


def judge_base_url(environ: Environ, hosts: frozenset[str], ports: Sequence[int], ours: bool) -> Result:
    """`ports`: where proxies of ours listen, in whichever mode."""
    for name in BASE_URLS:
        found = way_of(name, environ.get(name, ""))
        if found.name and found.port not in ports and found.where.partition(":")[0] not in hosts:
            make = bad if ours else warn
            return make(
                f"{name} leads to {found.where}",
                "Programs that follow it do not speak to OpenAI, and their calls are not carried out by Understudy.",
                f"unset {name}",
            )
    return ok("no variable leads programs to another API")


def safe(machine: Machine) -> Result:
    """Whether a variable weakens the encryption."""
    return judge_safe(machine.environ)


def judge_safe(environ: Environ) -> Result:
    """Whether certificates are checked, and no keys are written down."""
    if environ.get("NODE_TLS_REJECT_UNAUTHORIZED") == "0":
        return bad(
            "NODE_TLS_REJECT_UNAUTHORIZED=0 turns the check of certificates off",
            "Programs on Node take anyone on the way for the host that they speak to.",
            "unset NODE_TLS_REJECT_UNAUTHORIZED",
        )
    logs = [name for name in KEY_LOGS if environ.get(name)]
    if logs:
        return bad(
            f"{' and '.join(logs)} has the keys of TLS connections written to a file",
            "Whoever has it can read what went over a proxy that is started here, ChatGPT tokens among it.",
            f"unset {' '.join(logs)}",
        )
    return ok("nothing weakens TLS")


def _is_ours(machine: Machine) -> bool:
    port = way(machine.environ).port
    return port is not None and any(proxy.port == port for proxy in machine.proxies)


CHECKS = (
    Check("shell: proxy", leads),
    Check("shell: no_proxy", bypass),
    Check("shell: trust", trust),
    Check("shell: base url", base_url),
    Check("shell: tls", safe),
)
