"""The endpoints that are ours: what a method and a path ask for, and what a server could take for one of them."""

import posixpath
import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import parse_qs, unquote


class Op(Enum):
    """What a request asks for. The value is the API reference's own name for it."""

    CREATE = "responses.create"
    CONNECT = "responses.connect"
    """The same over a WebSocket."""
    COMPACT = "responses.compact"
    CHAT = "chat.completions.create"
    RETRIEVE = "responses.retrieve"
    DELETE = "responses.delete"
    CANCEL = "responses.cancel"
    INPUT_ITEMS = "responses.input_items.list"
    INPUT_TOKENS = "responses.input_tokens.count"
    CONVERSATION_CREATE = "conversations.create"
    CONVERSATION_RETRIEVE = "conversations.retrieve"
    CONVERSATION_UPDATE = "conversations.update"
    CONVERSATION_DELETE = "conversations.delete"
    ITEMS_LIST = "conversations.items.list"
    ITEMS_CREATE = "conversations.items.create"
    ITEM_RETRIEVE = "conversations.items.retrieve"
    ITEM_DELETE = "conversations.items.delete"
    MODELS = "models.list"
    MODEL = "models.retrieve"
    TRACES = "traces.ingest"
    USAGE = "usage"
    """ChatGPT's own: what Codex shows of the quota."""

    @property
    def is_carried(self) -> bool:
        """Whether an account carries it out, by an attempt; the others are answered on this machine."""
        return self in _CARRIED


_CARRIED = frozenset({Op.CREATE, Op.COMPACT, Op.CHAT})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a request asks for. `ids`: those in its path, in their order. `query`: without the question mark."""

    op: Op
    ids: tuple[str, ...] = ()
    query: str = ""
    codex: bool = False
    """Whether it is ChatGPT's own endpoint, of a host that is logged in there."""

    @property
    def parameters(self) -> dict[str, list[str]]:
        """The query's parameters, each with all its values."""
        return parse_qs(self.query[:_LONGEST_QUERY], keep_blank_values=True)


_LONGEST_QUERY = 4096
CREATE = Endpoint(Op.CREATE)
_ID = r"([A-Za-z0-9_.:-]{1,200})"
_OPENAI = (
    (Op.CREATE, "POST", "/v1/responses"),
    (Op.COMPACT, "POST", "/v1/responses/compact"),
    (Op.INPUT_TOKENS, "POST", "/v1/responses/input_tokens"),
    (Op.RETRIEVE, "GET", "/v1/responses/{}"),
    (Op.DELETE, "DELETE", "/v1/responses/{}"),
    (Op.CANCEL, "POST", "/v1/responses/{}/cancel"),
    (Op.INPUT_ITEMS, "GET", "/v1/responses/{}/input_items"),
    (Op.CHAT, "POST", "/v1/chat/completions"),
    (Op.CONVERSATION_CREATE, "POST", "/v1/conversations"),
    (Op.CONVERSATION_RETRIEVE, "GET", "/v1/conversations/{}"),
    (Op.CONVERSATION_UPDATE, "POST", "/v1/conversations/{}"),
    (Op.CONVERSATION_DELETE, "DELETE", "/v1/conversations/{}"),
    (Op.ITEMS_LIST, "GET", "/v1/conversations/{}/items"),
    (Op.ITEMS_CREATE, "POST", "/v1/conversations/{}/items"),
    (Op.ITEM_RETRIEVE, "GET", "/v1/conversations/{}/items/{}"),
    (Op.ITEM_DELETE, "DELETE", "/v1/conversations/{}/items/{}"),
    (Op.MODELS, "GET", "/v1/models"),
    (Op.MODEL, "GET", "/v1/models/{}"),
    (Op.TRACES, "POST", "/v1/traces/ingest"),
)
_CHATGPT = (
    (Op.CREATE, "POST", "/backend-api/codex/responses"),
    (Op.COMPACT, "POST", "/backend-api/codex/responses/compact"),
    (Op.MODELS, "GET", "/backend-api/codex/models"),
    (Op.USAGE, "GET", "/backend-api/wham/usage"),
    (Op.USAGE, "GET", "/backend-api/codex/usage"),
)
_PARAMETER = re.compile(r";[^/]*")
_INVISIBLE = re.compile(r"[\x00-\x20\x7f-\xa0]")
_Rows = tuple[tuple[Op, str, str], ...]
_SOCKETS = frozenset({"/v1/responses", "/backend-api/codex/responses"})


def _compiled(rows: _Rows) -> tuple[tuple[Op, str, re.Pattern[str]], ...]:
    return tuple((op, method, re.compile(re.escape(path).replace(r"\{\}", _ID))) for op, method, path in rows)


_TABLES = {False: _compiled(_OPENAI), True: _compiled(_CHATGPT)}


def find(method: str, target: str, *, websocket: bool, codex: bool) -> Endpoint | None:
    """The endpoint of ours that a request target names, spelt as it is in the API reference; None: it names none.

    `codex`: whether it is asked of ChatGPT's host. `websocket`: whether the request would become one; a server that
    has none there takes it for what it is besides (RFC 9110, 7.8), and so does this.
    """
    path, _, query = target.partition("?")
    if websocket and method == "GET" and path in _SOCKETS and _fits(path, codex):
        return Endpoint(Op.CONNECT, query=query, codex=codex)
    for op, known, pattern in _TABLES[codex]:
        if method == known and (found := pattern.fullmatch(path)):
            return Endpoint(op, found.groups(), query, codex)
    return None


def prepared_endpoint(target: str) -> Endpoint:
    """What an upstream request of ours was made from, as far as a replay of it needs to know. `target`: its own."""
    return Endpoint(Op.COMPACT if target.partition("?")[0].endswith("/compact") else Op.CREATE)


def disguised(method: str, target: str, *, websocket: bool, codex: bool) -> bool:
    """Whether a server could take a target that `find` does not know for one that it does know.

    Dot segments, doubled or trailing slashes, encoded characters, another case, a fragment: programs do not write so.
    """
    path = target.partition("?")[0]
    while (decoded := unquote(path)) != path:  # What is encoded twice is decoded twice somewhere.
        path = decoded
    path = _PARAMETER.sub("", path.replace("\\", "/").partition("?")[0].partition("#")[0])
    plain = posixpath.normpath("/" + _INVISIBLE.sub("", path).strip("/")).lower()
    return plain != target.partition("?")[0] and find(method, plain, websocket=websocket, codex=codex) is not None


def _fits(path: str, codex: bool) -> bool:
    return path.startswith("/backend-api/") is codex
