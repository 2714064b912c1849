"""What of a Chat Completions request the telling of its answer depends on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """How the host wants its answer told."""

    model: str
    """The one asked for: what the answer is said to be from where it names none."""
    include_usage: bool = False
    """Whether a stream ends with a chunk of the tokens used."""
    legacy_functions: bool = False
    """Whether the functions came by `functions`: then a call is told as `function_call`."""
    stop: tuple[str, ...] = ()
    """What ends the text where it comes up in it."""
