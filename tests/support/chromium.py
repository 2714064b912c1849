"""A headless Chromium with one page, told what to do by its DevTools protocol (chromedevtools.github.io)."""

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from tornado.websocket import WebSocketClientConnection, websocket_connect

from support.proxy import clean_environment

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# It speaks to nobody but to whom it is sent, and runs as root in a container.
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
LIMIT = 30.0


_CHANGED = "navigated or closed"


class PageChanged(Exception):
    """The page has gone to another one while it was asked something."""


class Page:
    """The page. `complaints`: what its console said; `requests`: the URLs that it asked for."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._socket = socket
        self._count = 0

    async def open(self, url: str) -> None:
        """Goes there, as if the user had typed it."""
        await self._ask("Page.navigate", url=url)

    async def run(self, script: str) -> object:
        """The value of a JavaScript expression in the page."""
        answer = await self._ask("Runtime.evaluate", expression=script)
        return answer.get("result", {}).get("value")

    async def press(self, selector: str) -> None:
        """Clicks on an element, once it is there."""
        await self.wait_for(f"document.querySelector({json.dumps(selector)}) !== null")
        await self.run(f"document.querySelector({json.dumps(selector)}).click()")

    async def wait_for(self, script: str) -> None:
        """Waits until an expression is true in the page. Raises TimeoutError."""
        until = time.monotonic() + LIMIT
        while not await self._is_so(script):
            if time.monotonic() > until:
                raise TimeoutError(f"{script} is not so in: {await self.text()}")
            await asyncio.sleep(0.05)

    async def _is_so(self, script: str) -> bool:
        try:
            return await self.run(script) is True
        except PageChanged:
            return False

    async def text(self) -> str:
        """What the user reads."""
        return str(await self.run("document.title + '\\n' + document.body.innerText"))

    async def resize(self, width: int, height: int) -> None:
        """A screen of so many pixels; a narrow one is a phone's."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await self._ask("Emulation.setDeviceMetricsOverride", **size)

    async def _ask(self, method: str, **parameters: object) -> dict[str, dict[str, object]]:
        self._count += 1
        await self._socket.write_message(json.dumps({"id": self._count, "method": method, "params": parameters}))
        while True:
            message = await asyncio.wait_for(self._socket.read_message(), LIMIT)
            assert message is not None, "Chromium has ended"
            told = json.loads(message)
            if told.get("id") == self._count:
                if _CHANGED in str(told.get("error")):
                    raise PageChanged
                assert "error" not in told, told
                result: dict[str, dict[str, object]] = told["result"]
                return result
            self._note(told)

    def _note(self, told: dict[str, Any]) -> None:
        if told["method"] == "Log.entryAdded":
            self.complaints.append(told["params"]["entry"]["text"])
        elif told["method"] == "Network.requestWillBeSent":
            self.requests.append(told["params"]["request"]["url"])


@asynccontextmanager
async def browsing(folder: Path) -> AsyncIterator[Page]:
    """A fresh browser that keeps what it keeps in `folder`, for as long as the block lasts."""
    assert PROGRAM is not None
    log = folder / "chromium.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [PROGRAM, *ARGUMENTS, f"--user-data-dir={folder / 'profile'}", "about:blank"],
            env=clean_environment(HOME=str(folder)),
            stdout=output,
            stderr=output,
        )
    try:
        port = await _port(folder / "profile" / "DevToolsActivePort", log)
        async with httpx.AsyncClient(trust_env=False, timeout=LIMIT) as client:
            targets = (await client.get(f"http://127.0.0.1:{port}/json/list")).json()
        address = next(target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page")
        socket = await websocket_connect(address, max_message_size=64 * 1024 * 1024)
        page = Page(socket)
        for domain in ("Page", "Network", "Log"):
            await page._ask(f"{domain}.enable")
        yield page
        socket.close()
        while await socket.read_message() is not None:
            pass
    finally:
        process.kill()
        process.wait(LIMIT)


async def _port(path: Path, log: Path) -> int:
    """The port that Chromium has written down."""
    until = time.monotonic() + LIMIT
    while time.monotonic() < until:
        try:
            return int(path.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            await asyncio.sleep(0.05)
    raise TimeoutError(f"Chromium did not start:\n{log.read_text()}")
