"""What is taken out of a text that leaves this machine, and what stays readable in it."""

from pathlib import Path

import pytest

from support.logins import access_token
from understudy.doctor.redact import Known, Redactor, hosts_in, known_in

HOME = Path("/home/ada")


def redactor(*labels: str, texts: frozenset[str] = frozenset()) -> Redactor:
    return Redactor(Known(labels, texts), {HOME: "~", HOME / ".local/share/understudy": "<understudy>"})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"token {access_token()}!", "token <token>!"),
        ("key sk-proj-0123456789abcdef", "key <token>"),
        ("refresh rt_0123456789.abcdef", "refresh <token>"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer <token>"),
        ("proxy-authorization: basic YWRhOnMzY3JldA==", "proxy-authorization: basic <token>"),
        ("of ada.lovelace+x@mail.example.com, who", "of <e-mail>, who"),
        ("at ada@localhost", "at <e-mail>"),
        ("http://ada:s3cret@proxy:3128", "http://<user>@proxy:3128"),
        ("GET /auth/callback?code=abc&state=def HTTP/1.1", "GET /auth/callback?<query> HTTP/1.1"),
        ("ws 01234567-89ab-cdef-0123-456789abcdef", "ws <id>"),
        ("user-AbCdEf0123456789 and org-0123456789abcdef", "<id> and <id>"),
        ("in /home/ada/clients/x.py, line 3", "in ~/..., line 3"),
        ('File "/home/ada/venv/site-packages/mitmproxy/http.py"', 'File "~/.../mitmproxy/http.py"'),
        ("in /home/ada/.codex/auth.json", "in ~/.codex/auth.json"),
        ("in /home/ada/.local/share/understudy/logs", "in <understudy>/logs"),
        ("in /home/ada/.local/share/understudy/quarantine/mine.json", "in <understudy>/..."),
        ("in /Users/bob/x and /home/bob", "in /Users/<user>/... and /home/<user>"),
        ("in /home/bob/secret/x.py", "in /home/<user>/..."),
        ('File "/home/bob/My Clients/understudy/x.py", line 3', 'File "/home/<user>/.../understudy/x.py", line 3'),
        ('File "/home/ada/My Clients/x.py", line 3', 'File "~/...", line 3'),
        ("to /home/ada/My Clients/x.py: no", "to ~/...: no"),
        ("in /home/ada.", "in ~."),
        ("in /home/adam/x", "in /home/<user>/..."),
        ("in /srv/client/flows, /mnt/disk or /etc/acme.conf", "in <path>/..., <path>/... or <path>/..."),
        ("confdir=/opt/acme and read:/opt/acme", "confdir=<path>/... and read:<path>/..."),
        (r"in C:\Users\ada\x.py, D:\acme\y", r"in C:\Users\<user>, <path>"),
        ("key ghp_0123456789abcdef", "key <token>"),
        ("key github_pat_0123456789", "key <token>"),
        ("key AIzaSy0123456789-abc", "key <token>"),
        ("key AKIA0123456789ABCDEF", "key <token>"),
        ("key xoxb-0123456789", "key <token>"),
        ("key glpat-0123456789", "key <token>"),
        ("token gAAAAABcdef", "token <token>"),
        ('"ada love"@acme.example said', "<e-mail> said"),
        ("https://ada:p@ss@acme.example/x", "https://<user>@<host>/x"),
        ("https://llm.acme.example:8443/v1/responses", "https://<host>:8443/v1/responses"),
        ("upstream:http://acme:3128", "upstream:http://<host>:3128"),
        ("upstream:acme:3128", "upstream:<host>:3128"),
        ("from 203.0.113.7:1, 192.168.1.2 and fe80::1%eth0", "from <address>:1, <address> and <address>"),
        ("from 2001:db8::c0de: closed", "from <address>: closed"),
        ("f" * 64, "<long>"),
    ],
)
def test_what_looks_secret_is_taken_out(text: str, shown: str) -> None:
    assert redactor().text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "understudy: request 7: plus-ada met a limit, gpt-5 goes on",
        "Python 3.11.7 on Linux-6.18.44-x86_64-with-glibc2.36",
        "https://chatgpt.com/backend-api/codex",
        "/usr/lib/python3/dist-packages/mitmproxy/addons/next_layer.py",
        "GET /v1/models HTTP/1.1 and/or 1/2 at / of ./x",
        "[12:00:00.000] listening at http://127.0.0.1:8080 and [::1]:8080, 0.0.0.0",
        "upstream:http://proxy:3128, https://auth.openai.com, http://understudy.internal/runtime",
    ],
)
def test_what_a_reader_needs_stays(text: str) -> None:
    assert redactor("home").text(text) == text


def test_a_home_that_is_the_root_folder_is_not_looked_for() -> None:
    assert Redactor(Known(), {Path("/"): "~"}).text("in /usr/lib") == "in /usr/lib"


def test_what_is_installed_is_named_and_what_lies_beside_it_is_not() -> None:
    installed = Redactor(Known(), {HOME: "~"}, [HOME / "acme/.venv"])
    said = installed.text("/home/ada/acme/.venv/bin/python /home/ada/acme/.venv/lib/python3.13/site-packages/a/b.py")
    assert said == "<installation>/bin/python <installation>/lib/python3.13/site-packages/a/b.py"
    assert installed.text("/home/ada/acme/.venv/acme.txt /home/ada/acme") == "<installation>/... ~/..."


def test_hosts_that_are_known_go_wherever_they_are_and_public_ones_stay() -> None:
    found = hosts_in("upstream:http://acme:1") | hosts_in("https://api.openai.com https://llm.example.com/v1")
    assert found == {"acme", "llm.example.com"}
    known = Redactor(Known(hosts=found | {"api.openai.com", "proxy"}), {})
    assert known.text("acme: LLM.example.com, not acmes, api.openai.com or a proxy") == (
        "<host>: <host>, not acmes, api.openai.com or a proxy"
    )


def test_labels_become_pseudonyms_in_the_pool_s_order_whatever_their_case() -> None:
    said = redactor("work", "at-home", "at").text("work, AT-HOME and at: workshop at-homes")
    assert said == "account-1, account-2 and account-3: workshop at-homes"


def test_what_is_known_to_be_secret_goes_wherever_it_is() -> None:
    assert redactor(texts=frozenset({"my note"})).text("xmy notex") == "x<secret>x"


def test_values_are_gone_through_to_their_last_name() -> None:
    value = {"work": ["work", {"n": 1, "ok": True, "none": None}]}
    assert redactor("work").value(value) == {"account-1": ["account-1", {"n": 1, "ok": True, "none": None}]}


def test_files_that_are_broken_tell_what_is_secret_too() -> None:
    data = b'{"id": "acct_0", "label": "w\\u00f6rk", "email": "a@b.c", "note": "say \\"hi\\"", "tokens": {"acc'
    found = known_in([data, b'"label": "home"', b"\xff\xfe"])
    assert found.labels == ("w\u00f6rk", "home")
    assert found.texts == {"acct_0", "a@b.c", 'say "hi"'}
