"""The port that a proxy takes, and whether those that run can be reached there and are ours."""

import socket
from collections.abc import Sequence

from understudy.doctor.check import Check, Result, bad, ok, skipped, warn
from understudy.doctor.machine import Machine
from understudy.state.runtime import Runtime


def port(machine: Machine) -> Result:
    """Whether the usual port is free, or a proxy's of ours."""
    from understudy.oauth.port_holder import port_holder

    ours = [each.port for proxy in machine.proxies for each in proxy.listeners]
    if machine.port in ours:
        return ok(f"port {machine.port} is our proxy's")
    taken = is_taken(machine.port)
    return judge_port(machine.port, taken, port_holder(machine.port) if taken else None, bool(ours))


def is_taken(port: int) -> bool:
    """Whether somebody listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            return False
        except OSError:
            return True
    return False


def judge_port(port: int, taken: bool, holder: str | None, elsewhere: bool) -> Result:
    """`holder`: the program that has it, where that can be seen; `elsewhere`: a proxy of ours runs on another port."""
    if not taken:
        return ok(f"port {port} is free")
    who = f"{holder} has" if holder else "another program has"
    if elsewhere:
        return ok(f"{who} port {port}; our proxy has another")
    return warn(
        f"{who} port {port}, which is not a proxy that Understudy knows of",
        "Programs that are pointed there do not reach Understudy: their calls fail, or go out with their own key.",
        "understudy start",
    )


def reachable(machine: Machine) -> Result:
    """Whether the proxies that say that they run answer at their ports, as what they say they are."""
    from understudy.workstation.reach import ask

    asked = [proxy for proxy in machine.proxies if proxy.port is not None]
    return judge_reachable([(proxy, ask(proxy)) for proxy in asked])


def judge_reachable(answers: Sequence[tuple[Runtime, Runtime | None]]) -> Result:
    """Each proxy with what answered at its port; None: nothing of ours did."""
    if not answers:
        return skipped("no proxy is running; `understudy run` starts one")
    wrong = [proxy for proxy, answer in answers if answer is None or answer.pid != proxy.pid]
    if wrong:
        which = ", ".join(f"127.0.0.1:{proxy.port} (process {proxy.pid})" for proxy in wrong)
        return bad(
            f"a running proxy does not answer as ours at {which}",
            "It hangs: then programs that are pointed there fail. Or something else has taken the port: then their "
            "calls may go out with their own key.",
            "understudy restart",
        )
    return ok("answers at " + ", ".join(f"127.0.0.1:{proxy.port}" for proxy, _ in answers))


CHECKS = (Check("port", port), Check("proxy", reachable))
