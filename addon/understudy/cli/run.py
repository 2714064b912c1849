"""`understudy run`: one program whose calls go through the proxy; nothing else on this machine changes."""

import argparse
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.cli.arguments import CannotDo, Commands, WrongUse, add_command
from understudy.pool.tally import Tally
from understudy.state.home import home

if TYPE_CHECKING:  # what `--help` does not need
    from understudy.state.runtime import Runtime
    from understudy.workstation.wanted import Wanted

DESCRIPTION = """\
Runs a program so that its calls to OpenAI go through the proxy, and nothing else changes: the
terminal, the keys, its exit code are its own. The running proxy is used; where none is, one is
started for as long as the program runs. At the end a line tells what the proxy has done.

Its environment says where the proxy is and which certificates to trust, and has an
OPENAI_API_KEY that stands for none where there is none: `understudy env` shows it all."""

NOT_FOUND, NOT_RUN = 127, 126
"""A shell's exit codes for a command that there is not, and for one that cannot be run."""
PATIENCE = 5.0
"""Seconds that a proxy which others use may be away, as for a restart, before something is said."""
NEEDS_PASSWORD = """\
the environment names a proxy that wants a password, {url}. On a command line others could read that: put it into
{config}, as `upstream_auth: "USER:PASSWORD"`"""
STOP = 10.0
"""Seconds that a proxy of one's own may take to end."""


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "run",
        run,
        help="run a program whose calls go through the proxy",
        description=DESCRIPTION,
        example="understudy run -- opencode",
    )
    parser.add_argument(
        "--set",
        dest="options",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="an option for a proxy that is started for this program alone, even where one is running",
    )
    parser.add_argument(
        "--transparent", action="store_true", help="redirect its connections: see `understudy transparent up`"
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing but what went wrong")
    parser.add_argument("command", metavar="-- COMMAND", nargs=argparse.REMAINDER, help="the program and its arguments")


def run(arguments: argparse.Namespace) -> int:
    """Runs it. Exit code: the program's own; 126 or 127 as a shell's; 1 where there is no proxy for it."""
    from understudy.workstation.foreground import end_like, find

    words = arguments.command[arguments.command[:1] == ["--"] :]
    if not words:
        raise WrongUse("say what to run: understudy run -- COMMAND")
    if wrong := [each for each in arguments.options if "=" not in each]:
        raise WrongUse(f"--set {wrong[0]}: say NAME=VALUE")
    if arguments.transparent and arguments.options:
        raise WrongUse("--set is for a proxy of the program's own; what is redirected goes to the running one")
    try:
        program = find(words[0], os.environ.get("PATH"))
    except OSError as error:
        print(f"understudy: {error}", file=sys.stderr)
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUN
    _refuse_an_empty_pool()
    proxy = _redirecting() if arguments.transparent else _reachable(arguments.options)
    return end_like(_attended(words, program, proxy, arguments.quiet))


def _refuse_an_empty_pool() -> None:
    from understudy.cli.pool import LOG_IN, store

    if not store().read().accounts:
        raise CannotDo(f"there are no accounts to carry out what the program asks; add one: {LOG_IN}")


def _reachable(options: list[str]) -> "_Proxy":
    """The running proxy, or one of the program's own. Raises CannotDo, WrongUse."""
    from understudy.cli.surroundings import running_proxy

    running = None if options else running_proxy(home(), os.environ)
    return _Proxy(running) if running is not None else _started(options)


def _redirecting() -> "_Proxy":
    """The proxy that connections are redirected to, those of this process too from now on. Raises CannotDo."""
    from understudy.workstation.reach import ask
    from understudy.workstation.redirection.entry import enter
    from understudy.workstation.redirection.machine import Impossible, transparent_proxy
    from understudy.workstation.redirection.shell import Failed

    try:
        enter(home(), (sys.executable, "-m", "understudy", *sys.argv[1:]))
        found = transparent_proxy(home())[0]
        return _Proxy(ask(found) or found, redirects=True)
    except (Impossible, Failed) as error:
        raise CannotDo(str(error)) from None


def _attended(words: list[str], program: str, proxy: "_Proxy", quiet: bool) -> int:
    from understudy.cli.surroundings import prepared, warn
    from understudy.workstation.environment import applied

    try:
        surroundings = prepared(proxy.runtime, home(), os.environ, words[0], redirected=proxy.redirects)
        if not quiet:
            warn(surroundings.warnings)
        code = _run_it(words, program, applied(os.environ, surroundings.changes), proxy)
        if not quiet and code is not None:
            proxy.sum_up()
    finally:
        proxy.end()
    return NOT_RUN if code is None else code


def _run_it(words: list[str], program: str, environ: Mapping[str, str], proxy: "_Proxy") -> int | None:
    """Runs it: its exit code, or -n for signal n; None where the system cannot run it, which is said."""
    from understudy.workstation.foreground import NotRun, attend

    try:
        return attend(words, program, environ, look=proxy.look)
    except NotRun as error:
        print(f"understudy: {program} cannot be run: {error}", file=sys.stderr)
        return None


def _started(options: list[str]) -> "_Proxy":
    """A proxy for this process alone, which does what is asked of it. Raises CannotDo, WrongUse."""
    from understudy.cli.surroundings import hosts_of_a_new_authority, refuse_locked
    from understudy.workstation.environment import before
    from understudy.workstation.launch import LaunchError, Wanted, start

    hosts, modes = hosts_of_a_new_authority(home(), options), _modes(options)
    try:
        runtime = start(home(), options=options, modes=modes, hosts=hosts, owned=True, environ=before(os.environ))
    except LaunchError as error:
        raise CannotDo(str(error)) from None
    proxy = _Proxy(runtime, own=True)
    try:
        if wrong := _otherwise(runtime, Wanted(options=tuple(options), modes=modes)):
            raise CannotDo(wrong)
        refuse_locked(runtime, home())
    except BaseException:
        proxy.end()
        raise
    return proxy


def _otherwise(runtime: "Runtime", wanted: "Wanted") -> str:
    """Why the program cannot use a proxy that was started for it, in words; empty where it can."""
    from understudy.workstation.confdir import Confdir

    config = Confdir(home()).config
    if os.path.realpath(runtime.confdir) != os.path.realpath(Confdir(home()).path):
        return f"the proxy takes its certificate authority from {runtime.confdir}: take confdir out of {config}"
    # What is asked for may be spelled otherwise than it is told: without the file it counts in any case.
    if config.exists() and (difference := wanted.differs_from(runtime, wanted)):
        return f"{config} counts before --set for mitmproxy, and so {difference}; change it there"
    if runtime.port is None:
        modes = runtime.options.get("mode")
        said = ", ".join(map(str, modes)) if isinstance(modes, list | tuple) else modes
        return (
            f"the proxy has no port that HTTPS_PROXY can lead to (its mode: {said}): its options mode and server come "
            f"from --set or {config}"
        )
    return ""


def _modes(options: list[str]) -> tuple[str, ...]:
    """It goes through the proxy that the user's own environment names, if any. Raises CannotDo."""
    from understudy.cli.surroundings import user_s_proxy
    from understudy.workstation.confdir import Confdir

    if any(option.startswith("mode=") for option in options):
        return ()
    try:
        via = user_s_proxy(home(), os.environ)
    except ValueError as error:
        raise CannotDo(str(error)) from None
    config = Confdir(home()).config
    if via is not None and via.auth and not (config.exists() and "upstream_auth:" in config.read_text()):
        raise CannotDo(NEEDS_PASSWORD.format(url=via.url, config=config))
    return () if via is None else (f"upstream:{via.url}",)


@dataclass(slots=True)
class _Proxy:
    """The proxy behind the program. `own`: it was started for it. `redirects`: the program's connections lead to it."""

    runtime: "Runtime"
    own: bool = False
    redirects: bool = False
    missed_since: float | None = None
    """Monotonic seconds."""
    said: bool = False

    def look(self) -> None:
        """Says, once, that it has gone. The program goes on: it is refused, and nothing leaves past the proxy."""
        from understudy.state.runtime import runtimes

        if self.said:
            return
        there = any(each.port == self.runtime.port for each in runtimes(home()))
        now = time.monotonic()
        self.missed_since = None if there else self.missed_since or now
        if self.missed_since is not None and (self.own or now - self.missed_since > PATIENCE):
            self.said = True
            what = f"run it again; the proxy's log: {self._log}" if self.own else "start it: understudy start"
            print(
                f"understudy: the proxy has ended; the program's calls fail from now on. To go on, {what}",
                file=sys.stderr,
            )

    def sum_up(self) -> None:
        """Says what it has done for the program, as far as it can still be asked."""
        from understudy.workstation.reach import ask

        last = ask(self.runtime)
        if last is not None:
            print(f"understudy: {self._summary(last)}", file=sys.stderr)

    def end(self) -> None:
        """Ends it, if it is our own."""
        from understudy.workstation.launch import LaunchError, stop

        if self.own:
            try:
                stop(home(), self.runtime, timeout=STOP, now=True)
            except LaunchError:
                pass  # It has gone, or goes with this process.

    def _summary(self, last: "Runtime") -> str:
        # A shared one may have been started anew meanwhile.
        tally = last.tally - (self.runtime.tally if last.pid == self.runtime.pid else Tally())
        if not tally.requests and not tally.passed:
            return (
                "no request for your accounts came through the proxy; if the program has made some: understudy doctor"
            )
        which = "" if self.own else ", counting all programs of the running proxy"
        return f"{tally}{which}" + (f"; the proxy's log: {self._log}" if tally.failed else "")

    @property
    def _log(self) -> Path:
        from understudy.state.logs import folder

        return folder(home()) / ("run.log" if self.own else "proxy.log")
