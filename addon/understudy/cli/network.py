"""What the commands that speak to ChatGPT take from the proxy: its options, by `--set` or from its `config.yaml`."""

import argparse
from typing import TYPE_CHECKING

from understudy.cli.arguments import WrongUse

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


def read_network(arguments: argparse.Namespace) -> "Settings":
    """The options as a proxy has them that is started now with the same `--set`: where the login server and the
    backend are, which proxy leads there, which authorities are trusted. Raises WrongUse.
    """
    from mitmproxy.exceptions import OptionsError

    from understudy.proxy.options import read_offline

    try:
        return read_offline(arguments.options)
    except OptionsError as error:
        raise WrongUse(str(error)) from None
