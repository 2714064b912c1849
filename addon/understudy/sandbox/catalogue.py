"""The models: which of them an account has, and how `GET codex/models` lists them."""

import zlib
from collections.abc import Sequence


def has_model(models: Sequence[str], model: str) -> bool:
    """Whether a model is among these: names, or prefixes that end in `*`."""
    return any(model.startswith(known[:-1]) if known.endswith("*") else model == known for known in models)


def etag_of(models: Sequence[str]) -> str:
    """The weak validator (RFC 9110, 8.8.1) of a list of models."""
    return f'W/"sandbox-models-{zlib.crc32(" ".join(models).encode()):08x}"'


def model_info(slug: str) -> dict[str, object]:
    """One model in the shape of `GET codex/models`."""
    name = slug.rstrip("*").rstrip("-")
    return {
        "slug": name,
        "display_name": name,
        "description": "A model of the sandbox.",
        "default_reasoning_level": "medium",
        "supported_reasoning_levels": [{"effort": e, "description": e} for e in ("low", "medium", "high")],
        "shell_type": "shell_command",
        "visibility": "list",
        "supported_in_api": True,
        "priority": 1,
        "availability_nux": None,
        "upgrade": None,
        "base_instructions": "",
        "supports_reasoning_summaries": True,
        "default_reasoning_summary": "auto",
        "support_verbosity": True,
        "default_verbosity": "medium",
        "apply_patch_tool_type": "freeform",
        "truncation_policy": {"mode": "tokens", "limit": 10000},
        "supports_parallel_tool_calls": True,
        "context_window": 272000,
        "experimental_supported_tools": [],
        "input_modalities": ["text", "image"],
        "prefer_websockets": False,
    }
