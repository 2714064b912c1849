"""What a bug report needs of this machine, in one text without anything secret."""

import json
import platform
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from mitmproxy.exceptions import OptionsError

from understudy import __version__, needs
from understudy.doctor import reading
from understudy.doctor.belongings import belongings
from understudy.doctor.checks import as_object, look
from understudy.doctor.machine import Machine
from understudy.doctor.redact import Known, Redactor, hosts_in, known_in
from understudy.doctor.settings import Setting, in_files, shown
from understudy.doctor.shell import ADDING, BASE_URLS, KEY_LOGS, NO_PROXY, PROXY, REPLACING, way_of
from understudy.state import logs

LINES = 200
"""Lines of each log, at the most."""
TAIL = 256 * 1024
"""Bytes at the end of a log that are looked at."""
HEAD = """\
What Understudy's `diag` found on a machine, for a bug report. Accounts have pseudonyms. Tokens, ids, e-mail addresses,
hosts, addresses and paths of yours were taken out, bodies were never in it. Look through it before you send it.
"""
_VARIABLES = (
    *PROXY,
    *NO_PROXY,
    *REPLACING,
    *ADDING,
    *BASE_URLS,
    *KEY_LOGS,
    "OPENAI_API_KEY",
    "NODE_OPTIONS",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "NODE_USE_ENV_PROXY",
    "SSL_CERT_DIR",
    "UNDERSTUDY_HOME",
)
"""Of these it is told whether they are set, and nothing more."""
_OURS = re.compile(r"understudy: |listening at|^Traceback|^ +File \"[^\"]*\", line [0-9]+, in \S+$")
"""The lines of a log that we, or Python, have written: others may quote what programs sent."""

Section = Callable[[Machine, Sequence[Setting]], object]


def bundle(machine: Machine, settings: Sequence[Setting]) -> str:
    """The whole text: a head, and sections with their titles. What cannot be found out says so, and no more."""
    folders = {machine.home: "<understudy>", machine.user_home: "~"}
    redactor = Redactor(_known(machine, settings), {**_resolved(folders), **folders}, _installed())
    parts = [HEAD]
    for title, section in SECTIONS.items():
        try:
            told = redactor.value(section(machine, settings))
        except Exception as error:
            told = f"could not be found out ({type(error).__name__})"
        body = "\n".join(map(str, told)) if title == "log" and isinstance(told, list) else _rendered(told, 2)
        parts.append(f"== {title} ==\n{body}\n")
    return "\n".join(parts)


def _rendered(value: object, depth: int) -> str:
    """As JSON, with a line for each member, and for each entry of a list."""
    if depth > 0 and value and isinstance(value, Mapping):
        members = ",\n".join(f"{json.dumps(name)}: {_rendered(each, depth - 1)}" for name, each in value.items())
        return f"{{\n{members}\n}}"
    if depth > 0 and value and isinstance(value, list):
        return "[\n{}\n]".format(",\n".join(map(json.dumps, value)))
    return json.dumps(value)


def _resolved(folders: Mapping[Path, str]) -> Mapping[Path, str]:
    return {path.resolve(): shown for path, shown in folders.items()}


def _installed() -> Iterator[Path]:
    """Where the code is, but for a folder of the whole system, as `/usr`."""
    found = (Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[2])
    return (path for path in found if len(path.parts) > 2)


def _known(machine: Machine, settings: Sequence[Setting]) -> Known:
    """All that any file of ours says of accounts, those that are no longer in the pool included, and of hosts."""
    paths = [machine.home / "accounts.json", *(path for path in belongings(machine.home) if ".json" in path.name)]
    paths += sorted((machine.home / "quarantine").glob("*"))  # They may have been given other names.
    pool = machine.stored.pool
    # Tokens in the keychain are in no file.
    tokens = [token.reveal() for a in (pool.accounts if pool else ()) for token in (a.tokens.access, a.tokens.refresh)]
    found = known_in(_content(path) for path in paths)
    options = [(setting.name, setting.value) for setting in settings]
    options += [(name, value) for proxy in machine.proxies for name, value in proxy.options.items()]
    options += _written(machine)
    chosen = [str(value) for name, value in options if name == "codex_account" and value]
    return Known(
        tuple(dict.fromkeys((*found.labels, *(text for text in chosen if text not in found.texts)))),
        found.texts | {text for text in tokens if text},
        frozenset(_hosts(machine, options)),
    )


