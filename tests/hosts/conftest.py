"""Fixtures for real programs: the hosts of a class, the theatre that they play in, and a line in the table a test."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from hosts.cases import Hosted
from hosts.driver import DIRECT_KEY, HOSTS, Host, Seat, nowhere
from hosts.reports import Report
from support.backstage import Backstage
from support.theatre import Theatre, opened_theatre, roles
from understudy.sandbox.server import Sandbox

WANTED = tuple(os.environ.get("UNDERSTUDY_HOSTS_ONLY", "").splitlines())
"""Beginnings of the names of those that are tried, a line each; none: all."""
REPORT = pytest.StashKey[Report]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """These tests need programs that only `scripts/test-hosts` installs. It may want some of them alone."""
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    if HOSTS is None:
        for item in ours:
            item.add_marker(pytest.mark.skip(reason="real programs are run by scripts/test-hosts"))
    unwanted = [item for item in ours if WANTED and not item.callspec.params["host"].name.startswith(WANTED)]  # type: ignore[attr-defined]
    if unwanted:
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [item for item in items if item not in unwanted]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of a class is one for each host of the class."""
    if "host" in metafunc.fixturenames and metafunc.cls is not None:
        assert issubclass(metafunc.cls, Hosted)
        metafunc.parametrize("host", metafunc.cls.hosts, ids=lambda host: host.name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Writes the table's line, once it is known how the test has ended."""
    outcome: pytest.TestReport = yield  # type: ignore[assignment]
    report = item.stash.get(REPORT, None)
    if report is not None and not report.result and (outcome.when == "call" or outcome.outcome != "passed"):
        report.result = outcome.outcome
        if outcome.skipped and isinstance(outcome.longrepr, tuple):
            report.seen = outcome.longrepr[2].removeprefix("Skipped: ")
        report.write()
    return outcome  # type: ignore[return-value]


@pytest.fixture(scope="module")
def theatres(
    make_backstage: Callable[[], Backstage], authority_file: Path
) -> Iterator[Callable[[Mapping[str, object]], Theatre]]:
    """The theatre with these options of the proxy; a module has one of each: no theatre has accounts for all tests."""
    opened: dict[str, Theatre] = {}
    with ExitStack() as stack:

        def theatre_with(options: Mapping[str, object]) -> Theatre:
            if str(options) not in opened:
                behind = make_backstage()
                sandbox = Sandbox({**roles(visitor={}), "api_keys": {"direct": {"key": DIRECT_KEY}}})
                arguments = ("-s", str(nowhere(behind.folder)))
                opened[str(options)] = stack.enter_context(
                    opened_theatre(
                        sandbox,
                        behind.home,
                        behind.confdir,
                        authority_file,
                        arguments=arguments,
                        codex_decrypt_all="true",  # So that the script can answer what is not claimed.
                        **options,
                    )
                )
            return opened[str(options)]

        yield theatre_with


@pytest.fixture
def theatre(theatres: Callable[[Mapping[str, object]], Theatre], request: pytest.FixtureRequest) -> Theatre:
    """A theatre with the options that the class needs."""
    return theatres(request.cls.options)


@pytest.fixture
def report(request: pytest.FixtureRequest, host: Host) -> Report:
    """The line of the table for this test."""
    case = request.function.__name__.removeprefix("test_").replace("_s_", "'s_").replace("_", " ")
    told = Report(host.name, case)
    request.node.stash[REPORT] = told
    return told


@pytest.fixture
def seat(host: Host, theatre: Theatre, tmp_path: Path, report: Report) -> Seat:
    """A user with the program that the test is about. The report comes first: it tells what is not installed, too."""
    return Seat(host, theatre, tmp_path)
