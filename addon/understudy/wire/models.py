"""Models by name: what the user wants served for what hosts ask, which ones the backend has, and how hosts see them."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from understudy.wire.jsontext import Part, dump_array, dump_object, elements, members
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


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model in the backend's catalogue. `raw`: its object, byte for byte as it came."""

    slug: str
    hidden: bool
    """Whether the backend wants it in no list that a user chooses from; it serves all the same."""
    raw: str


Catalog = tuple[ModelInfo, ...]
"""The models of a catalogue, in its order, each once."""


def catalog_of(body: bytes | str) -> Catalog:
    """The models in the answer of `GET codex/models`, `{"models": [{"slug", "visibility", ...}]}`.

    Without those whose names could not be shown; none at all where the answer is something else.
    """
    try:
        given = members(body).get("models")
        listed = elements(given.raw) if given else []
    except ValueError:
        return ()
    return union([tuple(info for part in listed if (info := _info(part)))])


def union(catalogs: Iterable[Catalog]) -> Catalog:
    """The models of several accounts. Of one that comes twice the first counts."""
    found: dict[str, ModelInfo] = {}
    for catalog in catalogs:
        for info in catalog:
            found.setdefault(info.slug, info)
    return tuple(found.values())


def shown(catalog: Catalog) -> tuple[str, ...]:
    """The names of those that are not hidden, at most MOST_MODELS."""
    return tuple(info.slug for info in catalog if not info.hidden)[:MOST_MODELS]


def codex_list(catalog: Catalog) -> bytes:
    """The catalogue as the backend answers it."""
    return dump_object({"models": dump_array([info.raw for info in catalog])}).encode()


def openai_list(catalog: Catalog) -> bytes:
    """The models as `GET /v1/models` has them (platform API reference, models), without the hidden ones."""
    data = [_openai_object(info.slug) for info in catalog if not info.hidden]
    return json.dumps({"object": "list", "data": data}).encode()


def openai_model(name: str) -> bytes:
    """A model as `GET /v1/models/{id}` has it."""
    return json.dumps(_openai_object(name)).encode()


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


def _info(part: Part) -> ModelInfo | None:
    """A model, or None where it has no name, or one that cannot be shown as it is."""
    slug = part.value.get("slug") if isinstance(part.value, dict) else None
    if not isinstance(part.value, dict) or not isinstance(slug, str) or not slug or slug != safe_text(slug, 200):
        return None
    return ModelInfo(slug, part.value.get("visibility") in _HIDDEN, part.raw)


def _openai_object(name: str) -> dict[str, object]:
    """The backend does not say when a model was made, and no client depends on it: 0."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "openai"}
