"""The format of `accounts.json`: version 3, checked strictly on the way in, tokens written out on the way out."""

import json
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Tag, ValidationError

from understudy.pool.account import MOST_BLOCKS, Account, Block, Ground, Health, Lane, Spending, Tokens
from understudy.pool.labels import is_label
from understudy.pool.pool import Pin, Pool
from understudy.pool.refreshes import MOST_ATTEMPTS, Refreshes
from understudy.state.errors import StoreNewer
from understudy.state.older import present_form
from understudy.wire.jsontext import loads
from understudy.wire.secret import Secret
from understudy.wire.text import is_id, is_token

VERSION = 3
_NEWER = "accounts.json was written by another version of Understudy{}; update this one. The file was left alone."

T = TypeVar("T")

NO_TOKENS = Tokens(Secret(""), Secret(""), Secret(""), 0.0)
"""Those of an account whose entry in the keychain is not there."""


def _that(check: Callable[[T], bool]) -> AfterValidator:
    def checked(value: T) -> T:
        if not check(value):
            raise ValueError("not allowed")
        return value

    return AfterValidator(checked)


_Id = Annotated[str, _that(is_id)]
_Label = Annotated[str, _that(is_label)]
_Token = Annotated[str, _that(is_token)]
_TokenOrNone = Annotated[str, _that(lambda token: token == "" or is_token(token))]
_Text = Annotated[str, _that(lambda text: len(text) <= 512)]
_Time = Annotated[float, _that(math.isfinite)]
_Count = Annotated[int, _that(lambda count: 0 <= count < 1_000_000)]


class _Model(BaseModel):
    # A refused value may be a token: it must not come out in the error.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class _Tokens(_Model):
    access: _Token
    refresh: _TokenOrNone
    id_token: _TokenOrNone
    expires_at: _Time


class _Entry(_Model):
    keychain: _Id


def _place_of_tokens(value: object) -> str:
    return "keychain" if isinstance(value, dict) and "keychain" in value else "file"


_AnyTokens = Annotated[
    Annotated[_Tokens, Tag("file")] | Annotated[_Entry, Tag("keychain")], Discriminator(_place_of_tokens)
]


class _Block(_Model):
    until: _Time
    reason: _Text
    authoritative: bool
    ground: Annotated[str, _that(frozenset(Ground).__contains__)]
    model: _Text
    limit_id: _Text
    since: _Time
    tried_at: _Time | None


class _Refreshes(_Model):
    sent_at: _Time | None
    streak: _Count
    retry_at: _Time
    reason: _Text
    attempts: Annotated[list[_Time], _that(lambda attempts: len(attempts) <= MOST_ATTEMPTS)]
    renewed_at: _Time | None


class _Spending(_Model):
    day: _Count
    requests: _Count


class _Pin(_Model):
    account: _Id
    soft: bool


class _Account(_Model):
    id: _Id
    label: _Label
    account_id: _Id
    user_id: Annotated[str, _that(lambda user: user == "" or is_id(user))]
    email: _Text
    plan: _Text
    fedramp: bool
    enabled: bool
    health: Literal["ok", "needs_login"]
    health_reason: _Text
    health_at: _Time | None
    blocks: Annotated[list[_Block], _that(lambda blocks: len(blocks) <= MOST_BLOCKS)]
    last_used_at: _Time | None
    added_at: _Time | None
    tags: Annotated[list[_Label], _that(lambda tags: len(tags) <= 16)]
    note: _Text
    refreshes: _Refreshes
    reserve_percent: Annotated[float, _that(lambda percent: 0 <= percent <= 100)]
    lane: Annotated[str, _that(frozenset(Lane).__contains__)]
    spending: _Spending
    tokens: _AnyTokens


class _File(_Model):
    version: Literal[3]
    revision: int
    affinity_generation: int
    pin: _Pin | None
    accounts: list[_Account]


Fetch = Callable[[str, str], Tokens]
"""Gives the tokens of an account (its id) that are an entry in the keychain (its name)."""


