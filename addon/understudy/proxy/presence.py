"""What this process tells of itself for as long as it lives, whether the script is loaded or not."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from mitmproxy import ctx
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.version import VERSION

from understudy import __version__
from understudy.pool.tally import Tally
from understudy.proxy.options import read_scope, told_options
from understudy.state.launcher import Launcher
from understudy.state.running import Record, Running
from understudy.state.runtime import KEY, Listener, Runtime, encode

logger = logging.getLogger(__name__)

_PROGRAMS = {"DumpMaster": "mitmdump", "WebMaster": "mitmweb", "ConsoleMaster": "mitmproxy"}


class Presence:
    """One for the life of the process: a reload of the script changes nothing here."""

    def __init__(self, home: Path) -> None:
        self.tally = Tally()
        """What has been done so far."""
        self._running = Running(home)
        self._launcher = Launcher()
        self._started_at = time.time()
        self._begun = False
        self._end: Callable[[], None]
        self._opening: asyncio.Task[None]

    def runtime(self) -> Runtime:
        """What this proxy is now."""
        master, options = ctx.master, ctx.options
        return Runtime(
            pid=os.getpid(),
            program=_PROGRAMS.get(type(master).__name__, "mitmproxy"),
            version=__version__,
            mitmproxy=VERSION,
            started_at=self._started_at,
            confdir=str(Path(options.confdir).expanduser().absolute()),
            listeners=_listeners(),
            options=told_options(options),
            owner=self._launcher.owner,
            hosts=tuple(sorted(read_scope(options).all)),
            web=_web_page(),
            authority=_authority(),
            tally=self.tally,
        )

    def begin(self, end: Callable[[], None]) -> None:
        """Tells it for the first time, and says so to the command that has started this process, if one has.

        `end` is called once the process is gone that this one serves alone.
        """
        if self._begun:
            self.tell(self.runtime())
            return
        self._begun, self._end = True, end
        self._say()
        if (file := self._launcher.file) is not None:
            asyncio.get_running_loop().add_reader(file, self._heard)
        if ctx.options.server or self._launcher.file is None:
            self._is_up()

    def _say(self) -> None:
        runtime = self.runtime()
        self.tell(runtime)
        # The page's address with the key to it is for who has started it, and for nobody else.
        self._launcher.say(replace(runtime, web=getattr(ctx.master, "web_url", runtime.web)))

    def _is_up(self) -> None:
        if (file := self._launcher.file) is not None and self._launcher.owner is None:
            asyncio.get_running_loop().remove_reader(file)
        self._launcher.is_up()

    def _heard(self) -> None:
        file = self._launcher.file
        if self._launcher.has_said():
            self._opening = asyncio.get_running_loop().create_task(self._open())
            return
        if file is not None:
            asyncio.get_running_loop().remove_reader(file)
        logger.info("understudy: the program that this proxy was started for is gone")
        self._end()

    async def _open(self) -> None:
        """The ports were closed, because another process had them."""
        ctx.options.update(server=True)
        await settled()
        self._say()
        self._is_up()

    def tell(self, runtime: Runtime, told: Mapping[str, object] | None = None) -> None:
        """Tells what this proxy is, and what its addon tells besides, to the commands and to other proxies."""
        self._running.tell({**(told or {}), KEY: encode(runtime)})

    def others(self) -> tuple[Record, ...]:
        """What the other living processes tell."""
        return self._running.others()

    async def closes(self) -> None:
        """It listens no more, once that is so; what runs may run to its end."""
        await settled()
        self.tell(replace(self.runtime(), listeners=()))

    def end(self) -> None:
        """Nothing is told any more."""
        self._running.end()


async def settled() -> None:
    """Waits until the ports are open, or closed, as the options have it."""
    await ctx.master.addons.get("proxyserver").setup_servers()


def _listeners() -> tuple[Listener, ...]:
    servers = ctx.master.addons.get("proxyserver").servers
    found = ((server.mode, address) for server in servers for address in server.listen_addrs)
    return tuple(Listener(_spelt(mode), address[0], address[1]) for mode, address in found)


def _spelt(mode: ProxyMode) -> str:
    return f"{mode.type_name}:{mode.data}" if mode.data else mode.type_name


def _authority() -> str:
    """Of what mitmproxy holds in memory: the file may be another by now."""
    store = ctx.master.addons.get("tlsconfig").certstore
    return store.default_chain_certs[-1].fingerprint().hex() if store else ""


def _web_page() -> str | None:
    if type(ctx.master).__name__ != "WebMaster":
        return None
    host, port = ctx.options.web_host, ctx.options.web_port
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
