"""What docs/compatibility.md says of OpenAI's API: compared with the SDK, which knows what there is, and the code."""

import json
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

import pytest

from support.hosts import PROGRAMS
from support.proxy import ROOT
from understudy.proxy.reader import read
from understudy.wire.chat.table import MESSAGES
from understudy.wire.chat.table import PARAMETERS as CHAT_ROWS
from understudy.wire.coding import RequestRefused
from understudy.wire.compatibility import ENDPOINTS, INCLUDE, ITEMS, OTHERS, PARAMETERS, SDK, SOCKET, TOOLS, Line
from understudy.wire.endpoints import Op
from understudy.wire.estimate import input_tokens
from understudy.wire.fate import Fate
from understudy.wire.frames import read_message
from understudy.wire.provider import CODEX, CODEX_COMPACT
from understudy.wire.request import HostRequest
from understudy.wire.stored import restore

DOCUMENT = (ROOT / "docs" / "compatibility.md").read_text()
OF_CODEX_AND_AGENTS = {"client_metadata", "stream_options.reasoning_summary_delivery", "traces.ingest"}
"""What programs ask for that is not in the SDK."""
HELPERS = ("parse", "stream")
"""The SDK's own ways to ask for the same."""


# The document


def table(lines: Iterable[Line]) -> str:
    rows = [f"| `{line.name}` | {line.fate.value} | {line.note} |" for line in lines]
    return "\n".join(["| name | what becomes of it | |", "|---|---|---|", *rows])


def endpoints() -> str:
    rows = [f"| `{c.name}` | `{c.method} {c.path}` | {c.fate.value} | {c.note} |" for c in ENDPOINTS]
    return "\n".join(["| method | call | what becomes of it | |", "|---|---|---|---|", *rows])


BLOCKS: Mapping[str, Callable[[], str]] = {
    "endpoints": endpoints,
    "others": partial(table, [Line(name, Fate.PASSED, note) for name, note in OTHERS.items()]),
    **{name: partial(table, lines) for name, lines in PARAMETERS.items()},
    "items": partial(table, ITEMS),
    "tools": partial(table, TOOLS),
    "include": partial(table, INCLUDE),
    "socket": partial(table, SOCKET),
    "messages": partial(table, [Line(row.name, row.fate, row.note) for row in MESSAGES]),
}


def written() -> dict[str, str]:
    found = re.findall(r"<!-- begin (\S+) -->\n(.*?)\n<!-- end \1 -->", DOCUMENT, re.DOTALL)
    return {name: text.strip() for name, text in found}


def test_the_document_has_every_table_and_says_of_which_sdk() -> None:
    assert written().keys() == BLOCKS.keys()
    assert f"OpenAI's Python SDK {SDK[0]}.{SDK[1]}." in DOCUMENT


@pytest.mark.parametrize("name", BLOCKS)
def test_a_table_of_the_document_is_that_of_the_code(name: str) -> None:
    assert written()[name] == BLOCKS[name]()


def test_every_endpoint_of_ours_is_in_the_table() -> None:
    assert {called.op for called in ENDPOINTS} - {None} == set(Op) - {Op.USAGE}


# The SDK


def names(lines: Iterable[Line]) -> set[str]:
    return {line.name for line in lines} - OF_CODEX_AND_AGENTS


def there_is() -> dict[str, set[str]]:
    """All names in our tables, by their kind."""
    methods = names(Line(c.name, c.fate, c.note) for c in ENDPOINTS)
    parts = {name.removeprefix("part ") for name in names(ITEMS) if name.startswith("part ")}
    return {
        "resources": {name.partition(".")[0] for name in methods} | OTHERS.keys(),
        "methods": methods,
        **{name: {each.partition(".")[0] for each in names(lines)} for name, lines in PARAMETERS.items()},
        "items": {name for name in names(ITEMS) if not name.startswith("part ")},
        "parts": parts,
        "tools": names(TOOLS),
        "include": names(INCLUDE),
        "socket": {line.name.partition(":")[0] for line in SOCKET},
    }


@pytest.fixture(scope="module")
def sdk() -> dict[str, object]:
    """What the SDK in .venv-programs knows."""
    if not PROGRAMS.exists():
        pytest.skip("there is no .venv-programs, where the SDK is: scripts/setup makes it")
    command = [str(PROGRAMS), str(ROOT / "tests" / "programs" / "interface.py")]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    told: dict[str, object] = json.loads(done.stdout)
    version = tuple(int(part) for part in str(told["version"]).split(".")[:3])
    if version < SDK:
        pytest.skip(f"the SDK is older than the one whose names are in the tables: {told['version']}")
    told["newer"] = version > SDK
    return told


def known(sdk: Mapping[str, object]) -> Iterator[tuple[str, set[str]]]:
    for kind in ("resources", "methods", "items", "parts", "tools", "include", "socket"):
        listed = sdk[kind]
        assert isinstance(listed, list | dict)
        yield kind, set(listed)
    methods = sdk["methods"]
    assert isinstance(methods, dict)
    for name, method in methods.items():
        if name in PARAMETERS:
            yield name, set(method["parameters"])


