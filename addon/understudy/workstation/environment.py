"""The environment of a program that is to go through the proxy: what changes in it, and what it had before.

Which program reads which variable was observed (curl 7.88, Node 20 to 24, Bun, rustls, httpx 0.28, OpenSSL 3): there
is no one name for the proxy, nor for the certificates.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote, urlsplit

from understudy.wire.identity import DUMMY_KEY
from understudy.wire.secret import Secret
from understudy.workstation.confdir import Confdir
from understudy.workstation.wanted import HOSTS

Environ = Mapping[str, str]
Changes = dict[str, str | None]
"""The value that each variable gets; None: it goes."""

BEFORE = "UNDERSTUDY_BEFORE"
"""Holds, as JSON, what each variable was before it was changed and what it was changed to, so that it can be undone."""
PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
"""What programs send https through, the first of them that there is."""
WEBSOCKETS = ("wss_proxy", "WSS_PROXY")
"""What aiohttp alone, and websockets before all others, goes through to a wss:// address."""
SOCKS = ("socks_proxy", "SOCKS_PROXY")
"""What some programs, as those on websockets, go through rather than through HTTPS_PROXY."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""What never goes through a proxy. Not `[::1]` too: httpx 0.28 takes that for a URL and fails."""
NODE_PRELOAD = Path(__file__).with_name("node-proxy.cjs")
"""What makes a Node use HTTPS_PROXY that cannot by itself."""
NODE_READS_PROXY = (22, 21)
"""The first Node with NODE_USE_ENV_PROXY, but for 23, which has it not."""

_PORTS = {"http": 80, "https": 443}
"""Of the proxies that mitmproxy can go through."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""Of a variable, as every shell takes it."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A proxy that the user has to go through. `url`: without credentials; `auth`: `user:password`, or empty."""

    url: str
    auth: Secret


def changes(
    url: str | None,
    confdir: Confdir,
    environ: Environ,
    hosts: Iterable[str] = HOSTS,
    preload: Path | None = None,
) -> Changes:
    """What to change in `environ` for a program that is to reach the proxy at `url` and trust what is in `confdir`.

    `url`: None where the program needs no proxy, as in transparent mode. `hosts`: those that must not bypass it.
    `preload`: the script that a Node gets which cannot use a proxy. Of an environment that has been changed before, the
    one that the user had is what counts: so to change it twice is to change it once. HTTP_PROXY and ALL_PROXY stay:
    plain HTTP is not for this proxy, and for https each program reads HTTPS_PROXY before ALL_PROXY.
    """
    own = before(environ)
    wanted: Changes = {**({} if url is None else _route(url, own, hosts, preload)), **_trust(confdir, own)}
    if not own.get("OPENAI_API_KEY"):
        wanted["OPENAI_API_KEY"] = DUMMY_KEY
    undone = {name: own.get(name) for name in _saved(environ) if name not in wanted}
    saved = json.dumps({name: [own.get(name), value] for name, value in wanted.items()}, separators=(",", ":"))
    return {**undone, **wanted, BEFORE: saved}


def without_proxies(environ: Environ) -> Changes:
    """What to change for a program whose connections are redirected: a proxy of the user's own would be another way."""
    return {name: None for name in (*PROXIES, *WEBSOCKETS, *SOCKS) if before(environ).get(name)}


def restoring(environ: Environ) -> Changes:
    """What to change in `environ` so that it is as it was; nothing where `changes` has not been applied to it.

    What the user has set since then stays.
    """
    if BEFORE not in environ:
        return {}
    own = before(environ)
    return {**{name: own.get(name) for name in _saved(environ)}, BEFORE: None}


def before(environ: Environ) -> dict[str, str]:
    """The environment without what `changes` has made of it."""
    own = {name: value for name, value in environ.items() if name != BEFORE}
    for name, (old, new) in _saved(environ).items():
        if own.get(name) == new:
            own.pop(name, None)
            own.update({} if old is None else {name: old})
    return own


def applied(environ: Environ, changed: Mapping[str, str | None]) -> dict[str, str]:
    """The environment with these changes."""
    return {name: value for name, value in {**environ, **changed}.items() if value is not None}


def current_proxy(environ: Environ) -> str | None:
    """The URL of our proxy that `environ` leads to, be it alive or not; None where it leads to none of ours."""
    _, url = _saved(environ).get("HTTPS_PROXY", (None, None))
    return url if url is not None and environ.get("HTTPS_PROXY") == url else None


def joined(confdir: Confdir, environ: Environ) -> dict[Path, tuple[Path, ...]]:
    """The files of certificates that `changes` names and that have to be put together, each of these files and folders.

    They are needed where the user has certificates of their own, as in a company's network.
    """
    sources = _sources(confdir, before(environ)).values()
    return {_place(confdir, each): each for each in sources if len(each) > 1}


def upstream(environ: Environ) -> Upstream | None:
    """The proxy that the user's own environment sends https through, or None.

    Raises ValueError, with words for people, for one that mitmproxy cannot go through.
    """
    own = before(environ)
    if "*" in _entries(own):
        return None
    name = next((name for name in PROXIES if own.get(name, "").strip()), None)
    if name is None:
        return None
    value = own[name].strip()
    found = _address(value if "://" in value else f"http://{value}")
    if found is None:
        raise ValueError(f"{name} names a proxy that cannot be gone through: only http:// and https:// can")
    return found


