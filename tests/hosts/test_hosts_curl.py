"""curl, as in the API's own documentation."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from hosts.cases import Cases
from hosts.driver import DIRECT_KEY, Host, Route
from support.hosts import HOST_KEY

URL = "https://api.openai.com/v1"


def _commands(stream: bool, _: Path, route: Route, prompts: Sequence[str]) -> list[list[str]]:
    key = HOST_KEY if route.base_url is None else DIRECT_KEY
    fields = ("-H", f"Authorization: Bearer {key}", "-H", "Content-Type: application/json")
    command = ["curl", "-sS", "-N", *fields, f"{route.base_url or URL}/responses", "-d"]
    return [[*command, json.dumps({"model": "gpt-5.5", "input": prompt, "stream": stream})] for prompt in prompts]


def _environment(_: Path, route: Route) -> Mapping[str, str]:
    return {"SSL_CERT_FILE": str(route.ca)}


class TestCurl(Cases):
    """It shows what comes, as it comes."""

    hosts = tuple(
        Host(f"curl, {name}", partial(_commands, stream), _environment, asks_again=False)
        for name, stream in (("JSON", False), ("stream", True))
    )
