"""The items of an answer, each with its events as the model writes it."""

from understudy.sandbox.encrypted import encrypt
from understudy.sandbox.steps import ToolCall
from understudy.sandbox.stream import Composer, Json

_REASONING = ("**Reading the script**", " and finding", " the cue.")
_PIECE = 8
"""Characters of a call's arguments in one event."""


def add_message(composer: Composer, words: list[str], *, keepalive: bool = False, close: bool = True) -> None:
    """A message item, word by word; left open where `close` is false."""
    where: Json = {"item_id": composer.asked.item_id("msg"), "output_index": len(composer.output)}
    part: Json = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
    item: Json = {"id": where["item_id"], "type": "message", "role": "assistant"}
    started = {**item, "status": "in_progress", "content": []}
    composer.add("response.output_item.added", output_index=where["output_index"], item=started)
    where["content_index"] = 0
    composer.add("response.content_part.added", **where, part=part)
    for number, word in enumerate(words):
        if keepalive and number == 1:
            composer.add("keepalive")
            composer.add_comment()
        composer.add("response.output_text.delta", **where, delta=word, logprobs=[])
    if not close:
        return
    text = "".join(words)
    part = {**part, "text": text}
    composer.add("response.output_text.done", **where, text=text, logprobs=[])
    composer.add("response.content_part.done", **where, part=part)
    _add_done(composer, {**item, "status": "completed", "content": [part]})


def add_reasoning(composer: Composer) -> None:
    """A reasoning item, encrypted where the request includes that."""
    index, id = len(composer.output), composer.asked.item_id("rs")
    item: Json = {"id": id, "type": "reasoning", "summary": []}
    if composer.asked.wants_ciphertext:
        item["encrypted_content"] = encrypt(id)
    composer.add("response.output_item.added", output_index=index, item=item)
    where: Json = {"item_id": id, "output_index": index, "summary_index": 0}
    composer.add("response.reasoning_summary_part.added", **where, part={"type": "summary_text", "text": ""})
    for words in _REASONING:
        composer.add("response.reasoning_summary_text.delta", **where, delta=words)
    text = "".join(_REASONING)
    part = {"type": "summary_text", "text": text}
    composer.add("response.reasoning_summary_text.done", **where, text=text)
    composer.add("response.reasoning_summary_part.done", **where, part=part)
    _add_done(composer, {**item, "summary": [part]})


def add_compaction(composer: Composer) -> None:
    """What the input was made into, for this account or key alone."""
    id = composer.asked.item_id("cmp")
    item: Json = {"id": id, "type": "compaction", "encrypted_content": encrypt(id)}
    composer.add("response.output_item.added", output_index=len(composer.output), item=item)
    _add_done(composer, item)


def add_call(composer: Composer, call: ToolCall, number: int) -> None:
    """A call of a function or of a custom tool; `number`: which of the answer's calls."""
    custom = call.kind == "custom"
    member = "input" if custom else "arguments"
    id = composer.asked.item_id("ctc" if custom else "fc", number)
    type = "custom_tool_call" if custom else "function_call"
    event = f"response.{type}_input" if custom else f"response.{type}_arguments"
    item: Json = {"id": id, "type": type, "call_id": composer.asked.item_id("call", number), "name": call.name}
    if call.namespace:
        item["namespace"] = call.namespace
    index = len(composer.output)
    started = {**item, "status": "in_progress", member: ""}
    composer.add("response.output_item.added", output_index=index, item=started)
    where: Json = {"item_id": id, "output_index": index}
    for start in range(0, len(call.arguments), _PIECE):
        composer.add(f"{event}.delta", **where, delta=call.arguments[start : start + _PIECE])
    said: Json = {member: call.arguments} if custom else {"name": call.name, member: call.arguments}
    composer.add(f"{event}.done", **where, **said)
    _add_done(composer, {**item, "status": "completed", member: call.arguments})


def _add_done(composer: Composer, item: Json) -> None:
    composer.add("response.output_item.done", output_index=len(composer.output), item=item)
    composer.output.append(item)
