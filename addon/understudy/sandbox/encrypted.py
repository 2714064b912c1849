"""Encrypted content: for which item it was made, for whom, and who takes it from whom.

The id of what is made for an account or a key begins with its mark, and a ciphertext has its item's id in it, under a
seal. It is a function of that id alone, so that an answer can be composed a second time.
"""

import hashlib
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from understudy.sandbox.steps import EarlyFailure, InvalidRequest

Json = dict[str, object]

MARK_LENGTH = 8
STAND_INS = ("gAAAA", "gAAAA-fake-encrypted")
"""What recorded requests have in place of a ciphertext. Everybody takes them."""
PREFIXES = {
    "reasoning": "rs",
    "compaction": "cmp",
    "compaction_summary": "cmp",
    "context_compaction": "cmp",
    "agent_message": "amsg",
}
"""The kinds of items that hold ciphertext, and how their ids begin."""

_HEAD = "gAAAAAB"
_SEAL_LENGTH = 32
_PLATFORM = "key"
"""How the marks of keys begin; those of accounts are hexadecimal."""
_ORGANIZATION = "Encrypted content organization_id did not match the target organization."
_ITEM = "Encrypted content item_id did not match the target item id."
_UNREADABLE = "Encrypted content could not be decrypted or parsed."
_AGENT_MESSAGE = "Encrypted function output content could not be decrypted or decoded."


def account_mark(label: str) -> str:
    """The mark of an account."""
    return hashlib.sha256(label.encode()).hexdigest()[:MARK_LENGTH]


def key_mark(label: str) -> str:
    """The mark of a key of the Platform."""
    return (_PLATFORM + account_mark(label))[:MARK_LENGTH]


def mark_of(id: str) -> str:
    """The mark that an id begins with, behind its prefix."""
    return id.partition("_")[2][:MARK_LENGTH]


def new_id(prefix: str, mark: str) -> str:
    """An id nobody has had yet, e.g. `resp_...`; its length is that of real ones."""
    return f"{prefix}_{mark}{secrets.token_hex(20)}"


def encrypt(item_id: str) -> str:
    """The ciphertext of an item."""
    name = urlsafe_b64encode(item_id.encode()).decode()
    return f"{_HEAD}{name}{_seal(name)}"


def decrypt(ciphertext: str) -> str | None:
    """The id of the item that a ciphertext was made for; None where not one character may be as it was made here."""
    name, seal = ciphertext[len(_HEAD) : -_SEAL_LENGTH], ciphertext[-_SEAL_LENGTH:]
    if not ciphertext.startswith(_HEAD) or seal != _seal(name):
        return None
    return urlsafe_b64decode(name).decode()


def new_item(kind: str, mark: str) -> Json:
    """An input item as an earlier answer would have left it behind: see `PREFIXES` for the kinds."""
    id = new_id(PREFIXES[kind], mark)
    item: Json = {"type": kind, "id": id}
    if kind == "agent_message":
        part = {"type": "encrypted_content", "encrypted_content": encrypt(id)}
        return {**item, "author": "/root", "recipient": "/root/helper", "content": [part]}
    return {**item, "encrypted_content": encrypt(id), **({"summary": []} if kind == "reasoning" else {})}


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who is sent ciphertext: by its mark, with the scenario's rules."""

    mark: str
    mode: str = "portable"
    names_item: bool = True

    def refusal(self, items: Sequence[object]) -> InvalidRequest | EarlyFailure | None:
        """What is answered to a request with these items, where one of them was not made for this reader.

        What breaks the answer only after it has begun comes behind what is refused at once.
        """
        found = [problem for item in items if isinstance(item, dict) for problem in self._problems(item)]
        return min(found, key=lambda problem: isinstance(problem, EarlyFailure), default=None)

    def _problems(self, item: Json) -> Iterator[InvalidRequest | EarlyFailure]:
        for id in file_ids(item):
            if mark_of(id) != self.mark:
                # The real answer is not known; this one is that of the public Files API.
                yield InvalidRequest(message=f"No such File object: {id}", code=None)
        for ciphertext in _ciphertexts(item):
            reason = self._reason(item, ciphertext)
            if reason is None:
                continue
            message, code = self._words(item, ciphertext, reason), "invalid_encrypted_content"
            late = self._is_late and item.get("type") == "reasoning" and reason == _ORGANIZATION
            yield EarlyFailure(code=code, message=message) if late else InvalidRequest(message=message, code=code)

    @property
    def _is_late(self) -> bool:
        """Whether it begins to answer before it reads what is encrypted. The Platform does not."""
        return self.mode == "bound_late" and not self.mark.startswith(_PLATFORM)

    def _reason(self, item: Json, ciphertext: str) -> str | None:
        made_for = decrypt(ciphertext)
        if made_for is None:
            return _UNREADABLE
        if "id" in item and item["id"] != made_for:
            return _ITEM
        return None if self._takes(str(item.get("type")), mark_of(made_for)) else _ORGANIZATION

    def _takes(self, kind: str, mark: str) -> bool:
        same_side = mark.startswith(_PLATFORM) == self.mark.startswith(_PLATFORM)
        return mark == self.mark or (kind == "reasoning" and self.mode == "portable" and same_side)

    def _words(self, item: Json, ciphertext: str, reason: str) -> str:
        if item.get("type") == "agent_message":
            return _AGENT_MESSAGE
        named = self.names_item and "id" in item
        which = f"for item {item['id']}" if named else f"{ciphertext[:4]}...{ciphertext[-4:]}"
        return f"The encrypted content {which} could not be verified. Reason: {reason}"


def file_ids(value: object) -> Iterator[str]:
    """The ids of uploaded files in an item: as `file_id`, or in a URL `sediment://file_...`."""
    if isinstance(value, list):
        for part in value:
            yield from file_ids(part)
    elif isinstance(value, dict):
        for name, part in value.items():
            if not isinstance(part, str):
                yield from file_ids(part)
            elif name == "file_id":
                yield part
            elif name.endswith("url") and part.startswith("sediment://"):
                yield part.removeprefix("sediment://")


def _ciphertexts(item: Json) -> Iterator[str]:
    content = item.get("content")
    holders = [item] if item.get("type") in PREFIXES else []
    holders += [part for part in (content if isinstance(content, list) else ()) if isinstance(part, dict)]
    for holder in holders:
        ciphertext = holder.get("encrypted_content")
        if isinstance(ciphertext, str) and ciphertext not in STAND_INS:
            yield ciphertext


def _seal(name: str) -> str:
    return hashlib.sha256(f"understudy-sandbox {name}".encode()).hexdigest()[:_SEAL_LENGTH]
