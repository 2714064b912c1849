"""The doctor on ports: who has the usual one, and whether what says that it is our proxy answers as that."""

import os
import socket

from support.clinic import Clinic
from understudy.doctor.check import State
from understudy.doctor.ports import judge_port, judge_reachable


def test_a_port_that_another_program_has_is_a_warning(clinic: Clinic) -> None:
    with socket.create_server(("127.0.0.1", clinic.port)):
        found = clinic.alone("port", State.WARN)
    assert f"has port {clinic.port}" in found.said


def test_the_program_is_named_where_it_can_be_seen() -> None:
    assert judge_port(8080, True, "tomcat", elsewhere=False).said.startswith("tomcat has port 8080")


def test_a_port_that_another_program_has_is_well_where_our_proxy_has_one(clinic: Clinic) -> None:
    with clinic.proxy(), socket.create_server(("127.0.0.1", clinic.port)):
        assert "our proxy has another" in clinic.healthy()["port"].said


def test_the_usual_port_may_be_our_proxy_s(clinic: Clinic) -> None:
    with clinic.proxy() as proxy:
        clinic.port = proxy.port or 0
        assert clinic.healthy()["port"].said == f"port {proxy.port} is our proxy's"


def test_a_proxy_that_does_not_answer_is_bad(clinic: Clinic) -> None:
    with clinic.proxy(answers=False) as proxy:
        found = clinic.alone("proxy")
    assert f"127.0.0.1:{proxy.port} (process {os.getpid()})" in found.said
    assert found.command == "understudy restart"


def test_another_proxy_of_ours_at_its_port_is_bad(clinic: Clinic) -> None:
    with clinic.proxy() as proxy:
        other = clinic.machine().proxies[0]
    assert judge_reachable([(proxy, other)]).state is State.OK
    with clinic.proxy(pid=4711) as stranger:
        assert judge_reachable([(proxy, stranger)]).state is State.BAD
