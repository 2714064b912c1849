"""Takes out of texts what is nobody else's business: tokens, ids, e-mail addresses, labels, paths below a home."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_MEMBER = re.compile(
    r'"(label|email|account_id|user_id|note|access|refresh|id_token|keychain|id)"\s*:\s*"((?:[^"\\]|\\.)*)"'
)
"""What a file of ours, whole or in pieces, says of accounts."""
SHORTEST = 4
"""Characters of a text that is looked for letter by letter. A label may be shorter."""
_KEPT = re.compile(
    r"(?:accounts\.json(?:\.bak)?|(?:quota|history|start|transparent)\.json|logs/(?:proxy|run)\.log"
    r"|mitmproxy/(?:mitmproxy-ca(?:-cert)?\.pem|bundle\.pem|config\.yaml)|logs|mitmproxy|running|quarantine|backups"
    r"|\.(?:codex|mitmproxy|opencode|claude|config|local)(?:/auth\.json|/config\.yaml)?)"
)
"""The files below a folder that are named; what others are called may tell something."""
_CODE = re.compile(r"(?:^|/)((?:understudy|mitmproxy)/[\w/]+\.py)$")
"""As in a traceback."""

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"eyJ[\w.=-]*"), "<token>"),
    (re.compile(r"\b(?:sk|rt|sess|ac|at)[-_][\w.-]{6,}"), "<token>"),
    (re.compile(r"\b(Bearer|Basic|Digest|Negotiate)\s+[^\s\"',;]+", re.IGNORECASE), r"\1 <token>"),
    (re.compile(r"(?<=//)[^/@\s]+@"), "<user>@"),
    (re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@(?:[\w-]+\.)*[\w-]+"), "<e-mail>"),
    (re.compile(r"(?<=\w)\?[^\s\"'<>]*=[^\s\"'<>]*"), "?<query>"),
    (re.compile(r"/(home|Users)/[^/\s\"':,;]+"), r"/\1/<user>"),
    (re.compile(r"\b(?:user|ws|org|acct|account|resp|conv|session)[-_][A-Za-z0-9]{8,}\b"), "<id>"),
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"[\w+=-]{40,}"), "<long>"),
)
"""What looks like something secret, and what it becomes; in this order."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known to be secret, because our own files have it."""

    labels: tuple[str, ...] = ()
    """In the pool's order."""
    texts: frozenset[str] = field(default=frozenset(), repr=False)


def known_in(files: Iterable[bytes]) -> Known:
    """What is in our files, which may be broken: those of the pool first."""
    labels: dict[str, None] = {}
    texts: set[str] = set()
    for data in files:
        for name, raw in _MEMBER.findall(data.decode(errors="replace")):
            try:
                text = str(json.loads(f'"{raw}"', strict=False))
            except ValueError:
                text = raw
            if name == "label" and text:
                labels.setdefault(text)
            elif len(text) >= SHORTEST:
                texts.add(text)
    return Known(tuple(labels), frozenset(texts))


class Redactor:
    """`folders`: paths, each with what it is shown as; the longest counts."""

    def __init__(self, known: Known, folders: Mapping[Path, str]) -> None:
        self.names = {label.casefold(): f"account-{number}" for number, label in enumerate(known.labels, 1)}
        """The pseudonym of each label, in small letters."""
        self._steps: list[Callable[[str], str]] = [
            _each(known.texts, lambda _: "<secret>"),
            *(_below(path, folders[path]) for path in sorted(folders, key=lambda path: -len(path.parts)) if path.name),
            *(_pattern(pattern, shown) for pattern, shown in _PATTERNS),
            _each(known.labels, lambda label: self.names[label.casefold()], word=True),
        ]

    def text(self, text: str) -> str:
        """`text` without what is secret."""
        for step in self._steps:
            text = step(text)
        return text

    def value(self, value: object) -> object:
        """A JSON value in which this was done to every text, names of members among them."""
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.value(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(one) for one in value]
        return value if value is None or isinstance(value, bool | int | float) else self.text(str(value))


def _each(texts: Iterable[str], shown: Callable[[str], str], *, word: bool = False) -> Callable[[str], str]:
    longest_first = sorted({text for text in texts if text}, key=len, reverse=True)
    if not longest_first:
        return str
    anyone = "|".join(map(re.escape, longest_first))
    pattern = re.compile(rf"(?<![\w-])(?:{anyone})(?![\w-])" if word else anyone, re.IGNORECASE if word else 0)
    return lambda text: pattern.sub(lambda found: shown(found[0]), text)


def _below(folder: Path, shown: str) -> Callable[[str], str]:
    pattern = re.compile(rf"{re.escape(str(folder))}(?:/([^\s\"',;:]*))?")

    def told(found: re.Match[str]) -> str:
        below = found[1]
        if not below or _KEPT.fullmatch(below):
            return f"{shown}/{below}" if below else shown
        code = _CODE.search(below)
        return f"{shown}/.../{code[1]}" if code else f"{shown}/..."

    return lambda text: pattern.sub(told, text)


def _pattern(pattern: re.Pattern[str], shown: str) -> Callable[[str], str]:
    return lambda text: pattern.sub(shown, text)
