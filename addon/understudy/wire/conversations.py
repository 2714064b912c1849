"""Stored items, and conversations of them, as the API shows them: ids for those without, objects, pages of a list."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from understudy.wire.coding import RequestRefused
from understudy.wire.jsontext import dump_array, dump_object, loads, members
from understudy.wire.reply import openai_error
from understudy.wire.stored import id_of, not_found

MOST_LISTED = 100
USUALLY_LISTED = 20

_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}


class Listed(NamedTuple):
    """An item in a list, and the id that it has there."""

    id: str
    text: str


def named(text: str, owner: str, place: int) -> Listed:
    """An item (JSON text) with its own id, or where it has none with one that follows from whose it is, a response's or
    a conversation's id, and from its place there.
    """
    item = loads(text)
    own = id_of(item)
    if own is not None:
        return Listed(own, text)
    kind = item.get("type") if isinstance(item, dict) else None
    prefix = _PREFIXES.get(kind if isinstance(kind, str) else "message", "item")
    return Listed(f"{prefix}_{hashlib.sha256(f'{owner}/{place}'.encode()).hexdigest()[:48]}", text)


def shown(item: Listed) -> str:
    """The item as the API shows it: with its id, and a message with its type, its status and its content in parts.

    What has an id and a type of its own is shown byte for byte.
    """
    try:
        parts = members(item.text)
    except ValueError:
        return item.text
    value = {name: part.value for name, part in parts.items()}
    raws = {name: part.raw for name, part in parts.items()}
    added = {} if id_of(value) else {"id": json.dumps(item.id)}
    if value.get("type") in (None, "message") and "role" in value:
        added |= _message(value, raws)
    return dump_object(raws | added) if added else item.text


def _message(value: Mapping[str, object], raws: Mapping[str, str]) -> dict[str, str]:
    added = {} if value.get("type") else {"type": '"message"'}
    if not value.get("status"):
        added["status"] = '"completed"'
    if isinstance(value.get("content"), str):
        kind = '"type":"output_text","annotations":[]' if value.get("role") == "assistant" else '"type":"input_text"'
        added["content"] = f'[{{{kind},"text":{raws["content"]}}}]'
    return added


def conversation_object(conversation_id: str, created_at: float, metadata: str) -> str:
    """The Conversation object. `metadata`: a JSON object's text."""
    told = {"id": conversation_id, "object": "conversation", "created_at": int(created_at)}
    return dump_object({name: json.dumps(value) for name, value in told.items()} | {"metadata": metadata})


def listing(items: Sequence[Listed], has_more: bool = False) -> str:
    """A list object of these items."""
    told: dict[str, object] = {
        "first_id": items[0].id if items else None,
        "last_id": items[-1].id if items else None,
        "has_more": has_more,
    }
    data = {"object": '"list"', "data": dump_array([shown(item) for item in items])}
    return dump_object(data | {name: json.dumps(value) for name, value in told.items()})


def page(items: Sequence[Listed], query: Mapping[str, Sequence[str]]) -> str:
    """The page of a list that a query asks for: `limit` (1 to 100, else 20), `order` (`asc` or `desc`, else `desc`) and
    `after`, the id of the item before the page. `items`: in their order.

    Raises RequestRefused: 400 for a query that is none, 404 for an item that there is not.
    """
    limit = _limit(query)
    order = query.get("order", ("desc",))[-1]
    if order not in ("asc", "desc"):
        raise _refused("Invalid value for 'order'. Supported values are: 'asc' and 'desc'.", "order", "invalid_value")
    ordered = list(items) if order == "asc" else list(reversed(items))
    if after := query.get("after", ("",))[-1]:
        place = next((at for at, item in enumerate(ordered) if item.id == after), None)
        if place is None:
            message = not_found("Item", after)
            raise RequestRefused(openai_error(404, message, type="invalid_request_error", param="after"))
        ordered = ordered[place + 1 :]
    return listing(ordered[:limit], len(ordered) > limit)


def _limit(query: Mapping[str, Sequence[str]]) -> int:
    given = query.get("limit", (str(USUALLY_LISTED),))[-1]
    if not re.fullmatch("[0-9]{1,3}", given) or not 1 <= int(given) <= MOST_LISTED:
        message = f"Invalid value for 'limit': expected an integer from 1 to {MOST_LISTED}."
        raise _refused(message, "limit", "invalid_value")
    return int(given)


def _refused(message: str, param: str, code: str) -> RequestRefused:
    return RequestRefused(openai_error(400, message, type="invalid_request_error", code=code, param=param))
