"""The items of a request's `input`, made fit for a backend that stores nothing and knows no `system` role."""

from understudy.wire.jsontext import Part, dump_array, dump_object, elements, members


def user_message(raw_text: str) -> str:
    """The list with the one message that a plain string as `input` stands for. `raw_text`: the string's JSON text."""
    return f'[{{"type":"message","role":"user","content":[{{"type":"input_text","text":{raw_text}}}]}}]'


def read_items(items: list[object], raw: str) -> str:
    """The list as the backend takes it; `raw` is its JSON text. What needs no change is passed on byte for byte."""
    if not any(_is_lost(item) or _needs_change(item) for item in items):
        return raw
    return dump_array([_item(part) for part in elements(raw) if not _is_lost(part.value)])


def is_responses_lite(items: list[object]) -> bool:
    """Whether the request has the Responses-Lite shape: its tools are an input item, its instructions a message."""
    return any(isinstance(item, dict) and item.get("type") == "additional_tools" for item in items)


def _is_lost(item: object) -> bool:
    """Whether the item only points at something stored; with `store: false` the backend answers "Item ... not found".

    That holds for references, whose `type` may be left out, and for reasoning whose ciphertext was not kept.
    """
    if not isinstance(item, dict):
        return False
    match item.get("type"):
        case "item_reference":
            return True
        case "reasoning":
            return not item.get("encrypted_content")
        case None:
            return "id" in item and not item.keys() - {"id", "type"}
        case _:
            return False


def _needs_change(item: object) -> bool:
    return isinstance(item, dict) and (_is_of_the_system(item) or _has_readable_reasoning(item))


def _is_of_the_system(item: dict[str, object]) -> bool:
    return item.get("role") == "system"


def _has_readable_reasoning(item: dict[str, object]) -> bool:
    """The readable text is refused beside the ciphertext ("Invalid 'input[7].content': array too long")."""
    return item.get("type") == "reasoning" and bool(item.get("content"))


def _item(part: Part) -> str:
    item = part.value
    if not isinstance(item, dict) or not _needs_change(item):
        return part.raw
    raws = {name: member.raw for name, member in members(part.raw).items()}
    if _is_of_the_system(item):
        raws["role"] = '"developer"'
    else:
        del raws["content"]
    return dump_object(raws)
