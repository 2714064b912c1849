"""What a bug report needs of this machine, in one text without anything secret."""

import json
import platform
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from understudy import __version__, needs
from understudy.doctor import reading
from understudy.doctor.checks import as_object, look
from understudy.doctor.machine import Machine
from understudy.doctor.redact import Known, Redactor, known_in
from understudy.doctor.settings import Setting, shown
from understudy.doctor.shell import ADDING, BASE_URLS, KEY_LOGS, NO_PROXY, PROXY, REPLACING, way_of
from understudy.workstation import logs

LINES = 200
"""Lines of each log, at the most."""
TAIL = 256 * 1024
"""Bytes at the end of a log that are looked at."""
HEAD = """\
What Understudy's `diag` found on a machine, for a bug report. Accounts have pseudonyms. Tokens, ids, e-mail addresses,
and paths below a home were taken out, bodies were never in it. Look through it before you send it.
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
    redactor = Redactor(_known(machine), {machine.home: "<understudy>", machine.user_home: "~"})
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


def _known(machine: Machine) -> Known:
    """All that any file of ours says of accounts, those that are no longer in the pool included."""
    paths = [machine.home / "accounts.json", *sorted(machine.home.rglob("*.json*"))]
    pool = machine.stored.pool
    # Tokens in the keychain are in no file.
    tokens = [token.reveal() for a in (pool.accounts if pool else ()) for token in (a.tokens.access, a.tokens.refresh)]
    found = known_in(_content(path) for path in paths)
    return Known(found.labels, found.texts | {text for text in (*tokens, *_elsewhere(machine)) if text})


def _elsewhere(machine: Machine) -> Iterator[str]:
    """The hosts that the shell's variables lead to, as a company's proxy."""
    for name in (*PROXY, *BASE_URLS):
        found = way_of(name, machine.environ.get(name, ""))
        if found.port is None:
            yield found.where.rpartition(":")[0]


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
    """How many there are in each folder that we know, and how many bytes they have; no name of theirs."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for path in machine.home.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        top = path.relative_to(machine.home).parts[0] if path.parent != machine.home else "."
        folder = top if top in _FOLDERS else "other"
        counts[folder] += 1
        sizes[folder] += path.stat().st_size
    return {folder: {"files": count, "bytes": sizes[folder]} for folder, count in sorted(counts.items())}


_FOLDERS = frozenset({".", "backups", "leases", "logs", "mitmproxy", "quarantine", "running"})


def _log(machine: Machine, _: Sequence[Setting]) -> object:
    return [line for path in sorted(logs.folder(machine.home).glob("*.log")) for line in _last_lines(path)]


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