def warnings(environ: Environ, hosts: Iterable[str] = HOSTS) -> tuple[str, ...]:
    """What the user should know of their own environment, a sentence each: it is changed, or leads past the proxy."""
    own, names = before(environ), tuple(hosts)
    bypassing = (entry for entry in _entries(own) if covers(entry, names))
    elsewhere = {name: _host(own[name]) for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE") if own.get(name)}
    return (
        *(f"NO_PROXY has {entry!r}, which would lead past the proxy: left out" for entry in bypassing),
        *(f"{name} would lead some programs past the proxy: left out" for name in SOCKS if own.get(name)),
        *(
            f"{name} leads elsewhere ({host or 'no URL'}): programs that heed it are not served"
            for name, host in elsewhere.items()
            if host not in names
        ),
    )


def old_node(version: str) -> bool:
    """Whether the Node that calls itself `version` (as in `v20.11.0`) cannot use a proxy by itself."""
    found = re.match(r"v(\d+)\.(\d+)\.", version)
    return found is not None and ((release := (int(found[1]), int(found[2]))) < NODE_READS_PROXY or release[0] == 23)


def covers(entry: str, hosts: Iterable[str]) -> bool:
    """Whether any program takes this entry of NO_PROXY for one of the hosts.

    For some an end of the name is enough, or a pattern, or (httpx) a URL, in which no host at all means every host.
    """
    name = re.sub(r":\d+\Z", "", entry.lower().rpartition("://")[2].partition("/")[0]).rstrip(".")
    end = name.lstrip("*").lstrip(".")
    return any(host.endswith(end) or fnmatchcase(host, name) for host in hosts)


def _route(url: str, own: Environ, hosts: Iterable[str], preload: Path | None) -> Changes:
    names = tuple(hosts)
    kept = [entry for entry in _entries(own) if not covers(entry, names)]
    spared = ",".join(dict.fromkeys((*kept, *LOOPBACK)))
    route: Changes = {
        **dict.fromkeys(("HTTPS_PROXY", "https_proxy", *WEBSOCKETS), url),
        **{name: None for name in SOCKS if own.get(name)},
        "NO_PROXY": spared,
        "no_proxy": spared,
        "NODE_USE_ENV_PROXY": "1",
    }
    if preload is not None:
        quoted = str(preload).replace("\\", "\\\\").replace('"', '\\"')
        route["NODE_OPTIONS"] = f'{own.get("NODE_OPTIONS", "")} --require "{quoted}"'.strip()
    return route


def _entries(environ: Environ) -> tuple[str, ...]:
    """What either spelling has: some programs read only the one, some only the other."""
    both = f"{environ.get('no_proxy', '')},{environ.get('NO_PROXY', '')}"
    return tuple(dict.fromkeys(entry for entry in re.split(r"[,\s]+", both) if entry))


def _trust(confdir: Confdir, own: Environ) -> dict[str, str]:
    return {name: str(_place(confdir, sources)) for name, sources in _sources(confdir, own).items()}


def _sources(confdir: Confdir, own: Environ) -> dict[str, tuple[Path, ...]]:
    """What each variable's file must hold: what the program trusts now, and our certificate.

    SSL_CERT_DIR stays: what reads it reads SSL_CERT_FILE too, but for curl, for which CURL_CA_BUNDLE goes before both,
    and those that go by the file alone where there is one, which therefore has the folder's certificates in it.
    """
    folders = [part for part in own.get("SSL_CERT_DIR", "").split(os.pathsep) if part]
    general = _more(confdir, own.get("SSL_CERT_FILE")) or _paths(*folders, confdir.bundle)
    curl = _more(confdir, own.get("CURL_CA_BUNDLE"))
    requests = _more(confdir, own.get("REQUESTS_CA_BUNDLE")) or curl or (confdir.bundle,)
    return {
        "SSL_CERT_FILE": general,
        "CURL_CA_BUNDLE": curl or general,
        "REQUESTS_CA_BUNDLE": requests,
        "NODE_EXTRA_CA_CERTS": _more(confdir, own.get("NODE_EXTRA_CA_CERTS")) or (confdir.certificate,),
        "CODEX_CA_CERTIFICATE": _more(confdir, own.get("CODEX_CA_CERTIFICATE")) or (confdir.certificate,),
    }


def _more(confdir: Confdir, path: str | None) -> tuple[Path, ...]:
    """The user's file with our certificate, which our own files have; nothing where the user has none."""
    if not path:
        return ()
    return _paths(path) if Path(path) == confdir.bundle else _paths(path, confdir.certificate)


def _address(url: str) -> Upstream | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if not host or parts.scheme not in _PORTS:
        return None
    auth = "" if parts.username is None else f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Upstream(f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}", Secret(auth))


def _paths(*paths: str | Path) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(map(Path, paths)))


def _place(confdir: Confdir, sources: tuple[Path, ...]) -> Path:
    if len(sources) == 1:
        return sources[0]
    digest = hashlib.sha256("\n".join(map(str, sources)).encode(errors="surrogateescape")).hexdigest()
    return confdir.path / f"joined-{digest[:16]}.pem"


def _saved(environ: Environ) -> dict[str, tuple[str | None, str | None]]:
    try:
        found = json.loads(environ.get(BEFORE, "{}"))
        return {name: (_text(old), _text(new)) for name, (old, new) in found.items() if _NAME.fullmatch(name)}
    except (ValueError, TypeError, AttributeError):
        return {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
