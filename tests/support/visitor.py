"""A user at a browser: goes to the login page, chooses, and is sent back. Plain HTTP, with the fields browsers send."""

import re
from urllib.parse import urlsplit

import httpx

NAVIGATION = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "sec-fetch-site": "cross-site"}


def choose(url: str, choice: str = "account:work") -> str:
    """Opens the login page at `url` and presses a button; where the browser is sent to then."""
    with httpx.Client(trust_env=False) as browser:
        page = browser.get(url)
        assert f'value="{choice}"' in page.text, page.text
        answer = browser.post(url, data={"choice": choice})
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


def come_back(location: str, **fields: str) -> httpx.Response:
    """The browser arrives where it was sent to, on this machine."""
    target = urlsplit(location)
    headers = {"host": target.netloc, **NAVIGATION, **fields}
    with httpx.Client(trust_env=False) as browser:
        return browser.get(f"http://127.0.0.1:{target.port}{target.path}?{target.query}", headers=headers)


def enter_code(page: str, user_code: str, choice: str = "account:work") -> httpx.Response:
    """Types a device's code on `page`, then presses a button."""
    with httpx.Client(trust_env=False) as browser:
        assert "user_code" in browser.get(page).text
        chooser = browser.post(page, data={"user_code": user_code})
        if f'value="{choice}"' not in chooser.text:
            return chooser
        kept = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', chooser.text))
        return browser.post(page, data={**kept, "choice": choice})
