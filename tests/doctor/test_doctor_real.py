"""The doctor beside a proxy that really runs, in a shell that leads to it; and once that proxy has been killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from support.clinic import Clinic
from support.launching import kill_all, quiet_port
from support.proxy import clean_environment
from support.theatre import eventually
from understudy.doctor.check import State
from understudy.state.runtime import Runtime
from understudy.workstation import environment
from understudy.workstation.joining import join


@pytest.fixture
def proxy(clinic: Clinic) -> Iterator[Runtime]:
    env = clean_environment(UNDERSTUDY_HOME=str(clinic.home), HOME=str(clinic.user_home))
    words = [sys.executable, "-m", "understudy", "start", "--background", "--port", str(quiet_port())]
    subprocess.run(words, env=env, check=True, capture_output=True, timeout=60)
    clinic.now = time.time() + 1
    yield clinic.machine().proxies[0]
    kill_all(clinic.home)


def test_a_proxy_and_a_shell_as_they_are_set_up_are_healthy(clinic: Clinic, proxy: Runtime) -> None:
    url = f"http://127.0.0.1:{proxy.port}"
    join(environment.joined(clinic.confdir, {}))
    clinic.environ |= environment.applied({}, environment.changes(url, clinic.confdir, {}))
    found = clinic.healthy()
    assert found["proxy"].said == f"answers at 127.0.0.1:{proxy.port}"
    assert found["shell: proxy"].said == f"HTTPS_PROXY leads to our proxy at 127.0.0.1:{proxy.port}"
    assert found["shell: trust"].state is State.OK
    assert found["authority in use"].state is State.OK


def test_a_proxy_that_was_killed_leaves_what_is_told_and_mended(clinic: Clinic, proxy: Runtime) -> None:
    url = f"http://127.0.0.1:{proxy.port}"
    clinic.environ |= environment.applied({}, environment.changes(url, clinic.confdir, {}))
    os.kill(proxy.pid, signal.SIGKILL)
    eventually(lambda: not clinic.machine().proxies)
    found = clinic.findings()
    wrong = {name: each.state for name, each in found.items() if each.state in (State.BAD, State.WARN)}
    assert wrong == {"leftovers": State.WARN, "shell: proxy": State.BAD}
    assert found["shell: proxy"].command == 'eval "$(understudy env --unset)"'
    clinic.fix()
    assert clinic.findings()["leftovers"].state is State.OK
