"""Every option with its value, where that comes from, and what is wrong with it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from mitmproxy import exceptions, optmanager
from mitmproxy.options import Options

from understudy.proxy.options import NEEDS, OPTIONS, read_settings
from understudy.workstation.confdir import Confdir
from understudy.workstation.wanted import Wanted, command_line

MITMPROXY: Mapping[str, object] = {
    "mode": ["regular"],
    "server": True,
    "listen_host": "",
    "listen_port": None,
    "confdir": None,
    "connection_strategy": "eager",
    "upstream_cert": True,
    "allow_hosts": [],
    "ignore_hosts": [],
    "tcp_hosts": [],
    "udp_hosts": [],
    "upstream_auth": None,
    "proxyauth": None,
    "ssl_verify_upstream_trusted_ca": None,
    "ssl_insecure": False,
    "proxy_debug": False,
    "emudhra": False,
    "emudhra_old": False,
    "scripts": [],
    "save_stream_file": None,
    "web_host": "127.0.0.1",
    "web_password": "",
}
"""mitmproxy's own options that Understudy reads, turns on or refuses, with their defaults. Not every version, and not
every one of its programs, has every one.
"""
SECRET = frozenset({"upstream_auth", "proxyauth", "web_password"})
_ARGUMENTS = ("mode", "listen_port")
"""What `understudy start` gives mitmproxy by arguments of their own."""
FILES = ("config.yaml", "config.yml")
"""What mitmproxy reads in its folder, in this order."""
_DEFAULTS = ("default", "mitmproxy's default")
_NOT_SAID = "is not understood"
HIDDEN = "(set, not shown)"
_USER = re.compile(r"//[^/@\s]+@")

Values = dict[str, tuple[object, str]]
"""By name, a value and where it comes from."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One option. `value`: without what is secret. `source`: in words. `fault`: what is wrong with it, or empty."""

    name: str
    value: object
    source: str
    fault: str = ""


def settings(confdir: Path, launched: Values | None = None, told: Values | None = None) -> tuple[Setting, ...]:
    """The options as a proxy with this `confdir` has them. Raises OptionsError where a file there is no YAML.

    `launched`: those that it is started with. mitmproxy reads its files after `--set`, and before its other arguments.
    `told`: those that it tells of as it runs; where these are as the rest has them, that is where they come from.
    """
    started = {name: value for name, value in (launched or {}).items() if _is_shown(name)}
    values: Values = {option.name: (option.default, _DEFAULTS[0]) for option in OPTIONS}
    values |= {name: (default, _DEFAULTS[1]) for name, default in MITMPROXY.items()}
    values |= {name: (value, "turned on by Understudy") for name, (value, _) in NEEDS.items()}
    values |= started
    written = {name: found for name, found in in_files(confdir).items() if _is_shown(name)}
    values |= written
    values |= {name: started[name] for name in _ARGUMENTS if name in started}
    for name, (value, source) in (told or {}).items():
        if value is not None and _is_shown(name) and values.get(name, (None, ""))[0] != value:
            values[name] = (value, source)
    faults = faults_of({name: value for name, (value, source) in values.items() if source not in _DEFAULTS})
    if launched:
        faults |= shut({name: value for name, (value, source) in written.items() if values[name] == (value, source)})
    return tuple(Setting(name, shown(name, v), source, faults.get(name, "")) for name, (v, source) in values.items())


def launched(home: Path, wanted: Wanted, port: int) -> Values:
    """The options on the command line that `understudy start` runs. Raises LaunchError."""
    words = command_line(Path(wanted.program), Path("codex.py"), Confdir(home), wanted, port)
    specs = [after for word, after in pairwise(words) if word == "--set"]
    found: Values = {"listen_port": (port, "understudy start")}
    for spec in specs:
        found[spec.partition("=")[0]] = (typed(spec), "--set" if spec in wanted.options else "understudy start")
    return found | ({"mode": ([*wanted.modes], "--mode")} if wanted.modes else {})


def typed(spec: str) -> object:
    """The value in `NAME=VALUE` as mitmproxy understands it, or the text itself where it does not."""
    name, _, text = spec.partition("=")
    made = _options({})
    try:
        made.set(spec)
        return getattr(made, name)
    except (exceptions.OptionsError, AttributeError, KeyError):
        return text


def in_files(confdir: Path) -> Values:
    """The options in the files that mitmproxy reads in this folder, as it reads them: the second has the last word.

    Raises OptionsError, which names the file, where one is no YAML.
    """
    found: Values = {}
    for path in (confdir / name for name in FILES):
        try:
            found |= {name: (value, str(path)) for name, value in _in_file(path).items()}
        except exceptions.OptionsError as error:
            raise exceptions.OptionsError(f"{path} {error}") from None
    return found