def _written(machine: Machine) -> Iterator[tuple[str, object]]:
    """The options in our files, be it that a proxy has others."""
    try:
        yield from ((name, value) for name, (value, _) in in_files(machine.confdir.path).items())
    except OptionsError:
        return  # Then no option of theirs is told either.


def _hosts(machine: Machine, options: Iterable[tuple[str, object]]) -> Iterator[str]:
    """Those that variables, options and logs name, as a company's proxy."""
    for name in (*PROXY, *BASE_URLS):
        yield from hosts_in(f"//{way_of(name, machine.environ.get(name, '')).where}")
    for name, value in options:
        for text in value if isinstance(value, list) else [value]:
            yield from hosts_in(str(text))
            if name == "codex_hosts":
                yield from (host.strip() for host in str(text).split(","))
    for line in _log_lines(machine):
        yield from hosts_in(line)


def _content(path: Path) -> bytes:
    try:
        return reading.read(path) or b""
    except ValueError:
        return b""


def _versions(machine: Machine, _: Sequence[Setting]) -> object:
    found = {"understudy": __version__, "python": platform.python_version(), "platform": platform.platform()}
    requirements = (needs.MITMPROXY, *needs.PACKAGES.values())
    return found | {name: _version(name) for name in (re.split("[<>]", each)[0] for each in requirements)}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _doctor(machine: Machine, _: Sequence[Setting]) -> object:
    return as_object(look(machine))


def _options(_: Machine, settings: Sequence[Setting]) -> object:
    return [asdict(setting) for setting in settings]


def _accounts(machine: Machine, _: Sequence[Setting]) -> object:
    from understudy.oauth.formats import own

    if machine.stored.pool is None:
        return machine.stored.trouble
    told = json.loads(own.redacted(machine.stored.pool.accounts, machine.now))["accounts"]
    return [_account(account) for account in told]


def _account(account: Mapping[str, object]) -> Mapping[str, object]:
    tags = account.get("tags")
    without = {name: value for name, value in account.items() if name not in ("id", "email", "tags")}
    return without | {"tags": len(tags) if isinstance(tags, list) else 0}


def _figures(machine: Machine, _: Sequence[Setting]) -> object:
    from understudy.state.report import status_object

    if machine.board is None:
        return None
    status = status_object(machine.board, machine.now)
    # A session's name is the beginning of a digest, and says whose two lines are.
    return status | {"next": bool(status["next"])}


def _proxies(machine: Machine, _: Sequence[Setting]) -> object:
    return [
        asdict(proxy)
        # The address of mitmweb's page has the key to it.
        | {"web": proxy.web is not None, "options": {name: shown(name, v) for name, v in proxy.options.items()}}
        for proxy in machine.proxies
    ]


def _environment(machine: Machine, _: Sequence[Setting]) -> object:
    return [name for name in _VARIABLES if machine.environ.get(name)]


def _files(machine: Machine, _: Sequence[Setting]) -> object:
    """How many of ours there are in each folder, and how many bytes they have; no name of theirs."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for path in belongings(machine.home):
        if path.is_symlink() or not path.is_file():
            continue
        folder = "." if path.parent == machine.home else path.parent.name
        counts[folder] += 1
        sizes[folder] += path.stat().st_size
    return {folder: {"files": count, "bytes": sizes[folder]} for folder, count in sorted(counts.items())}


def _log(machine: Machine, _: Sequence[Setting]) -> object:
    return [*_log_lines(machine)]


def _log_lines(machine: Machine) -> Iterator[str]:
    for path in sorted(logs.folder(machine.home).glob("*.log")):
        yield from _last_lines(path)


def _last_lines(path: Path) -> Iterator[str]:
    if path.is_symlink() or not path.is_file():
        return
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - TAIL))
        lines = log.read(TAIL).decode(errors="replace").splitlines()[1 if log.tell() > TAIL else 0 :]
    yield from [line for line in lines if _OURS.search(line)][-LINES:]


SECTIONS: Mapping[str, Section] = {
    "versions": _versions,
    "doctor": _doctor,
    "options": _options,
    "accounts": _accounts,
    "figures": _figures,
    "running proxies": _proxies,
    "variables that are set": _environment,
    "files": _files,
    "log": _log,
}
"""What is in a bundle, in its order."""