def encode(pool: Pool, entries: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """`{"version": 3, "revision", "affinity_generation", "pin": {"account", "soft"} | null, "accounts": [{"id",
    "label", ..., "tokens": {"access", "refresh", ...} | {"keychain"}}]}`.

    `entries`: by the ids of the accounts whose tokens are in the keychain, the names of their entries there.

    Written field by field: a library that hides secrets would write the hidden form, and the token would be lost.
    """
    file = {
        "version": VERSION,
        "revision": pool.revision,
        "affinity_generation": pool.affinity_generation,
        "pin": pool.pin and {"account": pool.pin.name, "soft": pool.pin.soft},
        "accounts": [_account_object(account, entries.get(account.id)) for account in pool.accounts],
    }
    return json.dumps(file, indent=2, allow_nan=False).encode() + b"\n"


def decode(data: bytes, fetch: Fetch = lambda *_: NO_TOKENS) -> Pool:
    """The pool, as this or an older version wrote it. Raises StoreNewer for a version, or a field, that we do not
    know, and ValueError, in words that hold nothing of the file, for whatever else is not as `encode` writes it, and
    whatever `fetch` raises.
    """
    document = _document(data)
    version = _version(document)
    if version > VERSION:
        raise StoreNewer(_NEWER.format(f" (format {version})"))
    try:
        file = _File.model_validate(present_form(document, version))
    except ValidationError as error:
        problems = error.errors(include_input=False, include_context=False, include_url=False)
        if all(problem["type"] == "extra_forbidden" for problem in problems):
            raise StoreNewer(_NEWER.format(" (it has fields that this one does not know)")) from None
        raise ValueError(f"it is not a pool of accounts ({_place(problems[0]['loc'])})") from None
    accounts = tuple(_account(read, fetch) for read in file.accounts)
    for names in ([a.id for a in accounts], [a.label.casefold() for a in accounts]):
        if len(set(names)) != len(names):
            raise ValueError("two accounts have the same id or label")
    pin = Pin(file.pin.account, file.pin.soft) if file.pin else None
    if pin is not None and pin.name not in [account.id for account in accounts]:
        raise ValueError("it pins an account that is not there")
    return Pool(accounts, pin, file.affinity_generation, file.revision)


def encode_tokens(tokens: Tokens) -> str:
    """The tokens as they are written into the keychain: `{"access", "refresh", "id_token", "expires_at"}`."""
    return json.dumps(_tokens_object(tokens), allow_nan=False)


def decode_tokens(text: str) -> Tokens:
    """What `encode_tokens` wrote. Raises StoreNewer for anything else: nobody but another version wrote it."""
    try:
        return _tokens(_Tokens.model_validate(loads(text.encode())))
    except ValueError:
        raise StoreNewer(
            "the keychain's entries were written by another version of Understudy; update this one"
        ) from None


def is_older(data: bytes) -> bool:
    """Whether an older version wrote this pool, which the next change will write in a form that it cannot read."""
    return _version(_document(data)) < VERSION


def _document(data: bytes) -> dict[str, object]:
    try:
        document = loads(data)
    except ValueError:
        raise ValueError("it is not JSON") from None
    json.loads(data, object_pairs_hook=_each_once)
    return document if isinstance(document, dict) else {}


def _each_once(members: list[tuple[str, object]]) -> None:
    """We never write a name twice; of two lists of accounts, say, one would be dropped in silence."""
    if len({name for name, _ in members}) != len(members):
        raise ValueError("a name in it comes twice")


def _version(document: dict[str, object]) -> int:
    version = document.get("version")
    if type(version) is not int or version < 1:
        raise ValueError("it has no version")
    return version


def _place(location: tuple[int | str, ...]) -> str:
    # Only names that we gave ourselves: a member's name comes from the file.
    models = (_File, _Pin, _Account, _Tokens, _Entry, _Block, _Refreshes, _Spending)
    known = {name for model in models for name in model.model_fields}
    return "at " + ".".join(str(part) if isinstance(part, int) or part in known else "?" for part in location or ("?",))


def _account_object(account: Account, entry: str | None) -> dict[str, object]:
    return {
        "id": account.id,
        "label": account.label,
        "account_id": account.account_id,
        "user_id": account.user_id,
        "email": account.email,
        "plan": account.plan,
        "fedramp": account.fedramp,
        "enabled": account.enabled,
        "health": account.health.value,
        "health_reason": account.health_reason,
        "health_at": account.health_at,
        "blocks": [_block_object(block) for block in account.blocks],
        "last_used_at": account.last_used_at,
        "added_at": account.added_at,
        "tags": list(account.tags),
        "note": account.note,
        "refreshes": _refreshes_object(account.refreshes),
        "reserve_percent": account.reserve_percent,
        "lane": account.lane.value,
        "spending": {"day": account.spending.day, "requests": account.spending.requests},
        "tokens": _tokens_object(account.tokens) if entry is None else {"keychain": entry},
    }


def _block_object(block: Block) -> dict[str, object]:
    return {
        "until": block.until,
        "reason": block.reason,
        "authoritative": block.authoritative,
        "ground": block.ground.value,
        "model": block.model,
        "limit_id": block.limit_id,
        "since": block.since,
        "tried_at": block.tried_at,
    }


def _tokens_object(tokens: Tokens) -> dict[str, object]:
    return {
        "access": tokens.access.reveal(),
        "refresh": tokens.refresh.reveal(),
        "id_token": tokens.id_token.reveal(),
        "expires_at": tokens.expires_at,
    }


def _refreshes_object(record: Refreshes) -> dict[str, object]:
    return {
        "sent_at": record.sent_at,
        "streak": record.streak,
        "retry_at": record.retry_at,
        "reason": record.reason,
        "attempts": list(record.attempts),
        "renewed_at": record.renewed_at,
    }


def _tokens(read: _Tokens) -> Tokens:
    return Tokens(Secret(read.access), Secret(read.refresh), Secret(read.id_token), read.expires_at)


def _tokens_of(read: _Account, fetch: Fetch) -> Tokens:
    """Its tokens, wherever they are. An API key stands alone, and a login is nothing without a refresh token."""
    tokens = _tokens(read.tokens) if isinstance(read.tokens, _Tokens) else fetch(read.id, read.tokens.keychain)
    if tokens != NO_TOKENS and bool(tokens.refresh) is (read.lane == Lane.PLATFORM):
        raise ValueError("the tokens of an account are not of its kind")
    return tokens


def _block(read: _Block) -> Block:
    return Block(
        until=read.until,
        reason=read.reason,
        authoritative=read.authoritative,
        ground=Ground(read.ground),
        model=read.model,
        limit_id=read.limit_id,
        since=read.since,
        tried_at=read.tried_at,
    )


def _refreshes(read: _Refreshes) -> Refreshes:
    return Refreshes(
        sent_at=read.sent_at,
        streak=read.streak,
        retry_at=read.retry_at,
        reason=read.reason,
        attempts=tuple(read.attempts),
        renewed_at=read.renewed_at,
    )


def _account(read: _Account, fetch: Fetch) -> Account:
    return Account(
        id=read.id,
        label=read.label,
        account_id=read.account_id,
        user_id=read.user_id,
        email=read.email,
        plan=read.plan,
        fedramp=read.fedramp,
        enabled=read.enabled,
        health=Health(read.health),
        health_reason=read.health_reason,
        health_at=read.health_at,
        blocks=tuple(map(_block, read.blocks)),
        last_used_at=read.last_used_at,
        added_at=read.added_at,
        tags=tuple(read.tags),
        note=read.note,
        refreshes=_refreshes(read.refreshes),
        reserve_percent=read.reserve_percent,
        lane=Lane(read.lane),
        spending=Spending(read.spending.day, read.spending.requests),
        tokens=_tokens_of(read, fetch),
    )
