"""The answer of a compaction, which comes as one JSON object and not as a stream."""

import json
import uuid

from understudy.wire.jsontext import dump_object, members


def compacted(body: bytes, codex: bool, now: float) -> bytes:
    """What the host gets of `{"output": [...]}`; `now`: epoch seconds. `codex`: it reads nothing but `output`.

    Others get what the API reference has beside it, each member that is missing. Raises ValueError for what is none.
    """
    given = members(body)
    if "output" not in given or not isinstance(given["output"].value, list):
        raise ValueError("a compaction without an output")
    if codex:
        return body
    beside: dict[str, object] = {
        "id": f"resp_{uuid.uuid5(uuid.NAMESPACE_OID, given['output'].raw).hex}",
        "object": "response.compaction",
        "created_at": int(now),
        "usage": {
            "input_tokens": 0,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 0,
        },
    }
    raws = {name: json.dumps(value) for name, value in beside.items()}
    return dump_object(raws | {name: part.raw for name, part in given.items()}).encode()