def _in_file(config: Path) -> dict[str, Any]:
    try:
        found = optmanager.parse(config.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise exceptions.OptionsError(f"cannot be read ({type(error).__name__})") from None
    if not isinstance(found, dict):
        raise exceptions.OptionsError("is not a list of options with their values")
    return {str(name): value for name, value in found.items()}


def _is_shown(name: str) -> bool:
    return name.startswith("codex_") or name in MITMPROXY


def shown(name: str, value: object) -> object:
    """`value` without user names and passwords."""
    if name in SECRET:
        return HIDDEN if value else value
    if isinstance(value, str):
        return _USER.sub("//***@", value)
    return (
        [_USER.sub("//***@", one) if isinstance(one, str) else one for one in value]
        if isinstance(value, list)
        else value
    )


def faults_of(values: Mapping[str, object]) -> dict[str, str]:
    """What is wrong with each value that somebody has set, by the option's name."""
    known = {option.name for option in OPTIONS}
    faults = {name: "there is no such option" for name in values if name.startswith("codex_") and name not in known}
    faults |= {name: "takes another kind of value" for name, value in values.items() if not _fits(name, value)}
    fitting = {name: value for name, value in values.items() if name not in faults}
    faults |= dict(_refused(fitting))
    # The words for a fault may quote the value.
    quoted = {name for name in faults if name in values and shown(name, values[name]) != values[name]}
    return {name: _NOT_SAID if name in quoted else said for name, said in faults.items()} | _risky(fitting)


def shut(written: Mapping[str, object]) -> dict[str, str]:
    """What keeps programs out of a proxy that `understudy start` or `run` starts, of the options in its files."""
    faults = {}
    if "confdir" in written:
        faults["confdir"] = "programs trust the authority in Understudy's own folder, and the proxy would have another"
    if written.get("server") is False:
        faults["server"] = "it opens no port, so that no program reaches it"
    if "mode" in written and not _has_port(written["mode"]):
        faults["mode"] = "none of these is regular or upstream, so that programs that are led to it have no port"
    return faults


def _has_port(modes: object) -> bool:
    words = modes if isinstance(modes, list) else [modes]
    return any(re.match(r"(?:regular|upstream)\b", str(word)) for word in words)


def _options(values: Mapping[str, object]) -> Options:
    """mitmproxy's options with ours. Raises OptionsError, and TypeError for a value of another kind."""
    made = Options()
    for option in OPTIONS:
        made.add_option(option.name, option.type, option.default, option.help)
    for name, kind in (("upstream_auth", str | None), ("proxy_debug", bool), ("emudhra", bool), ("emudhra_old", bool)):
        if name not in made:
            made.add_option(name, kind, MITMPROXY[name], "")
    made.update(**{name: value for name, value in values.items() if name in made})
    return made


def _fits(name: str, value: object) -> bool:
    try:
        _options({name: value})
    except (exceptions.OptionsError, TypeError):
        return False
    return True


def _refused(values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """What the addon does not start with. It names one option a time, so the rest is tried without that one."""
    left = dict(values)
    while True:
        try:
            read_settings(_options(left))
            return
        except exceptions.OptionsError as error:
            said = str(error)
        name = next((name for name in sorted(left, key=len, reverse=True) if said.startswith(name)), None)
        if name is None:
            raise exceptions.OptionsError(said)
        yield name, said.removeprefix(name).lstrip(": ")
        del left[name]


def _risky(values: Mapping[str, object]) -> dict[str, str]:
    """What the addon starts with, and a user should know of."""
    return {name: words for name, words in _RISKS.items() if name in values and not _is_harmless(name, values[name])}


_RISKS = {
    "proxyauth": "what `understudy run` and `understudy env` lead to it has no password, and cannot get in",
    "listen_host": "other machines can connect; they are hung up on, unless they have a password (proxyauth)",
    "web_host": "other machines can open mitmweb, which shows all that passes",
    "save_stream_file": "writes what programs ask and are answered to a file",
    "scripts": "other scripts see, and may change, all that passes",
}


WARNINGS = frozenset({"proxyauth"})
"""Those with which a proxy works, for programs that are led to it otherwise."""


def _is_harmless(name: str, value: object) -> bool:
    if name in ("listen_host", "web_host"):
        return str(value) in ("", "127.0.0.1", "::1", "localhost")
    if name == "scripts" and isinstance(value, list):
        return all(Path(str(script)).name == "codex.py" for script in value)
    return not value
