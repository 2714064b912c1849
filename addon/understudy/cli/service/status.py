"""`understudy service status`: what the manager says of the service, and whether the proxy answers."""

import argparse

from understudy.cli.arguments import CannotDo, Commands, add_command

LAUNCHD = ("state", "pid", "last exit code")
"""The lines of launchd's answer that say how the service is."""


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    add_command(
        commands,
        "status",
        run,
        help="show whether the service runs and answers",
        description="Shows what systemd or launchd says of the service, and whether the proxy answers (exit code 0).",
        example="understudy service status && echo well",
    )


def run(arguments: argparse.Namespace) -> int:
    """Shows it. Exit code 0 where the proxy answers, else 1; raises CannotDo."""
    from understudy.cli.service.manager import answering, ask, check_answers, installed, installed_port, manager
    from understudy.state.home import home

    chosen = manager()
    text = installed(chosen)
    if text is None:
        raise CannotDo("there is no service; `understudy service install` makes one")
    check_answers(chosen)
    done = ask(chosen.state)
    print(f"service: {summary(chosen.name, done.stdout if done else '')}")
    port = installed_port(text)
    answer = None if port is None else answering(home(), port)
    if answer is None:
        print(f"proxy:   does not answer at port {port}; see `understudy service logs`")
        return 1
    print(f"proxy:   answers at http://127.0.0.1:{port} (process {answer.pid}, {answer.tally.requests} requests)")
    return 0


def summary(manager: str, told: str) -> str:
    """What the manager said, in one line."""
    if manager == "launchd":
        pairs = (line.strip().partition(" = ") for line in told.splitlines())
        return ", ".join(f"{name} {value}" for name, _, value in pairs if name in LAUNCHD) or "not loaded"
    found = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    state = f"{found.get('ActiveState', 'unknown')} ({found.get('SubState', 'unknown')})"
    process = f", process {found['MainPID']}" if found.get("MainPID", "0") != "0" else ""
    result = f", {found['Result']}" if found.get("Result", "success") != "success" else ""
    return f"{state}{process}{result}, restarted {found.get('NRestarts', '0')} times"
