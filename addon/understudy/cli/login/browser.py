"""The login in a browser on this machine: it is sent out, and awaited on loopback."""

import asyncio
import os
import secrets
import sys
import threading
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass

from understudy.cli.arguments import CannotDo
from understudy.cli.login.server import Kept, Server
from understudy.cli.pool import about
from understudy.cli.render import duration
from understudy.oauth import callback
from understudy.oauth.authorize import authorize_url, read_callback, redirect_uri
from understudy.oauth.callback import Verdict
from understudy.oauth.pages import error_page, success_page
from understudy.oauth.pkce import RANDOM_BYTES, Attempt, new_attempt
from understudy.oauth.refused import Reason, Refused
from understudy.state.errors import StateError
from understudy.wire.secret import Secret

OTHER_WAYS = "Log in another way: understudy login --device, or understudy login --paste"
ELSEWHERE = """\
No browser can be opened here. One on another machine does not find its way back by itself; use a code instead:

  understudy login --device
"""


def log_in_by_browser(server: Server, no_browser: bool = False) -> Kept:
    """Opens the login page in the user's browser, unless there is none or it is not wanted; ends when it came back.

    Raises CannotDo and StateError.
    """
    try:
        bound = callback.bind(callback.PORTS)
    except callback.PortsTaken as error:
        raise CannotDo(f"{error}. {OTHER_WAYS}") from None
    attempt = new_attempt(secrets.token_bytes(RANDOM_BYTES))
    visit = Visit(server, attempt, redirect_uri(bound.port))
    send_out(authorize_url(server.issuer, visit.redirect, attempt, server.workspace), no_browser)
    try:
        asyncio.run(callback.receive(bound, visit.judge))
    except TimeoutError:
        raise CannotDo(
            f"nobody came back from the login page within {duration(callback.LIMIT)}. {OTHER_WAYS}"
        ) from None
    return visit.outcome()


def send_out(url: str, no_browser: bool) -> None:
    """Opens the browser where there is one; shows the address in any case."""
    opened = not no_browser and has_browser(os.environ, sys.platform)
    if not no_browser and not opened:
        print(ELSEWHERE)
    if opened:
        # Some browsers end only when the user closes them.
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
    what = "Your browser opens ChatGPT's login page. If it does not, open this" if opened else "Open this in a browser"
    print(f"{what}:\n\n  {url}\n\nWaiting for {duration(callback.LIMIT)} at most; Ctrl-C ends it.", flush=True)


def has_browser(environ: Mapping[str, str], platform: str) -> bool:
    """Whether a browser that is opened here is one that the user sees."""
    if environ.get("BROWSER"):
        return True
    if platform in ("darwin", "win32"):
        return "SSH_CONNECTION" not in environ
    return any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"))


@dataclass(slots=True)
class Visit:
    """The way back of one login: what a callback means, and what came of it."""

    server: Server
    attempt: Attempt
    redirect: str
    kept: Kept | None = None
    failure: str = ""

    async def judge(self, query: str) -> Verdict:
        """The page is made when the login is on disk, or is known not to be: what it says is true."""
        code = read_callback(query, self.attempt.state)
        if isinstance(code, Secret):
            return await self._finish(code)
        if code.reason is Reason.WRONG_STATE:
            return _not_ours(code)
        return self._failed(code.message)

    def outcome(self) -> Kept:
        """The login. Raises CannotDo where it failed."""
        if self.kept is None:
            raise CannotDo(self.failure)
        return self.kept

    async def _finish(self, code: Secret) -> Verdict:
        try:
            self.kept = await self.server.finish(code, self.redirect, self.attempt.verifier)
        except (CannotDo, StateError) as error:
            return self._failed(str(error))
        account = self.kept.account
        title, known = f"{self.kept.change.capitalize()} {account.label}", about(account)
        page = success_page(title, f"{known} is in Understudy's pool.", "You can close this page.")
        return Verdict(page, final=True)

    def _failed(self, reason: str) -> Verdict:
        self.failure = reason
        page = error_page(400, "The login failed", f"{reason[:1].upper()}{reason[1:]}", "Go back to the terminal.")
        return Verdict(page, final=True)


def _not_ours(refused: Refused) -> Verdict:
    """Any web page can send a browser here, so this must not end the login."""
    text = f"{refused.message[:1].upper()}{refused.message[1:]}."
    page = error_page(400, "Not this login", text, "Nothing was changed. Open the address that the terminal shows.")
    return Verdict(page, final=False)
