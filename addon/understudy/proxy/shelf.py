"""What hosts ask of kept answers and conversations, answered on this machine: no account carries it out."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from understudy.state.answers.changes import Conversation
from understudy.state.answers.store import Answers
from understudy.wire.coding import RequestRefused
from understudy.wire.conversations import Listed, conversation_object, listing, page, shown
from understudy.wire.endpoints import Endpoint, Op
from understudy.wire.jsontext import Part, dump_object, elements, members
from understudy.wire.reply import Reply, openai_error
from understudy.wire.stored import OFF, Stored, not_found, resolved
from understudy.wire.text import safe_text

MOST_ADDED = 20
MOST_METADATA, LONGEST_NAME, LONGEST_VALUE = 16, 64, 512
"""The API reference's limits."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `body`: decoded."""

    endpoint: Endpoint
    body: bytes = field(repr=False)
    answers: Answers

    @property
    def id(self) -> str:
        """Of the response or the conversation."""
        return self.endpoint.ids[0]


def answer(endpoint: Endpoint, body: bytes, answers: Answers | None) -> Reply:
    """The answer to a request for one of `OPS`. `body`: decoded. `answers`: None where nothing is kept.

    It is in OpenAI's words; a response that runs in the background, and one that is to be streamed, are not told of
    here.
    """
    if answers is None:
        return openai_error(404, _nothing_kept(endpoint), type="invalid_request_error")
    try:
        told = OPS[endpoint.op](Asked(endpoint, body, answers))
    except RequestRefused as refused:
        return refused.reply
    return Reply(200, (("content-type", "application/json"),), told.encode())


def _nothing_kept(endpoint: Endpoint) -> str:
    what = "Response" if endpoint.op.value.startswith("responses.") else "Conversation"
    return not_found(what, endpoint.ids[0], off=True) if endpoint.ids else OFF


def _retrieve(asked: Asked) -> str:
    return _response(asked).response


def _delete(asked: Asked) -> str:
    name = _response(asked).id
    asked.answers.delete(name)
    return json.dumps({"id": name, "object": "response", "deleted": True})


def _cancel(asked: Asked) -> str:
    found = _response(asked)
    if members(found.response).get("background", _FALSE).value is not True:
        raise _refused(400, "Cannot cancel a synchronous response.")
    return found.response  # It has ended: to cancel it changes nothing.


def _input_items(asked: Asked) -> str:
    found = _response(asked)
    items = asked.answers.input_of(found.id)
    if items is None:
        raise _refused(404, not_found("Previous response", found.previous or ""))
    return page(items, asked.endpoint.parameters)


def _create_conversation(asked: Asked) -> str:
    given = _members(asked.body)
    return _told(asked.answers.begin_conversation(_metadata(given), _items(given, asked.answers)))


def _retrieve_conversation(asked: Asked) -> str:
    return _told(_conversation(asked))


def _update_conversation(asked: Asked) -> str:
    given = _members(asked.body)
    if "metadata" not in given:
        raise _missing("metadata")
    _conversation(asked)
    return _told(asked.answers.describe(asked.id, _metadata(given)) or _conversation(asked))


def _delete_conversation(asked: Asked) -> str:
    name = _conversation(asked).id
    asked.answers.end_conversation(name)
    return json.dumps({"id": name, "object": "conversation.deleted", "deleted": True})


def _list_items(asked: Asked) -> str:
    return page(_listed(asked), asked.endpoint.parameters)


def _create_items(asked: Asked) -> str:
    given = _members(asked.body)
    _conversation(asked)
    if "items" not in given:
        raise _missing("items")
    return listing(asked.answers.add(asked.id, _items(given, asked.answers)) or ())


def _retrieve_item(asked: Asked) -> str:
    return shown(_item(asked))


def _delete_item(asked: Asked) -> str:
    asked.answers.take_out(asked.id, _item(asked).id)
    return _told(_conversation(asked))


