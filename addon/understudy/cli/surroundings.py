"""What `run` and `env` have in common: the proxy that is there to be used, and the environment that leads to it."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from understudy.cli.arguments import CannotDo
from understudy.cli.start import hosts_to_sign_for
from understudy.state.runtime import Runtime, runtimes
from understudy.workstation import environment
from understudy.workstation.confdir import Confdir
from understudy.workstation.wanted import Wanted

NODES = ("node", "nodejs")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`changes`: of the environment, for programs that are to reach the proxy. `warnings`: a sentence each."""

    changes: Mapping[str, str | None]
    warnings: tuple[str, ...]


def running_proxy(home: Path, environ: Mapping[str, str]) -> Runtime | None:
    """The proxy that `environ` leads to already, else the one that any program may use; None where none answers.

    One that has another authority than ours is left: to trust that is not for us to say. Raises CannotDo for one that
    programs would have to know a password for. Blocking.
    """
    from understudy.workstation.reach import ask

    confdir = os.path.realpath(Confdir(home).path)
    usable = [each for each in runtimes(home) if each.port and os.path.realpath(each.confdir) == confdir]
    current = environment.current_proxy(environ)
    around = [each for each in usable if url_of(each) == current]
    shared = [each for each in usable if each.owner is None]
    proxy = next((found for each in (*around, *shared) if (found := ask(each)) and found.pid == each.pid), None)
    if proxy is not None:
        refuse_locked(proxy, home)
    return proxy


def refuse_locked(proxy: Runtime, home: Path) -> None:
    """Raises CannotDo where it lets nobody in without a password: it tells nobody which, so no program can be given it.

    Blocking.
    """
    from understudy.workstation.reach import wants_password

    if proxy.port is not None and wants_password(proxy.port):
        raise CannotDo(
            f"the proxy (process {proxy.pid}) lets no program in without a password, which programs are not given: "
            f"its option proxyauth, from --set or {Confdir(home).config}. Take it out"
            + ("" if proxy.owner is not None else ", and run: understudy restart")
        )


def url_of(proxy: Runtime) -> str:
    """Where programs reach it."""
    return f"http://127.0.0.1:{proxy.port}"


def prepared(
    proxy: Runtime, home: Path, environ: Mapping[str, str], command: str = "node", *, redirected: bool = False
) -> Surroundings:
    """What leads programs to the proxy, once the files that it names are on disk.

    `command`: the program that is to run, where that is known. `redirected`: its connections are led to the proxy, so
    it is told of none. Raises StateError, and CannotDo where the proxy has another authority than programs would trust.
    Blocking.
    """
    from understudy.workstation.joining import join
    from understudy.workstation.keeping import ensure

    confdir, hosts = Confdir(home), frozenset(proxy.hosts)
    authority = ensure(confdir, hosts, time.time())
    if proxy.authority not in ("", authority.fingerprint):
        how = "understudy restart" if proxy.owner is None else "the outer `understudy run` anew"
        raise CannotDo(f"the running proxy still has the old certificate authority; run: {how}")
    join(environment.joined(confdir, environ))
    if redirected:
        past = environment.without_proxies(environ)
        changes = {**environment.changes(None, confdir, environ, hosts), **past}
        said = (f"{', '.join(sorted(past))} would lead past the proxy: left out",) if past else ()
        return Surroundings(changes, (*environment.warnings(environ, hosts), *said))
    preload = environment.NODE_PRELOAD if _has_old_node(command, environ) else None
    changes = environment.changes(url_of(proxy), confdir, environ, hosts, preload)
    return Surroundings(changes, (*environment.warnings(environ, hosts), *passed_by(proxy, home, environ)))


def hosts_of_a_new_authority(home: Path, options: Sequence[str]) -> frozenset[str]:
    """The hosts whose calls a proxy with these options would claim; none where there is an authority already.

    Raises WrongUse for options that cannot be.
    """
    confdir = Confdir(home)
    if confdir.authority.exists():
        return frozenset()
    return hosts_to_sign_for(Wanted(options=tuple(options)), str(confdir.path))


def user_s_proxy(home: Path, environ: Mapping[str, str]) -> environment.Upstream | None:
    """The proxy that the user's own environment names, unless that is one of ours: the user may have set it by hand.

    Raises ValueError, with words for people, for one that mitmproxy cannot go through. Blocking.
    """
    found = environment.upstream(environ)
    ours = {f"http://{host}:{each.port}" for each in runtimes(home) for host in ("127.0.0.1", "localhost")}
    return None if found is not None and found.url in ours else found


def warn(sentences: Iterable[str]) -> None:
    """Says them where they are not taken for a result."""
    for sentence in sentences:
        print(f"understudy: {sentence}", file=sys.stderr)


def passed_by(proxy: Runtime, home: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    """What to say where the user has to go through a proxy of their own that a running one does not go through."""
    try:
        wanted = user_s_proxy(home, environ)
    except ValueError as error:
        return (str(error),)
    modes = proxy.options.get("mode", ())
    if wanted is None or f"upstream:{wanted.url}" in (modes if isinstance(modes, list | tuple) else [modes]):
        return ()
    return (
        f"the environment names a proxy, {wanted.url}, which the running one does not go through; if that is "
        f"needed: understudy restart --mode upstream:{wanted.url}",
    )


def _has_old_node(command: str, environ: Mapping[str, str]) -> bool:
    """Whether a Node that cannot use a proxy may come to run: the command itself, or the one on the PATH."""
    own = environment.before(environ)
    names = dict.fromkeys((*(name for name in (command,) if Path(name).name in NODES), *NODES[:1]))
    paths = {found for name in names if (found := shutil.which(name, path=own.get("PATH")))}
    return any(environment.old_node(_version(path, own)) for path in paths)


def _version(path: str, environ: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            [path, "--version"],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
