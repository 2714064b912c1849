"""A login with a real browser: the login page, the way back, and what a hostile page in it can do."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from support.chromium import PROGRAM, Page, browsing
from support.command import Command, free_port
from understudy.sandbox.server import Sandbox
from understudy.state.accounts import AccountStore

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="CHROMIUM IS MISSING: apt-get install chromium")

SCENARIO: dict[str, object] = {
    "accounts": {
        "work": {"plan": "plus", "email": "ada@sandbox.invalid"},
        "team": {"plan": "team", "email": "ada@sandbox.invalid"},
    },
    "login_any_port": True,
    "device": {"interval": 1},
}
HOSTILE = """<!DOCTYPE html><title>hostile</title><body>
<img src="{url}"><iframe src="{url}"></iframe><link rel="prefetch" href="{url}">
<iframe name="frame"></iframe><form method="post" action="{url}" target="frame"></form>
<script>
  document.forms[0].submit();
  const tries = [{{}}, {{mode: "no-cors"}}, {{method: "POST", mode: "no-cors", body: "x"}}, {{credentials: "include"}}];
  Promise.allSettled(tries.map(how => fetch("{url}", how).then(answer => answer.text()).then(text => {{
    if (text) document.title = "hostile: read " + text;
  }}))).then(() => document.body.append("done"));
</script>"""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SCENARIO) as running:
        yield running


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with browsing(tmp_path) as opened:
        yield opened


@pytest.fixture
def port() -> int:
    return free_port()


@contextmanager
def serving(text: str) -> Iterator[str]:
    """Another web site, which has one page; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def start(home: Path, sandbox: Sandbox, port: int, *arguments: str) -> Command:
    return Command(home, ["login", "--set", f"codex_issuer={sandbox.issuer}", *arguments], (port,))


def labels(home: Path) -> list[str]:
    return [account.label for account in AccountStore(home).read().accounts]


async def shown(command: Command, text: str) -> str:
    return await asyncio.to_thread(command.line_with, text)


async def test_a_user_logs_in_and_reads_what_became_of_it(home: Path, sandbox: Sandbox, page: Page, port: int) -> None:
    with start(home, sandbox, port, "--no-browser") as command:
        await page.open(await shown(command, "/oauth/authorize?"))
        await page.press('button[value="account:work"]')
        await page.wait_for("document.title.startsWith('Added plus-ada')")
        text = await page.text()
        assert labels(home) == ["plus-ada"] and "plus-ada (plus, a***@sandbox.invalid)" in text
        assert command.end() == 0
    await page.resize(320, 640)
    assert await page.run("document.documentElement.scrollWidth <= innerWidth"), "readable on a phone"
    own = [url for url in page.requests if f":{port}/" in url]
    assert len(own) == 1 and page.complaints == [], "the page loads nothing, and its policy forbids nothing that it has"


async def test_a_user_who_denies_reads_so(home: Path, sandbox: Sandbox, page: Page, port: int) -> None:
    with start(home, sandbox, port, "--no-browser") as command:
        await page.open(await shown(command, "/oauth/authorize?"))
        await page.press('button[value="deny"]')
        await page.wait_for("document.title.startsWith('The login failed')")
        assert "denied" in await page.text()
        assert command.end() == 1
    assert labels(home) == []


async def test_a_hostile_page_in_the_same_browser_neither_ends_the_login_nor_reads_from_it(
    home: Path, sandbox: Sandbox, page: Page, port: int
) -> None:
    forged = f"http://localhost:{port}/auth/callback?code=stolen&state=guess"
    with start(home, sandbox, port, "--no-browser") as command:
        url = await shown(command, "/oauth/authorize?")
        with serving(HOSTILE.format(url=forged)) as hostile:
            await page.open(hostile)
            await page.wait_for("document.body !== null && document.body.innerText.includes('done')")
            assert (await page.text()).splitlines()[0] == "hostile"
        assert len([sent for sent in page.requests if sent == forged]) >= 5
        assert labels(home) == []
        await page.open(url)
        await page.press('button[value="account:team"]')
        await page.wait_for("document.title.startsWith('Added team-ada')")
        assert command.end() == 0


async def test_a_user_enters_the_code_of_a_device(home: Path, sandbox: Sandbox, page: Page, port: int) -> None:
    with start(home, sandbox, port, "--device") as command:
        await page.open(await shown(command, "/codex/device"))
        code = await shown(command, "-")
        await page.wait_for("document.querySelector('input') !== null")
        await page.run(f"document.querySelector('input').value = {code!r}")
        await page.press("button")
        await page.press('button[value="account:work"]')
        await page.wait_for("document.title === 'Done'")
        assert await asyncio.to_thread(command.end) == 0
    assert labels(home) == ["plus-ada"]
