"""A client that speaks to the sandbox directly, the way the proxy has to."""

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx

from understudy.sandbox.server import Sandbox

BODY: dict[str, object] = {
    "model": "gpt-5.1-codex",
    "instructions": "",
    "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}],
    "store": False,
    "stream": True,
}


def headers(sandbox: Sandbox, label: str = "work") -> dict[str, str]:
    """The header fields that the backend wants from an account."""
    return {
        "authorization": f"Bearer {sandbox.tokens(label).access}",
        "chatgpt-account-id": sandbox.account_id(label),
        "content-type": "application/json",
        "accept": "text/event-stream",
    }


def body(**changes: object) -> bytes:
    """A request body that the backend takes, changed."""
    return json.dumps({**BODY, **changes}).encode()


@contextmanager
def connect(
    *, trust: ssl.SSLContext | bool = True, http2: bool = False, timeout: float = 15.0
) -> Iterator[httpx.Client]:
    """A client that goes nowhere but where it is told."""
    with httpx.Client(trust_env=False, verify=trust, http2=http2, timeout=timeout) as client:
        yield client


def ask(
    sandbox: Sandbox, label: str = "work", *, more: Mapping[str, str] | None = None, **changes: object
) -> httpx.Response:
    """One request and its whole answer."""
    with connect() as client:
        fields = {**headers(sandbox, label), **(more or {})}
        return client.post(f"{sandbox.backend}/responses", headers=fields, content=body(**changes))


def events(data: bytes) -> list[dict[str, object]]:
    """The JSON of every event of an answer, in order."""
    lines = data.decode("utf-8-sig").splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


def text(data: bytes) -> str:
    """The text that an answer's deltas make."""
    deltas = (e["delta"] for e in events(data) if e["type"] == "response.output_text.delta")
    return "".join(str(delta) for delta in deltas)


def scenario(*steps: Mapping[str, object], **account: object) -> dict[str, object]:
    """One account, `work`, with these steps."""
    return {"accounts": {"work": {"steps": list(steps) or [{"do": "answer"}], **account}}}
