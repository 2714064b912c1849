"""Whether the rules of transparent mode are there as they were made, and a proxy takes what they redirect."""

from understudy.doctor.check import Check, Result, bad, ok, skipped
from understudy.doctor.machine import Machine
from understudy.workstation.redirection import record
from understudy.workstation.redirection.condition import Condition, State, examine

_HARM = {
    State.HALF: "Calls may go out as the programs' own, with their own keys.",
    State.GONE: "Calls go out as the programs' own, with their own keys.",
    State.STALE: "Programs that are redirected cannot reach OpenAI.",
    State.LOOP: "The proxy's own calls come back to it: none arrives.",
}


def redirection(machine: Machine) -> Result:
    """Whether transparent mode, where it is up, is in step."""
    if not (machine.home / record.NAME).exists():
        return skipped("nothing is redirected")
    return judge(examine(machine.home, machine.proxies))


def judge(found: Condition) -> Result:
    """`found`: how the redirection stands."""
    if found.state is State.OFF:
        return skipped("nothing is redirected")
    if found.state is State.IN_STEP:
        return ok("what is redirected is in step")
    said = "; ".join(found.reasons)
    if found.state is State.UNKNOWN:
        return skipped(f"cannot be told: {said}")
    return bad(said, _HARM[found.state], found.mend)


CHECKS = (Check("transparent mode", redirection),)
