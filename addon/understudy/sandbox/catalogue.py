"""The models: which of them an account has, and how `GET codex/models` lists them."""

import zlib
from collections.abc import Sequence

LITE = ("gpt-5.6", "gpt-6")
"""How the models begin whose requests are Lite ones: tools come as an item of the input."""

_ALIKE: dict[str, object] = {
    "description": "A model of the sandbox.",
    "default_reasoning_level": "medium",
    "supported_reasoning_levels": [{"effort": e, "description": e} for e in ("low", "medium", "high")],
    "shell_type": "shell_command",
    "visibility": "list",
    "supported_in_api": True,
    "priority": 1,
    "additional_speed_tiers": [],
    "service_tiers": [],
    "default_service_tier": None,
    "availability_nux": None,
    "upgrade": None,
    "base_instructions": "You are the understudy.",
    "model_messages": None,
    "supports_parallel_tool_calls": True,
    "supports_reasoning_summaries": True,
    "supports_reasoning_summary_parameter": True,
    "default_reasoning_summary": "auto",
    "support_verbosity": True,
    "default_verbosity": "medium",
    "apply_patch_tool_type": "freeform",
    "web_search_tool_type": "text",
    "truncation_policy": {"mode": "tokens", "limit": 10000},
    "supports_image_detail_original": False,
    "context_window": 272000,
    "max_context_window": 272000,
    "auto_compact_token_limit": None,
    "comp_hash": None,
    "effective_context_window_percent": 95,
    "experimental_supported_tools": [],
    "input_modalities": ["text", "image"],
    "use_responses_lite": False,
    "tool_mode": None,
    "multi_agent_version": None,
    "supports_search_tool": False,
    "minimal_client_version": "0.0.1",
    "available_in_plans": ["free", "go", "plus", "pro", "team", "business", "enterprise", "edu"],
}
_LITE_ONES: dict[str, object] = {
    "use_responses_lite": True,
    "tool_mode": "code_mode_only",
    "multi_agent_version": "v2",
    "web_search_tool_type": "text_and_image",
    "supports_image_detail_original": True,
    "comp_hash": "3000",
}


def has_model(models: Sequence[str], model: str) -> bool:
    """Whether a model is among these: names, or prefixes that end in `*`."""
    return any(model.startswith(known[:-1]) if known.endswith("*") else model == known for known in models)


def etag_of(models: Sequence[str]) -> str:
    """The weak validator (RFC 9110, 8.8.1) of a list of models."""
    return f'W/"sandbox-models-{zlib.crc32(" ".join(models).encode()):08x}"'


def model_info(slug: str, *, sockets: bool) -> dict[str, object]:
    """One model in the shape of `GET codex/models`, whole as Codex CLI 0.169 wants it.

    `sockets`: whether a WebSocket is to be preferred.
    """
    name = slug.rstrip("*").rstrip("-")
    return {
        **_ALIKE,
        "slug": name,
        "display_name": name,
        "prefer_websockets": sockets,
        **(_LITE_ONES if name.startswith(LITE) else {}),
    }
