"""Programs on SDKs: small ones of ours, in `programs/`, written as users write theirs."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from hosts.driver import PROGRAMS, Host, Route

SPOKEN = ("stream", "helper", "connect", "chat_stream", "responses_stream", "websocket")
"""The ways in which the answer is shown as it comes: no SDK takes back what has been said."""
OVER_WEBSOCKET = ("connect", "websocket")
BEYOND_THE_PLATFORM = ("chat", "chat_stream", "previous", *OVER_WEBSOCKET)
"""The ways for which the sandbox's Platform is no partner."""


def _run(interpreter: str, program: str, way: str, place: Path, _: Route, prompts: Sequence[str]) -> list[list[str]]:
    return [[str(place / interpreter), program, way, *prompts]]


def _python_environment(_: Path, route: Route) -> Mapping[str, str]:
    return {"SSL_CERT_FILE": str(route.ca), "PYTHONDONTWRITEBYTECODE": "1"}


def _node_environment(_: Path, route: Route) -> Mapping[str, str]:
    return {"NODE_EXTRA_CA_CERTS": str(route.ca), "NODE_USE_ENV_PROXY": "1"}


def python_host(name: str, folder: str, program: str, way: str) -> Host:
    """A Python program that takes a way of asking and its prompts."""
    return _host(name, "bin/python", folder, program, way, _python_environment)


def node_host(name: str, program: str, way: str) -> Host:
    """The same for Node."""
    return _host(name, "node_modules/.bin/node", "node", program, way, _node_environment)


def _host(
    name: str,
    interpreter: str,
    folder: str,
    program: str,
    way: str,
    environment: Callable[[Path, Route], Mapping[str, str]],
) -> Host:
    return Host(
        name,
        partial(_run, interpreter, program, way),
        environment,
        folder,
        (PROGRAMS / program,),
        asks_again=way not in SPOKEN,
        over_websocket=way in OVER_WEBSOCKET,
        has_platform=way not in BEYOND_THE_PLATFORM,
    )
