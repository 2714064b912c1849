"""Whether a request to the login's listener is a browser that comes back from the login page."""

from typing import TYPE_CHECKING

from understudy.oauth.authorize import CALLBACK_PATH
from understudy.oauth.pages import error_page
from understudy.wire.provider import is_loopback
from understudy.wire.reply import Reply

if TYPE_CHECKING:  # tornado takes a while to load
    from tornado.httputil import HTTPServerRequest


def refusal(request: "HTTPServerRequest", port: int) -> Reply | None:
    """The answer to whatever is no browser's navigation to the callback; None for one that is.

    Host: against DNS rebinding. Sec-Fetch-Mode and Origin: against scripts, images and forms of web pages; `null` is
    what browsers may send as the origin of a navigation that was redirected.
    """
    headers = request.headers
    if not is_loopback(request.remote_ip or ""):
        return error_page(403, "Not for you", "Logins are for this machine only.")
    if headers.get_list("host") not in ([f"localhost:{port}"], [f"127.0.0.1:{port}"]):
        return error_page(400, "Wrong address", "This is not the address of a login.")
    if request.method != "GET" or request.path != CALLBACK_PATH:
        return error_page(404, "Nothing here", "This address takes the end of a login and nothing else.")
    if headers.get("sec-fetch-mode", "navigate") != "navigate" or headers.get("origin", "null") != "null":
        return error_page(403, "Not a login", "Only a browser that comes from the login page ends a login.")
    return None
