"""`understudy config show`: every option, its value, where that comes from, and what is wrong with it."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.cli.arguments import CannotDo, Commands, WrongUse, add_command, add_json
from understudy.cli.render import wrapped
from understudy.state.home import home
from understudy.state.runtime import Runtime, shared_proxy
from understudy.workstation.confdir import Confdir

if TYPE_CHECKING:  # mitmproxy takes longer to load than `--help` takes
    from understudy.doctor.settings import Setting

DESCRIPTION = """\
Shows every option of Understudy's, and those of mitmproxy's that it reads, turns on or refuses,
with the value, where that comes from, and what is wrong with it. Where a proxy runs, it is that
one's; else what `understudy start` would start with. User names and passwords are not shown."""


def add_parser(commands: Commands) -> None:
    """Adds the command, and its own, to the command line."""
    parser = commands.add_parser(
        "config",
        help="show the options and where they come from",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    own = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    show = add_command(
        own,
        "show",
        run,
        help="show the options",
        description=DESCRIPTION,
        example="understudy config show --json | jq '.options[] | select(.fault)'",
    )
    show.add_argument(
        "--set",
        action="append",
        default=[],
        dest="options",
        metavar="NAME=VALUE",
        help="as if it were given to `understudy start`",
    )
    add_json(show)


def run(arguments: argparse.Namespace) -> int:
    """Prints them. Exit code 0, 1 where one is wrong, 2 for wrong use."""
    from mitmproxy.exceptions import OptionsError

    from understudy.workstation.errors import LaunchError

    proxy = shared_proxy(home())
    try:
        found = settings(proxy, arguments.options)
    except LaunchError as error:
        raise WrongUse(str(error)) from None
    except OptionsError as error:
        raise CannotDo(str(error)) from None
    if arguments.json:
        told = {
            "version": 1,
            "file": str(confdir(proxy) / "config.yaml"),
            "proxy": proxy and proxy.pid,
            "options": [*map(asdict, found)],
        }
        print(json.dumps(told, indent=2))
    else:
        print("\n".join(line for setting in found for line in _lines(setting)))
    return 1 if any(setting.fault for setting in found) else 0


def confdir(proxy: Runtime | None) -> Path:
    """The folder whose files the proxy reads, or that one which is started would."""
    return Path(proxy.confdir) if proxy else Confdir(home()).path


def settings(proxy: Runtime | None, given: Sequence[str] = ()) -> "tuple[Setting, ...]":
    """The options of `proxy`, or those that one is started with, with `given` (`NAME=VALUE`) on top.

    Raises OptionsError where a configuration file cannot be read, LaunchError where `given` cannot be given.
    """
    from understudy.doctor.settings import launched, settings
    from understudy.workstation.launch import PORT
    from understudy.workstation.wanted import Wanted, remembered

    if proxy is None:
        return settings(confdir(None), launched(home(), Wanted(options=tuple(given)), PORT))
    started = remembered(home(), proxy)
    before = launched(home(), started, proxy.port or PORT) if started else {}
    source = f"the running proxy (process {proxy.pid})"
    return settings(confdir(proxy), before, {name: (value, source) for name, value in proxy.options.items()})


def _lines(setting: "Setting") -> list[str]:
    """`codex_hold = 5   (default)`, and what is wrong with it below."""
    lines = wrapped(f"{setting.name} = {json.dumps(setting.value, ensure_ascii=False)}   ({setting.source})", 4)
    if setting.fault:
        lines += [f"    {line}" for line in wrapped(f"WRONG: {setting.fault}")]
    return lines
