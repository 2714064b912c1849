"""The doctor on transparent mode: what is redirected is in step, or it says what happens to programs' calls."""

import pytest

from support.clinic import Clinic
from understudy.doctor.check import State
from understudy.doctor.redirection import judge
from understudy.workstation.redirection import record
from understudy.workstation.redirection.condition import Condition
from understudy.workstation.redirection.condition import State as Stands
from understudy.workstation.redirection.record import Record
from understudy.workstation.redirection.redirect import Cgroup, Redirect


def test_nothing_redirected_does_not_apply(clinic: Clinic) -> None:
    assert clinic.healthy()["transparent mode"].state is State.SKIPPED


def test_rules_that_the_last_boot_took_away_are_bad(clinic: Clinic) -> None:
    redirect = Redirect(
        owner=0,
        selector=Cgroup("/sys/fs/cgroup", "understudy"),
        ports=(1, 2),
        hosts=("api.openai.com",),
        addresses=(),
        every_address=False,
        token="01234567",
    )
    record.write(clinic.home, Record(redirect, "nft", boot="an earlier one"))
    found = clinic.alone("transparent mode")
    assert "the machine was started anew" in found.said
    assert (found.why, found.command) == (
        "Calls go out as the programs' own, with their own keys.",
        "understudy transparent up",
    )


@pytest.mark.parametrize("stands", [Stands.HALF, Stands.GONE, Stands.STALE, Stands.LOOP])
def test_whatever_is_not_in_step_is_bad(stands: Stands) -> None:
    found = judge(Condition(stands, reasons=("so it is",), mend="understudy transparent up"))
    assert (found.state, found.said) == (State.BAD, "so it is")
    assert found.why


@pytest.mark.parametrize(
    ("stands", "state"), [(Stands.IN_STEP, State.OK), (Stands.OFF, State.SKIPPED), (Stands.UNKNOWN, State.SKIPPED)]
)
def test_what_is_in_step_off_or_not_to_be_seen_is_not(stands: Stands, state: State) -> None:
    assert judge(Condition(stands, reasons=("only root can look",))).state is state
