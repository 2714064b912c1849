"""What the commands that speak to ChatGPT take from the proxy: its options, as it runs, and `--set` over them."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from understudy.cli.arguments import WrongUse
from understudy.state.home import home
from understudy.state.runtime import shared_proxy
from understudy.workstation.confdir import Confdir

if TYPE_CHECKING:  # mitmproxy takes longer to load than most commands take
    from understudy.proxy.options import Settings


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds `--set` to a command that speaks to ChatGPT."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="options",
        metavar="NAME=VALUE",
        help="an option of the proxy that holds here too, as for mitmdump; codex_backend, say",
    )


@dataclass(frozen=True, slots=True)
class Followed:
    """Whose options the commands go by. `told`: those of the running proxy, if there is one for all programs."""

    proxy: int | None
    """Its process."""
    confdir: str | None
    """The folder of mitmproxy's that has a `config.yaml` for us; None: mitmproxy's own folder."""
    told: Mapping[str, object]


def followed() -> Followed:
    """The running proxy, else our own `config.yaml`, else mitmproxy's. Raises StateError."""
    folder = home()
    running = shared_proxy(folder)
    if running is not None:
        return Followed(running.pid, running.confdir, running.options)
    confdir = Confdir(folder)
    return Followed(None, str(confdir.path) if confdir.config.exists() else None, {})


def read_network(arguments: argparse.Namespace) -> "Settings":
    """The options as the running proxy has them, or as one would that is started now, and `--set` over them: where the
    login server and the backend are, which proxy leads there, which authorities are trusted. Raises WrongUse.
    """
    found = followed()
    return read_options(arguments.options, found.confdir, found.told)


def read_options(
    options: Sequence[str], confdir: str | None = None, told: Mapping[str, object] | None = None
) -> "Settings":
    """`options` (`NAME=VALUE`) over what a proxy tells, over the `config.yaml` in `confdir`. Raises WrongUse."""
    from mitmproxy.exceptions import OptionsError
    from mitmproxy.options import CONF_DIR

    from understudy.proxy.options import read_offline

    try:
        return read_offline(options, confdir or CONF_DIR, told)
    except OptionsError as error:
        raise WrongUse(str(error)) from None
