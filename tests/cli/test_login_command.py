"""`understudy login` against a sandbox, as a user runs it: the pool, the page and the terminal say the same."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from sandbox.client import ask
from support.command import Command, free_port
from support.logins import login as some_login
from support.visitor import choose, come_back, enter_code
from understudy.cli.login.browser import has_browser
from understudy.cli.login.device import MARGIN, next_interval
from understudy.cli.login.large import HEIGHT, large
from understudy.oauth.device import Waiting
from understudy.oauth.enrol import enrol
from understudy.oauth.refresh import Transient
from understudy.pool.edits import enable
from understudy.pool.pool import over_accounts
from understudy.sandbox.server import Sandbox
from understudy.state.accounts import AccountStore

WORKSPACES = {
    "work": {"plan": "plus", "email": "ada@sandbox.invalid", "user_id": "user-ada", "account_id": "ws-1"},
    "team": {"plan": "team", "email": "ada@sandbox.invalid", "user_id": "user-ada", "account_id": "ws-2"},
}
SCENARIO: dict[str, object] = {"accounts": WORKSPACES, "login_any_port": True}

Login = Callable[..., Command]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SCENARIO) as running:
        yield running


@pytest.fixture
def login(home: Path) -> Login:
    """Starts `understudy login` on a sandbox: `login(sandbox, "--device")`."""

    def start(sandbox: Sandbox, *arguments: str, ports: tuple[int, ...] = (), **environment: str) -> Command:
        words = ["login", "--set", f"codex_issuer={sandbox.issuer}", *arguments]
        return Command(home, words, ports or (free_port(),), **environment)

    return start


def url_of(command: Command) -> str:
    return command.line_with("/oauth/authorize?")


def by_browser(command: Command, choice: str = "account:work") -> str:
    """Logs in as a user at a browser does: the text of the last page."""
    return come_back(choose(url_of(command), choice)).text


def labels(home: Path) -> list[str]:
    return [account.label for account in AccountStore(home).read().accounts]


def test_a_login_by_browser_adds_the_account_and_the_page_says_so(home: Path, sandbox: Sandbox, login: Login) -> None:
    with login(sandbox, "--no-browser") as command:
        page = by_browser(command)
        assert command.end() == 0
    said = "plus-ada (plus, a***@sandbox.invalid)"
    assert "Added plus-ada" in page and said in page and f"added {said}" in command.output
    (account,) = AccountStore(home).read().accounts
    assert (account.label, account.enabled) == ("plus-ada", True)
    assert account.tokens.refresh.reveal() == sandbox.tokens("work").refresh
    assert ask(sandbox).status_code == 200, "the backend takes the new token"


def test_what_is_shown_and_what_is_kept_in_the_open_has_no_secret_in_it(
    home: Path, sandbox: Sandbox, login: Login
) -> None:
    with login(sandbox, "--no-browser") as command:
        page = by_browser(command)
        command.end()
    status = (home / "quota.json").read_text()
    shown = (command.output, page, status, sandbox.journal.to_json().decode())
    assert not [secret for secret in sandbox.secrets() for text in shown if secret in text]
    assert "ada@sandbox.invalid" not in command.output + page


def test_the_page_is_sent_once_the_login_is_on_disk(home: Path, sandbox: Sandbox, login: Login) -> None:
    with login(sandbox, "--no-browser") as command:
        by_browser(command)
        assert labels(home) == ["plus-ada"]


def test_a_second_login_updates_the_account_and_enables_it_again(home: Path, sandbox: Sandbox, login: Login) -> None:
    with login(sandbox, "--no-browser") as command:
        by_browser(command)
        command.end()
    AccountStore(home).update(lambda pool: enable(pool, "plus-ada", False))
    with login(sandbox, "--no-browser") as command:
        assert "Updated plus-ada" in by_browser(command)
        assert command.end() == 0
    assert "updated plus-ada (plus, a***@sandbox.invalid): it is enabled again" in command.output
    (account,) = AccountStore(home).read().accounts
    assert account.enabled and account.tokens.refresh.reveal() == sandbox.tokens("work").refresh


def test_one_person_may_add_several_workspaces(home: Path, sandbox: Sandbox, login: Login) -> None:
    for choice in ("account:work", "account:team"):
        with login(sandbox, "--no-browser") as command:
            assert "Added" in by_browser(command, choice)
            command.end()
    assert labels(home) == ["plus-ada", "team-ada"]


@pytest.mark.parametrize("name", ["ws-2", "team-ada"], ids=["by its id", "by the label of its account"])
def test_a_workspace_can_be_asked_for(home: Path, sandbox: Sandbox, login: Login, name: str) -> None:
    team = some_login("ada", claims={**WORKSPACES["team"]})
    AccountStore(home).update(
        over_accounts(lambda accounts: enrol(accounts, team, "acct_000000000001", now=1.0).accounts)
    )
    with login(sandbox, "--no-browser", "--workspace", name) as command:
        url = url_of(command)
        assert "allowed_workspace_id=ws-2" in url
        assert "Updated team-ada" in come_back(choose(url, "account:team")).text


def test_a_login_for_another_workspace_than_was_asked_for_is_not_kept(home: Path, login: Login) -> None:
    arguments = ("--device", "--workspace", "ws-2")
    with Sandbox({**SCENARIO, "device": {"interval": 1}}) as sandbox, login(sandbox, *arguments) as command:
        approve(command, "account:work")
        assert command.end() == 1
    assert "for another workspace than ws-2" in command.output and labels(home) == []


def test_the_account_can_be_given_a_label(home: Path, sandbox: Sandbox, login: Login) -> None:
    with login(sandbox, "--no-browser", "--label", "mine") as command:
        assert "Added mine" in by_browser(command)
        assert command.end() == 0
    with login(sandbox, "--no-browser", "--label", "mine") as command:
        assert "Added team-ada" in by_browser(command, "account:team")
        assert command.end() == 0
    assert "to rename: understudy accounts label team-ada NAME" in command.output
    with login(sandbox, "--no-browser", "--label", "two words") as command:
        assert command.end() == 2
    assert "not a label: 'two words'" in command.output
    assert labels(home) == ["mine", "team-ada"]


def test_what_is_no_workspace_is_wrong_use(sandbox: Sandbox, login: Login) -> None:
    with login(sandbox, "--workspace", "a,b") as command:
        assert command.end() == 2
    assert "not a workspace" in command.output


@pytest.mark.parametrize(
    ("choice", "said"),
    [("deny", "the login was denied on ChatGPT's page"), ("not_entitled", "may not use Codex")],
)
def test_a_refusal_is_said_on_the_page_and_in_the_terminal(
    home: Path, sandbox: Sandbox, login: Login, choice: str, said: str
) -> None:
    with login(sandbox, "--no-browser") as command:
        page = come_back(choose(url_of(command), choice))
        assert command.end() == 1
    assert page.status_code == 400 and said.split("'")[0].lower() in page.text.lower()
    assert said in command.output and labels(home) == []


def test_a_code_that_is_refused_is_said_on_the_page_and_in_the_terminal(home: Path, login: Login) -> None:
    with Sandbox({**SCENARIO, "code_life": 0}) as sandbox, login(sandbox, "--no-browser") as command:
        page = by_browser(command)
        assert command.end() == 1
    assert "no longer valid" in page and "no longer valid" in command.output and labels(home) == []


def test_a_login_that_cannot_be_kept_is_said_on_the_page_and_in_the_terminal(
    home: Path, sandbox: Sandbox, login: Login
) -> None:
    with login(sandbox, "--no-browser") as command:
        url = url_of(command)
        home.mkdir(exist_ok=True)
        (home / "accounts.json").write_text("torn")
        page = come_back(choose(url))
        assert command.end() == 1
    assert page.status_code == 400 and "accounts.json" in page.text and "accounts.json" in command.output


def test_a_pool_that_cannot_be_read_is_said_before_anyone_logs_in(home: Path, sandbox: Sandbox, login: Login) -> None:
    home.mkdir()
    (home / "accounts.json").write_text("torn")
    with login(sandbox) as command:
        assert command.end() == 1
    assert "accounts.json" in command.output and "/oauth/authorize" not in command.output


@pytest.mark.parametrize(
    "query",
    ["", "?code=stolen", "?code=stolen&state=guess", "?error=access_denied", "?error=access_denied&state=guess"],
)
def test_a_web_page_that_sends_the_browser_here_neither_logs_in_nor_ends_the_login(
    home: Path, sandbox: Sandbox, login: Login, query: str
) -> None:
    with login(sandbox, "--no-browser") as command:
        url = url_of(command)
        location = choose(url)
        forged = come_back(location.partition("?")[0] + query)
        assert forged.status_code == 400 and "Nothing was changed" in forged.text and labels(home) == []
        assert "Added" in come_back(location).text


def test_the_state_of_another_login_is_worth_nothing(home: Path, sandbox: Sandbox, login: Login) -> None:
    with login(sandbox, "--no-browser") as mine, login(sandbox, "--no-browser") as attackers:
        here, there = choose(url_of(mine), "account:work"), choose(url_of(attackers), "account:team")
        forged = come_back(f"{here.partition('?')[0]}?{urlsplit(there).query}")
        assert forged.status_code == 400 and labels(home) == []


def test_a_code_that_was_made_for_another_login_is_worth_nothing(home: Path, sandbox: Sandbox, login: Login) -> None:
    """Whoever knows the state, but has no more than a code of their own, links no account of theirs."""
    with login(sandbox, "--no-browser") as mine, login(sandbox, "--no-browser") as attackers:
        here, there = choose(url_of(mine), "account:work"), choose(url_of(attackers), "account:team")
        code, state = urlsplit(there).query.partition("&")[0], here.rpartition("&")[2]
        assert (code[:5], state[:6]) == ("code=", "state=")
        page = come_back(f"{here.partition('?')[0]}?{code}&{state}")
        assert mine.end() == 1
    assert "no longer valid" in page.text and labels(home) == []


def test_a_callback_is_good_once(home: Path, sandbox: Sandbox, login: Login) -> None:
    with login(sandbox, "--no-browser") as command:
        location = choose(url_of(command))
        come_back(location)
        assert command.end() == 0
    revision = AccountStore(home).read().revision
    with login(sandbox, "--no-browser", ports=(urlsplit(location).port or 0,)) as command:
        url_of(command)
        assert come_back(location).status_code == 400
    assert AccountStore(home).read().revision == revision


def test_ports_that_are_taken_are_said_with_their_holder_and_the_other_ways(sandbox: Sandbox, login: Login) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = (one.getsockname()[1], two.getsockname()[1])
        with login(sandbox, ports=ports) as command:
            assert command.end() == 1
    assert f"{ports[0]} by python" in command.output and f"{ports[1]} by python" in command.output
    assert "--device" in command.output and "--paste" in command.output


def test_the_second_port_is_used_where_the_first_is_taken(home: Path, sandbox: Sandbox, login: Login) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = (taken.getsockname()[1], free_port())
        with login(sandbox, "--no-browser", ports=ports) as command:
            assert "Added" in by_browser(command)


def test_ctrl_c_ends_the_wait(home: Path, sandbox: Sandbox, login: Login) -> None:
    with login(sandbox, "--no-browser") as command:
        redirect = parse_qs(urlsplit(url_of(command)).query)["redirect_uri"][0]
        assert come_back(redirect).status_code == 400, "it waits by now"
        command.interrupt()
        assert command.end() == 1
    assert "interrupted" in command.output and "Traceback" not in command.output and labels(home) == []


def test_the_users_browser_is_opened_at_the_login_page(tmp_path: Path, sandbox: Sandbox, login: Login) -> None:
    seen, script = tmp_path / "seen", tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" > {seen}.new && mv {seen}.new {seen}\nexec sleep 5 >/dev/null 2>&1\n')
    script.chmod(0o700)
    with login(sandbox, BROWSER=f"{script} %s") as command:
        url = url_of(command)
        come_back(choose(url))
        assert command.end() == 0, "a browser that stays open keeps nobody waiting"
    assert seen.read_text().strip() == url


def test_where_no_browser_can_be_opened_the_device_login_is_offered(sandbox: Sandbox, login: Login) -> None:
    with login(sandbox, SSH_CONNECTION="x") as command:
        assert url_of(command)
    assert "understudy login --device" in command.output


@pytest.mark.parametrize(
    ("environment", "platform", "opens"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"SSH_CONNECTION": "x"}, "linux", False),
        ({"BROWSER": "lynx"}, "linux", True),
        ({}, "darwin", True),
        ({"SSH_CONNECTION": "x"}, "darwin", False),
    ],
)
def test_a_browser_is_opened_where_the_user_would_see_it(
    environment: dict[str, str], platform: str, opens: bool
) -> None:
    assert has_browser(environment, platform) is opens


def test_an_issuer_in_the_clear_is_wrong_use(home: Path) -> None:
    with Command(home, ["login", "--set", "codex_issuer=http://auth.example"]) as command:
        assert command.end() == 2
    assert "in the clear" in command.output


def test_an_issuer_in_the_environment_is_not_asked(home: Path, sandbox: Sandbox) -> None:
    with Command(home, ["login", "--no-browser"], (free_port(),), CODEX_ISSUER=sandbox.issuer) as command:
        assert command.line_with("/oauth/authorize?").startswith("https://auth.openai.com/oauth/authorize?")


@pytest.mark.parametrize("trusted", [True, False])
def test_the_authorities_that_the_proxy_trusts_are_trusted(
    home: Path, tls_sandbox: Callable[..., Sandbox], authority_file: Path, trusted: bool
) -> None:
    trust = ["--set", f"ssl_verify_upstream_trusted_ca={authority_file}"] if trusted else []
    with tls_sandbox(SCENARIO) as sandbox:
        words = ["login", "--device", "--set", f"codex_issuer={sandbox.issuer}", *trust]
        with Command(home, words) as command:
            said = command.line_with("/codex/device" if trusted else "cannot be reached")
    assert said and len(sandbox.journal) == int(trusted)


def test_a_pasted_address_logs_in(home: Path, sandbox: Sandbox, login: Login) -> None:
    with login(sandbox, "--paste") as command:
        url = url_of(command)
        command.line_with("paste it here")
        command.enter(choose(url))
        assert command.end() == 0
    assert "added plus-ada" in command.output and labels(home) == ["plus-ada"]


@pytest.mark.parametrize(
    ("pasted", "said"),
    [("", "no code"), ("two words", "no code"), ("http://localhost:1/auth/callback?code=x&state=y", "does not belong")],
)
def test_what_is_pasted_wrongly_is_refused(home: Path, sandbox: Sandbox, login: Login, pasted: str, said: str) -> None:
    with login(sandbox, "--paste") as command:
        command.line_with("paste it here")
        command.enter(pasted)
        assert command.end() == 1
    assert said in command.output and labels(home) == []


def test_ctrl_c_ends_the_question_for_the_address(sandbox: Sandbox, login: Login) -> None:
    with login(sandbox, "--paste") as command:
        command.line_with("paste it here")
        command.interrupt()
        assert command.end() == 1
    assert "interrupted" in command.output


def approve(command: Command, choice: str = "account:work") -> None:
    """Enters the code that the terminal shows, as a user elsewhere does."""
    page = command.line_with("/codex/device")
    enter_code(page, command.line_with("-"), choice)


def test_a_login_by_code_adds_the_account(home: Path, login: Login) -> None:
    with Sandbox({**SCENARIO, "device": {"interval": 1}}) as sandbox, login(sandbox, "--device") as command:
        approve(command)
        assert command.end() == 0
        polls = [entry for entry in sandbox.journal if entry.path.endswith("/deviceauth/token")]
    assert "added plus-ada (plus, a***@sandbox.invalid)" in command.output and labels(home) == ["plus-ada"]
    assert [entry.step for entry in polls] == ["granted"]
    assert "Waiting for 15:00 minutes at most." in command.output and "\r" not in command.output


def test_an_issuer_without_login_by_code_leads_to_another_way(login: Login) -> None:
    with Sandbox({**SCENARIO, "device": {"enabled": False}}) as sandbox, login(sandbox, "--device") as command:
        assert command.end() == 1
    assert "--paste" in command.output


def test_a_login_server_that_is_not_there_is_said_so(home: Path) -> None:
    with Command(home, ["login", "--device", "--set", f"codex_issuer=http://127.0.0.1:{free_port()}"]) as command:
        assert command.end() == 1
    assert "cannot be reached" in command.output and "Nothing was changed" in command.output


def test_whoever_is_told_to_slow_down_does_and_whoever_gets_no_answer_backs_off() -> None:
    assert next_interval(5, Waiting.PENDING) == 5
    assert next_interval(5, Waiting.SLOW_DOWN) == 10
    assert next_interval(58, Waiting.SLOW_DOWN) == 60
    assert next_interval(5, Transient("no answer")) == 10
    assert MARGIN > 0


def test_large_type_is_large_and_fits_a_terminal() -> None:
    lines = large("ABCD-EFGH", "#")
    assert len(lines) == HEIGHT and len({len(line) for line in lines}) == 1 and len(lines[0]) <= 78
    assert set("".join(lines)) == {"#", " "}
    assert large("8", "█")[0] == " ███ "


def test_every_character_has_a_form_of_its_own() -> None:
    characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
    assert len({"\n".join(large(character, "#")) for character in characters}) == len(characters)
