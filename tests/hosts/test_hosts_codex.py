"""Codex CLI, from its own release: with an API key, and with a ChatGPT login of its own."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from hosts.cases import ToolCases
from hosts.driver import Host, Route
from support.theatre import Theatre

READ = json.dumps({"cmd": "cat a.txt"})


def _provider(base_url: str) -> list[str]:
    provider = f'{{name="sandbox",base_url="{base_url}",env_key="OPENAI_API_KEY",wire_api="responses"}}'
    return ["-c", 'model_provider="sandbox"', "-c", f"model_providers.sandbox={provider}"]


def _commands(model: tuple[str, ...], place: Path, route: Route, prompts: Sequence[str]) -> list[list[str]]:
    program = [str(place / "node_modules" / ".bin" / "codex"), "exec"]
    flags = ["--skip-git-repo-check", *model, *(_provider(route.base_url) if route.base_url else [])]
    first, *others = prompts
    return [[*program, *flags, first], *([*program, "resume", "--last", *flags, prompt] for prompt in others)]


def _environment(_: Path, route: Route) -> Mapping[str, str]:
    return {"CODEX_CA_CERTIFICATE": str(route.ca)}


def _login(home: Path, theatre: Theatre) -> None:
    (home / ".codex").mkdir()
    (home / ".codex" / "auth.json").write_text(theatre.sandbox.auth_json("visitor0"))


class TestWithAnApiKey(ToolCases):
    """Its default model gets its tools in a form of its own; others get them as usual."""

    hosts = (
        Host(
            "codex, API key",
            partial(_commands, ()),
            _environment,
            "codex",
            call='@custom exec const out = await tools.exec_command({cmd: "cat a.txt"}); text(out.output)',
            output="the words of a.txt",
            over_websocket=True,
        ),
        Host(
            "codex, API key, gpt-5.1-codex",
            partial(_commands, ("-m", "gpt-5.1-codex")),
            _environment,
            "codex",
            call=f"@call exec_command {READ}",
            output="the words of a.txt",
            over_websocket=True,
        ),
    )


class TestWithAChatGptLogin(ToolCases):
    """It speaks to chatgpt.com, and is served there where the user wants that."""

    options: ClassVar[Mapping[str, object]] = {"codex_capture_chatgpt": "true"}
    hosts = (
        Host(
            "codex, ChatGPT login",
            partial(_commands, ("-m", "gpt-5.1-codex")),
            _environment,
            "codex",
            call=f"@call exec_command {READ}",
            output="the words of a.txt",
            over_websocket=True,
            prepare=_login,
        ),
    )
