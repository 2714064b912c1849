"""The contents of messages: a string or a list of parts in Chat Completions, always a list of parts in Responses."""

from collections.abc import Callable, Mapping

from understudy.wire.chat.refused import given_members, invalid_type, invalid_value, member, refused
from understudy.wire.jsontext import Part, dump_array, dump_object, elements

BREAKPOINT = "prompt_cache_breakpoint"

_Reader = Callable[[dict[str, Part], str], str]


def input_parts(part: Part, param: str) -> str:
    """What goes to the model: texts, images and files. Raises RequestRefused for anything else."""
    return dump_array(_parts(part, param, _INPUT))


def output_parts(part: Part, param: str) -> list[str]:
    """What came from the model: texts and refusals; a text that is empty is left out, as nothing was said with it.

    Raises RequestRefused for anything else.
    """
    return [raw for raw in _parts(part, param, _OUTPUT) if raw not in _SILENT]


def refusal_part(raw: str) -> str:
    """A refusal of the model; `raw`: the JSON text of its string."""
    return dump_object({"type": '"refusal"', "refusal": raw})


def has_breakpoint(content: object) -> bool:
    """Whether a part of the content marks the end of a prefix to be cached."""
    return isinstance(content, list) and any(isinstance(part, dict) and part.get(BREAKPOINT) for part in content)


def _parts(part: Part, param: str, readers: Mapping[str, _Reader]) -> list[str]:
    if isinstance(part.value, str):
        return [readers["text"]({"text": part}, param)]
    if not isinstance(part.value, list):
        raise invalid_type(param, "one of a string or array of objects", part.value)
    return [_part(element, f"{param}[{at}]", readers) for at, element in enumerate(elements(part.raw))]


def _part(part: Part, param: str, readers: Mapping[str, _Reader]) -> str:
    given = given_members(part, param)
    kind = member(given, "type", param).value
    reader = readers.get(str(kind))
    if reader is None:
        raise invalid_value(f"{param}.type", kind, readers)
    return reader(given, param)


def _text(kind: str) -> _Reader:
    def read(given: dict[str, Part], param: str) -> str:
        return dump_object({"type": f'"{kind}"', "text": member(given, "text", param).raw})

    return read


def _refusal(given: dict[str, Part], param: str) -> str:
    return refusal_part(member(given, "refusal", param).raw)


def _image(given: dict[str, Part], param: str) -> str:
    image = given_members(member(given, "image_url", param, dict), f"{param}.image_url")
    raws = {"type": '"input_image"', "image_url": member(image, "url", f"{param}.image_url").raw}
    return dump_object(raws | ({"detail": image["detail"].raw} if "detail" in image else {}))


def _file(given: dict[str, Part], param: str) -> str:
    file = given_members(member(given, "file", param, dict), f"{param}.file")
    raws = {name: part.raw for name, part in file.items() if name in _FILE}
    return dump_object({"type": '"input_file"'} | raws)


def _audio(given: dict[str, Part], param: str) -> str:
    raise refused("Audio is not served here. Send text, images or files.", f"{param}.type", "unsupported_value")


_INPUT: dict[str, _Reader] = {
    "text": _text("input_text"),
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
}
_OUTPUT: dict[str, _Reader] = {"text": _text("output_text"), "refusal": _refusal}
_FILE = ("file_id", "filename", "file_data")
_SILENT = ('{"type":"output_text","text":""}', '{"type":"refusal","refusal":""}')
