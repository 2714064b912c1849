"""Theatres for the tests of a module: `theatres(**options)` starts a sandbox and a proxy in front of it."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.theatre import Theatre, TheatreFactory, opened_theatre, roles
from understudy.sandbox.server import Sandbox, Tls


@pytest.fixture(scope="module")
def theatres(
    tmp_path_factory: pytest.TempPathFactory,
    confdir_template: Path,
    authority_file: Path,
    tls_files: tuple[Path, Path],
) -> Iterator[TheatreFactory]:
    """Starts theatres that are there until the module's last test: `theatres(alpn=("h2",), specs={...}, **options)`.

    `specs` describes more roles than the usual ones, `arguments` go to mitmdump.

    `alpn` serves the sandbox over TLS with these protocols; without it, it speaks plain HTTP/1.1.
    """
    with ExitStack() as stack:

        def start_theatre(
            *,
            alpn: tuple[str, ...] = (),
            specs: Mapping[str, Mapping[str, object]] | None = None,
            arguments: tuple[str, ...] = (),
            **options: object,
        ) -> Theatre:
            folder = tmp_path_factory.mktemp("theatre")
            confdir = folder / "confdir"
            shutil.copytree(confdir_template, confdir)
            sandbox = Sandbox(roles(**(specs or {})), tls=Tls(*tls_files, alpn=alpn) if alpn else None)
            home = folder / "understudy"
            return stack.enter_context(
                opened_theatre(sandbox, home, confdir, authority_file, arguments=arguments, **options)
            )

        yield start_theatre


@pytest.fixture(scope="module")
def theatre(theatres: TheatreFactory) -> Theatre:
    """A theatre with the options' defaults."""
    return theatres()


@pytest.fixture(scope="module")
def h2_theatre(theatres: TheatreFactory) -> Theatre:
    """A theatre whose backend speaks HTTP/2 over TLS."""
    return theatres(alpn=("h2", "http/1.1"))


@pytest.fixture(params=["HTTP/1.1", "HTTP/2", "HTTP/2 to a backend with HTTP/1.1"])
def either(request: pytest.FixtureRequest) -> tuple[Theatre, bool]:
    """The module's theatre with either backend, and whether the host asks in HTTP/2."""
    theatre = request.getfixturevalue("h2_theatre" if request.param == "HTTP/2" else "theatre")
    assert isinstance(theatre, Theatre)
    return theatre, request.param != "HTTP/1.1"
