"""Models by name: what the user wants served for what hosts ask, and which ones the backend says it has."""

import re
from dataclasses import dataclass
from itertools import pairwise

from understudy.wire.jsontext import loads
from understudy.wire.text import safe_text

MOST_MODELS = 100

_PASSTHROUGH = "passthrough"
_NAME = re.compile(r"[!-~]{1,200}")
_RESERVED = re.compile(r"[,=>*]")
_HIDDEN = ("hide", "none")


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to happen for a model: one of the three."""

    asked: str
    """The model, or the beginning of its name with `*` after it."""
    alias: str = ""
    """The model that is served in its place, always."""
    others: tuple[str, ...] = ()
    """The models that may be served where no account may use it, the first one first."""
    passes_through: bool = False
    """Whether it may go out under the host's own key."""

    def speaks_of(self, model: str) -> bool:
        """Whether it is about this model."""
        if self.asked.endswith("*"):
            return model.startswith(self.asked[:-1])
        return model == self.asked


@dataclass(frozen=True, slots=True)
class Models:
    """What the user wants for the models that hosts ask for. Of several entries the longest name counts."""

    entries: tuple[Entry, ...] = ()
    """The longest name first."""

    def alias(self, asked: str) -> str:
        """The model that is served in place of `asked`, by as many aliases as lead there; mostly itself."""
        for _ in self.entries:  # Each leads on once at most: `read_models` refuses those that lead in a circle.
            asked = self.entry(asked).alias or asked
        return asked

    def fallbacks(self, asked: str) -> tuple[str, ...]:
        """The models to be tried, in this order, where no account may use what is served for `asked`."""
        served = self.alias(asked)
        others = dict.fromkeys(self.alias(other) for other in self.entry(served).others)
        return tuple(other for other in others if other != served)

    def passes_through(self, asked: str) -> bool:
        """Whether a request for `asked` may go out under the host's own key. It costs, so no alias leads there."""
        return self.entry(asked).passes_through

    def entry(self, model: str) -> Entry:
        """What the user wants for this model itself."""
        return next((entry for entry in self.entries if entry.speaks_of(model)), Entry(model))


def read_models(text: str) -> Models:
    """Reads the user's wishes: entries `asked=served`, `asked>other>third` and `asked=passthrough`, by commas.

    `asked` may end in `*`. Raises ValueError, in words for the user, for what is none or contradicts itself.
    """
    entries = [_read_entry(part.strip()) for part in text.split(",")] if text.strip() else []
    models = Models(tuple(sorted(entries, key=_length, reverse=True)))
    for one, next_one in pairwise(models.entries):
        if one.asked == next_one.asked:
            raise ValueError(f"{one.asked!r} is there twice")
    for entry in models.entries:
        if _leads_in_a_circle(models, entry):
            raise ValueError(f"the aliases lead from {entry.asked!r} in a circle")
    return models


def models_of(body: bytes) -> tuple[str, ...]:
    """The names in the answer of `GET codex/models`, `{"models": [{"slug", "visibility"}]}`, without the hidden ones.

    At most MOST_MODELS, and none that could not be shown; none at all where the answer is something else.
    """
    try:
        value = loads(body)
    except ValueError:
        return ()
    listed = value.get("models") if isinstance(value, dict) else None
    slugs = (_slug(model) for model in listed) if isinstance(listed, list) else ()
    return tuple(dict.fromkeys(slug for slug in slugs if slug))[:MOST_MODELS]


def _length(entry: Entry) -> tuple[int, bool, str]:
    """A whole name goes before the beginning of one that is as long; the same names come side by side."""
    return len(entry.asked.removesuffix("*")), not entry.asked.endswith("*"), entry.asked


def _read_entry(text: str) -> Entry:
    if not text:
        raise ValueError("there is an empty entry between its commas")
    if ">" in text:
        asked, *others = (name.strip() for name in text.split(">"))
        return Entry(_pattern(asked, text), others=_chain(asked, others, text))
    asked, equals, alias = (part.strip() for part in text.partition("="))
    if not equals:
        raise ValueError(f"{text!r} names no other model (asked=served, asked>other or asked=passthrough)")
    if alias == _PASSTHROUGH:
        return Entry(_pattern(asked, text), passes_through=True)
    return Entry(_pattern(asked, text), alias=_name(alias, text))


def _pattern(name: str, text: str) -> str:
    return name if name == "*" else _name(name.removesuffix("*"), text) + "*" * name.endswith("*")


def _chain(asked: str, others: list[str], text: str) -> tuple[str, ...]:
    if len({asked, *others}) <= len(others):
        raise ValueError(f"{text!r} names a model twice")
    return tuple(_name(other, text) for other in others)


def _name(name: str, text: str) -> str:
    if not _NAME.fullmatch(name) or _RESERVED.search(name) or name == _PASSTHROUGH:
        raise ValueError(f"{name!r} in {text!r} is no name of a model")
    return name


def _leads_in_a_circle(models: Models, entry: Entry) -> bool:
    """The beginning of a name may well stand for a model that it fits too: `gpt-*=gpt-5`."""
    if not entry.alias:
        return False
    end = models.alias(entry.alias)
    return entry.alias == entry.asked or models.entry(end).alias not in ("", end)


def _slug(model: object) -> str:
    """A model's name, or nothing where it is hidden or cannot be shown as it is."""
    slug = model.get("slug") if isinstance(model, dict) and model.get("visibility") not in _HIDDEN else None
    return slug if isinstance(slug, str) and slug == safe_text(slug, 200) else ""
