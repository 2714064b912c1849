"""The login in a browser anywhere, whose last address the user carries back."""

import asyncio
import secrets
import sys

from understudy.cli.arguments import CannotDo
from understudy.cli.login.server import AGAIN, Kept, Server
from understudy.oauth.authorize import authorize_url, read_pasted, redirect_uri
from understudy.oauth.callback import PORTS
from understudy.oauth.pkce import RANDOM_BYTES, new_attempt
from understudy.wire.secret import Secret

LONGEST = 32 * 1024

INTRODUCTION = """\
Open this in a browser, on any machine:

  {url}

After the login the browser ends at an address that begins with {redirect}, which it cannot open.
Copy that address from the browser, and paste it here:"""


def log_in_by_paste(server: Server) -> Kept:
    """Shows the address of the login page, and takes the address, or the code, that the browser ended at.

    Raises CannotDo and StateError.
    """
    attempt, redirect = new_attempt(secrets.token_bytes(RANDOM_BYTES)), redirect_uri(PORTS[0])
    url = authorize_url(server.issuer, redirect, attempt, server.workspace)
    print(INTRODUCTION.format(url=url, redirect=redirect), flush=True)
    code = read_pasted(sys.stdin.readline(LONGEST), attempt.state)
    if not isinstance(code, Secret):
        raise CannotDo(f"{code.message}. {AGAIN}")
    return asyncio.run(server.finish(code, redirect, attempt.verifier))