OPS: Mapping[Op, Callable[[Asked], str]] = {
    Op.RETRIEVE: _retrieve,
    Op.DELETE: _delete,
    Op.CANCEL: _cancel,
    Op.INPUT_ITEMS: _input_items,
    Op.CONVERSATION_CREATE: _create_conversation,
    Op.CONVERSATION_RETRIEVE: _retrieve_conversation,
    Op.CONVERSATION_UPDATE: _update_conversation,
    Op.CONVERSATION_DELETE: _delete_conversation,
    Op.ITEMS_LIST: _list_items,
    Op.ITEMS_CREATE: _create_items,
    Op.ITEM_RETRIEVE: _retrieve_item,
    Op.ITEM_DELETE: _delete_item,
}
"""What is answered here, and how: each gives the JSON text of a 200, or raises RequestRefused."""

_FALSE = Part(False, "false")


def _response(asked: Asked) -> Stored:
    found = asked.answers.get(asked.id)
    if found is None or not found.listed:
        raise _refused(404, not_found("Response", asked.id))
    return found


def _conversation(asked: Asked) -> Conversation:
    found = asked.answers.about(asked.id)
    if found is None:
        raise _refused(404, not_found("Conversation", asked.id))
    return found


def _listed(asked: Asked) -> tuple[Listed, ...]:
    found = asked.answers.listed_in(asked.id)
    if found is None:
        raise _refused(404, not_found("Conversation", asked.id))
    return found


def _item(asked: Asked) -> Listed:
    for item in _listed(asked):
        if item.id == asked.endpoint.ids[1]:
            return item
    raise _refused(404, f"Item with id '{safe_text(asked.endpoint.ids[1], 200)}' not found in conversation.")


def _told(conversation: Conversation) -> str:
    return conversation_object(conversation.id, conversation.created_at, conversation.metadata)


def _members(body: bytes) -> dict[str, Part]:
    try:
        given = members(body) if body.strip() else {}
    except ValueError:
        raise _refused(400, "The request's body is not a JSON object.") from None
    return {name: part for name, part in given.items() if part.value is not None or name == "metadata"}


def _items(given: Mapping[str, Part], answers: Answers) -> tuple[str, ...]:
    """The texts of the items in the body, those that are only referred to among them."""
    part = given.get("items", Part([], "[]"))
    if not isinstance(part.value, list) or not all(isinstance(item, dict) for item in part.value):
        raise _refused(400, "Invalid type for 'items': expected an array of objects.", "items", "invalid_type")
    if len(part.value) > MOST_ADDED:
        message = f"Invalid 'items': array too long. Expected at most {MOST_ADDED} items, but got {len(part.value)}."
        raise _refused(400, message, "items", "array_above_max_length")
    return resolved(elements(part.raw), answers)


def _metadata(given: Mapping[str, Part]) -> str:
    """The object's text; an empty one where there is none."""
    value = given["metadata"].value if "metadata" in given else None
    if value is None:
        return "{}"
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise _refused(400, "Invalid type for 'metadata': expected a metadata object.", "metadata", "invalid_type")
    if len(value) > MOST_METADATA or any(len(n) > LONGEST_NAME or len(v) > LONGEST_VALUE for n, v in value.items()):
        message = (
            f"Invalid 'metadata': expected at most {MOST_METADATA} properties, with names of at most {LONGEST_NAME} "
            f"and values of at most {LONGEST_VALUE} characters."
        )
        raise _refused(400, message, "metadata", "object_above_max_properties")
    return dump_object({name: json.dumps(text) for name, text in value.items()})


def _missing(name: str) -> RequestRefused:
    return _refused(400, f"Missing required parameter: '{name}'.", name, "missing_required_parameter")


def _refused(status: int, message: str, param: str | None = None, code: str | None = None) -> RequestRefused:
    return RequestRefused(openai_error(status, message, type="invalid_request_error", code=code, param=param))