def test_what_the_sdk_knows_is_in_the_tables_and_nothing_else(
    sdk: Mapping[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    """At the version `SDK` exactly. The SDK is not pinned: what a newer one has beyond it is told, and no failure, so
    that no release of OpenAI's breaks the tests; what it does not have any more is one: then the tables say what is
    false."""
    ours = there_is()
    assert ours.keys() == dict(known(sdk)).keys()
    for kind, theirs in known(sdk):
        assert ours[kind] - theirs == set(), f"{kind}: the SDK does not know them"
        new = theirs - ours[kind]
        assert not new or sdk["newer"], f"{kind}: not in the table: {new}"
        with capsys.disabled():
            for name in sorted(new):
                print(f"\nOpenAI's SDK {sdk['version']} knows more than the tables: {kind} {name}")


def test_every_method_calls_what_its_row_says(sdk: Mapping[str, object]) -> None:
    methods = sdk["methods"]
    assert isinstance(methods, dict)
    for called in ENDPOINTS:
        if called.name in methods and called.name != Op.CONNECT.value:
            asked = methods[called.name]
            assert (asked["method"], asked["path"]) == (called.method, called.path)


def test_a_method_s_row_is_that_of_its_own_endpoint() -> None:
    for called in ENDPOINTS:
        owner, _, last = called.name.rpartition(".")
        name = f"{owner}.create" if last in HELPERS else called.name
        assert called.op is None or called.op.value == name


# The code


class Known:
    """One answer, and one conversation."""

    item_text = '{"type":"message","role":"user","content":"before"}'

    def items_of(self, response_id: str) -> tuple[str, ...]:
        return (self.item_text,)

    def item(self, item_id: str) -> str:
        return self.item_text

    def conversation(self, conversation_id: str) -> tuple[str, ...]:
        return (self.item_text,)

    def reasoning_before(self, call_id: str) -> tuple[str, ...]:
        return ()


RESPONSES: Mapping[str, object] = {
    "input": "hi",
    "stream": True,
    "store": True,
    "background": True,
    "include": ["x"],
    "service_tier": "fast",
}
"""Values that parameters need; any other has the value "x"."""
CHAT: Mapping[str, object] = {
    "messages": [{"role": "user", "content": "hi"}],
    "stream": True,
    "stream_options": {"include_usage": True},
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "functions": [{"name": "f"}],
    "tool_choice": "auto",
    "function_call": "auto",
    "response_format": {"type": "json_object"},
    "service_tier": "fast",
    "store": True,
    "web_search_options": {},
}
COUNTED: Mapping[str, object] = {"input": "a longer question", "tools": [{"type": "x"}], "text": {"verbosity": "low"}}


def asked(op: Op, given: Mapping[str, object]) -> HostRequest:
    rules = CODEX_COMPACT if op is Op.COMPACT else CODEX
    return read(op, (), json.dumps(given).encode(), Known(), rules).request


def value_of(name: str, values: Mapping[str, object]) -> dict[str, object]:
    name, _, member = name.partition(".")
    return {name: {member: "x"} if member else values.get(name, "x")}


@pytest.mark.parametrize("op", [Op.CREATE, Op.COMPACT], ids=lambda op: op.value)
def test_of_a_parameter_of_responses_becomes_what_its_line_says(op: Op) -> None:
    for line in PARAMETERS[op.value]:
        name, (given,) = line.name.partition(".")[0], [value_of(line.name, RESPONSES)]
        if line.fate is Fate.REFUSED:
            with pytest.raises(RequestRefused):
                asked(op, {"model": "m", "input": "hi"} | given)
            continue
        request = asked(op, {"model": "m", "input": "hi"} | given)
        sent = json.loads(request.body)
        assert (name in request.removed) is (line.fate is Fate.DROPPED), line
        assert (name in sent and sent[name] is not False) is (line.fate is Fate.SERVED), line


def test_of_a_parameter_of_chat_completions_becomes_in_the_end_what_its_line_says() -> None:
    becomes = {row.name: re.split(r"[.\[]", row.becomes)[0] for row in CHAT_ROWS}
    for line in PARAMETERS[Op.CHAT.value]:
        given = {"model": "m", "messages": CHAT["messages"]} | value_of(line.name, CHAT)
        if line.fate is Fate.REFUSED:
            with pytest.raises(RequestRefused):
                asked(Op.CHAT, given)
            continue
        request = asked(Op.CHAT, given)
        sent = json.loads(request.body)
        assert bool(request.removed) is (line.fate is Fate.DROPPED), line
        if becomes[line.name] and line.name != "metadata":  # It names the session, and goes no further.
            assert bool(sent.get(becomes[line.name])) is (line.fate is not Fate.DROPPED), line


def test_a_parameter_that_is_counted_changes_the_estimate_and_no_other_does() -> None:
    def count(given: Mapping[str, object]) -> int:
        return input_tokens(restore(json.dumps({"input": "hi", **given}).encode(), Known()).body)

    for line in PARAMETERS[Op.INPUT_TOKENS.value]:
        changes = count(value_of(line.name, COUNTED)) != count({})
        assert changes is (line.fate is Fate.EMULATED), line


def test_of_a_message_on_a_websocket_becomes_what_its_line_says() -> None:
    fates = {line.name.partition(": ")[2] or line.name: line.fate for line in SOCKET}
    for name in ("stream", "background", "generate", "stream_id"):
        given = {"type": "response.create", "model": "m", "input": "hi", name: False}
        message = read_message(json.dumps(given).encode())
        assert message is not None
        request = asked(Op.CREATE, json.loads(message.body))
        assert json.loads(request.body).get(name) is not False
        assert request.begins_nothing is (fates[name] is Fate.EMULATED)
    with pytest.raises(RequestRefused):
        read_message(b'{"type": "response.steer", "input": "hi"}')
    assert fates["response.steer"] is Fate.REFUSED
