"""The items of a request's `input`: what of them a provider gets, and which of them only one account can read."""

from collections.abc import Collection
from typing import TypeGuard

from understudy.wire.jsontext import Part, dump_array, dump_object, elements, members
from understudy.wire.provider import Rules

_UPLOADED = "sediment://file_"


def user_message(raw_text: str) -> str:
    """The list with the one message that a plain string as `input` stands for. `raw_text`: the string's JSON text."""
    return f'[{{"type":"message","role":"user","content":[{{"type":"input_text","text":{raw_text}}}]}}]'


def read_items(items: list[object], raw: str, rules: Rules) -> str:
    """The list as the provider takes it; `raw` is its JSON text. What needs no change is passed on byte for byte."""
    if not any(_is_lost(item, rules) or _needs_change(item, rules) for item in items):
        return raw
    return dump_array([_item(part, rules) for part in elements(raw) if not _is_lost(part.value, rules)])


def is_responses_lite(items: list[object]) -> bool:
    """Whether the request has the Responses-Lite shape: its tools are an input item, its instructions a message."""
    return any(isinstance(item, dict) and item.get("type") == "additional_tools" for item in items)


def are_held(items: list[object]) -> bool:
    """Whether an item is readable for the account alone that made it, as far as anybody knows.

    That is whatever is encrypted, as a compacted history, messages and arguments may be, and uploaded files. Reasoning
    does not count: other accounts were seen to take it, and it can be left out.
    """
    return any(isinstance(item, dict) and item.get("type") != "reasoning" and _is_held(item) for item in items)


def opening(items: list[object]) -> tuple[str, ...]:
    """What a conversation begins with, up to the user's first words: the same in each of its turns, in whatever form
    the host sends it. Nothing where the user has said nothing yet.
    """
    said: list[str] = []
    for item in items:
        role = item.get("role") if isinstance(item, dict) else None
        if isinstance(item, dict) and isinstance(role, str):
            said.append(f"{'developer' if role == 'system' else role}: {_text_of(item.get('content'))}")
        if role == "user":
            return tuple(said)
    return ()


def continues(items: list[object]) -> bool:
    """Whether there was an answer already: something in the input that no user says."""
    return any(isinstance(item, dict) and item.get("role", "assistant") == "assistant" for item in items)


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))


def without_reasoning(raw: str, ids: Collection[str]) -> str | None:
    """The list without the encrypted reasoning from the first of these ids on, or without all of it where none of them
    is found: a refusal names the first item that could not be read, and of those behind it nobody knows.

    An item goes whole: its id and its ciphertext are tied to each other. None where there is nothing to leave out.
    """
    parts = elements(raw)
    encrypted = {at: part.value.get("id") for at, part in enumerate(parts) if _is_encrypted_reasoning(part.value)}
    first = min((at for at, name in encrypted.items() if isinstance(name, str) and name in ids), default=0)
    left_out = {at for at in encrypted if at >= first}
    return dump_array([part.raw for at, part in enumerate(parts) if at not in left_out]) if left_out else None


def _is_lost(item: object, rules: Rules) -> bool:
    """Whether the item cannot go there, not even in another form.

    That holds for what only points at something stored, where the provider has not stored it ("Item ... not found"):
    references, whose `type` may be left out, and reasoning whose ciphertext was not kept.
    """
    if not isinstance(item, dict):
        return False
    kind = item.get("type")
    if kind == "reasoning":
        return not rules.reasoning or not (rules.stored or item.get("encrypted_content"))
    if rules.stored:
        return False
    return kind == "item_reference" or (kind is None and "id" in item and not item.keys() - {"id", "type"})


def _needs_change(item: object, rules: Rules) -> bool:
    return isinstance(item, dict) and (_is_of_the_system(item, rules) or _has_readable_reasoning(item))


def _is_of_the_system(item: dict[str, object], rules: Rules) -> bool:
    return not rules.system_role and item.get("role") == "system"


def _has_readable_reasoning(item: dict[str, object]) -> bool:
    """The readable text is refused beside the ciphertext ("Invalid 'input[7].content': array too long")."""
    return item.get("type") == "reasoning" and bool(item.get("content"))


def _item(part: Part, rules: Rules) -> str:
    item = part.value
    if not isinstance(item, dict) or not _needs_change(item, rules):
        return part.raw
    raws = {name: member.raw for name, member in members(part.raw).items()}
    if _is_of_the_system(item, rules):
        raws["role"] = '"developer"'
    else:
        del raws["content"]
    return dump_object(raws)


def _is_encrypted_reasoning(item: object) -> TypeGuard[dict[str, object]]:
    return isinstance(item, dict) and item.get("type") == "reasoning" and bool(item.get("encrypted_content"))


def _is_held(item: dict[str, object]) -> bool:
    if item.get("encrypted_content") or item.get("encrypted_function_args"):
        return True
    for parts in (item.get("content"), item.get("output")):
        if isinstance(parts, list):
            for part in parts:
                if isinstance(part, dict) and _is_held_part(part):
                    return True
    return False


def _is_held_part(part: dict[str, object]) -> bool:
    """Whether this part of a message, or of a tool's output, is encrypted or a file that was uploaded."""
    if part.get("encrypted_content") or part.get("file_id"):
        return True
    url = part.get("image_url") or part.get("file_url")
    return isinstance(url, str) and url.startswith(_UPLOADED)
