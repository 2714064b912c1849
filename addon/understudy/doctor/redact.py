"""Takes out of texts what is nobody else's business: tokens, ids, e-mail addresses, labels, hosts, paths."""

import ipaddress
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
_SYSTEM = re.compile(
    r"/(?:usr/(?:s?bin|lib(?:64|exec)?|share|local/share/ca-certificates)|s?bin|lib(?:64)?|dev|proc|sys"
    r"|etc/(?:ssl|pki|ca-certificates)|v1|auth/callback|backend-api|oauth)(?:[/?]|$)"
)
"""Where every machine has the same, and the paths of the APIs."""
_PUBLIC = re.compile(
    r"(?:(?:[\w-]+\.)*(?:chatgpt\.com|openai\.com|mitmproxy\.org|github\.com|python\.org)"
    r"|understudy\.internal|mitm\.it|localhost|backend|gateway|host|proxy|server)\Z",
    re.IGNORECASE,
)
"""Hosts that tell nothing of whose machine it is, and words that are in every report."""
_ADDRESS = r"[0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*|[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
_REST = r"(?:[^\s\"',;:]*(?: (?!HTTP/)[^\s\"',;:/]+/[^\s\"',;:]*)*)"
"""Of a path, to its end; a word with a slash in it that follows belongs to it."""

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"eyJ[\w.=-]*|gAAAA[\w=-]+"), "<token>"),
    (re.compile(r"\b(?:sk|rt|sess|ac|at)[-_][\w.-]{6,}"), "<token>"),
    (
        re.compile(r"\b(?:(?:gh[a-z]|github_pat|hf|gsk|npm|dop_v1|[pr]k|whsec)_|(?:glpat|xox[a-z]|pypi)-)[\w-]{6,}"),
        "<token>",
    ),
    (re.compile(r"\bAIza[\w-]{8,}|\b(?:AKIA|ASIA)[0-9A-Z]{12,}"), "<token>"),
    (re.compile(r"\b(Bearer|Basic|Digest|Negotiate)\s+[^\s\"',;]+", re.IGNORECASE), r"\1 <token>"),
    (re.compile(r"(?<=//)[^/\s]+@"), "<user>@"),
    (re.compile(r"\"[^\"\n]*\"@[\w.-]+"), "<e-mail>"),
    (re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@(?:[\w-]+\.)*[\w-]+"), "<e-mail>"),
    (re.compile(r"(?<=[\w/])\?[^\s\"'<>]*=[^\s\"'<>]*"), "?<query>"),
    (re.compile(r"([A-Za-z]:\\+Users\\+)[^\s\"',;]+"), r"\1<user>"),
    (re.compile(r"\b[A-Za-z]:\\+(?!\\*Users\\)[^\s\"',;]+"), "<path>"),
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
    hosts: frozenset[str] = frozenset()


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


_HOST = re.compile(r"(?:(?<=//)|(?<=^upstream:)|(?<=^reverse:))(?!\w+://)(?:[^/@\s\"']*@)?([\w.-]+)")


def hosts_in(text: str) -> frozenset[str]:
    """The hosts of the URLs, and of the modes of mitmproxy, in a text, but for those that everybody knows."""
    return frozenset(name for name in _HOST.findall(text) if not _is_public(name))


class Redactor:
    """`folders`: paths, each with what it is shown as; the longest counts. `code`: where what is installed lies."""

    def __init__(self, known: Known, folders: Mapping[Path, str], code: Iterable[Path] = ()) -> None:
        self.names = {label.casefold(): f"account-{number}" for number, label in enumerate(known.labels, 1)}
        """The pseudonym of each label, in small letters."""
        self._steps: list[Step] = [
            _each(known.texts, lambda _: "<secret>"),
            *_belows({**dict.fromkeys(code, _INSTALLED), **{path: (name, _KEPT) for path, name in folders.items()}}),
            *(_pattern(pattern, shown) for pattern, shown in _PATTERNS),
            *_OUTSIDE,
            _each((host for host in known.hosts if not _is_public(host)), lambda _: "<host>", word=True),
            _replacing(_HOST, _host),
            _replacing(re.compile(rf"(?<![\w.:-])(?:{_ADDRESS})(?:%\w+)?(?!\w)"), _address),
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


Step = Callable[[str], str]

_INSTALLED = (
    "<installation>",
    re.compile(r"s?bin/[\w.+-]+|(?:lib(?:64)?/python[\d.]+/)(?:(?:site|dist)-packages/)?[\w/.-]+\.py"),
)
"""What an installation is shown as, and what in it is named."""


def _belows(folders: Mapping[Path, tuple[str, re.Pattern[str]]]) -> list[Step]:
    longest_first = sorted((path for path in folders if path.name), key=lambda path: -len(path.parts))
    return [_below(path, *folders[path]) for path in longest_first]


def _below(folder: Path, shown: str, kept: re.Pattern[str]) -> Step:
    start = re.escape(str(folder))
    quoted = re.compile(rf"(?<=[\"']){start}(?:/([^\"'\n]*))?(?=[\"'])")
    pattern = re.compile(rf"{start}(?:/({_REST}))?(?![\w-])")

    def told(found: re.Match[str]) -> str:
        below = found[1]
        if not below or kept.fullmatch(below):
            return f"{shown}/{below}" if below else shown
        return f"{shown}/{_code(below)}"

    return lambda text: pattern.sub(told, quoted.sub(told, text))


def _code(path: str) -> str:
    code = _CODE.search(path)
    return f".../{code[1]}" if code else "..."


def _outside(found: re.Match[str]) -> str:
    """A path that begins at the root."""
    path = found[0]
    if path == "/" or _SYSTEM.match(path):
        return path
    home = re.match(r"/(home|Users)/[^/]+", path)
    start = f"/{home[1]}/<user>" if home else "<path>"
    return f"{start}/{_code(path)}" if not home or path != home[0] else start


def _is_public(host: str) -> bool:
    try:
        return not _is_other(host)
    except ValueError:
        return _PUBLIC.match(host) is not None


def _host(found: re.Match[str]) -> str:
    return found[0] if _is_public(found[1]) else f"{found[0].removesuffix(found[1])}<host>"


def _address(found: re.Match[str]) -> str:
    text = found[0].rstrip(".:") if not found[0].endswith("::") else found[0]
    try:
        return found[0].replace(text, "<address>") if _is_other(text) else found[0]
    except ValueError:
        return found[0]


def _is_other(address: str) -> bool:
    """Whether it is another machine's. Raises ValueError for what is no address."""
    found = ipaddress.ip_address(address)
    return not (found.is_loopback or found.is_unspecified)


def _pattern(pattern: re.Pattern[str], shown: str) -> Step:
    return lambda text: pattern.sub(shown, text)


def _replacing(pattern: re.Pattern[str], shown: Callable[[re.Match[str]], str]) -> Step:
    return lambda text: pattern.sub(shown, text)


_OUTSIDE: tuple[Step, ...] = (
    _replacing(re.compile(r"(?<=[\"'])/(?!/)[^\"'\n]*(?=[\"'])"), _outside),
    _replacing(re.compile(rf"(?<![\w/.>~*-])/(?!/){_REST}"), _outside),
)
