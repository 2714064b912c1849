"""The format of `accounts.json`: version 1, checked strictly on the way in, tokens written out on the way out."""

import json
import math
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from understudy.oauth.claims import is_token
from understudy.oauth.enrol import is_label
from understudy.pool.account import Account, Block, Health, Tokens
from understudy.state.errors import StoreNewer
from understudy.wire.jsontext import loads
from understudy.wire.secret import Secret
from understudy.wire.text import is_id

VERSION = 1
_NEWER = "accounts.json was written by another version of Understudy{}; update this one. The file was left alone."

T = TypeVar("T")


def _that(check: Callable[[T], bool]) -> AfterValidator:
    def checked(value: T) -> T:
        if not check(value):
            raise ValueError("not allowed")
        return value

    return AfterValidator(checked)


_Id = Annotated[str, _that(is_id)]
_Label = Annotated[str, _that(is_label)]
_Token = Annotated[str, _that(is_token)]
_Text = Annotated[str, _that(lambda text: len(text) <= 512)]
_Time = Annotated[float, _that(math.isfinite)]


class _Model(BaseModel):
    # A refused value may be a token: it must not come out in the error.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class _Tokens(_Model):
    access: _Token
    refresh: _Token
    id_token: Annotated[str, _that(lambda token: token == "" or is_token(token))]
    expires_at: _Time


class _Block(_Model):
    until: _Time
    reason: _Text
    authoritative: bool
    limit: bool


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
    block: _Block | None
    last_used_at: _Time | None
    tokens: _Tokens


class _File(_Model):
    version: Literal[1]
    revision: int
    accounts: list[_Account]


def encode(accounts: tuple[Account, ...], revision: int) -> bytes:
    """`{"version": 1, "revision", "accounts": [{"id", "label", ..., "tokens": {"access", "refresh", ...}}]}`.

    Written field by field: a library that hides secrets would write the hidden form, and the token would be lost.
    """
    file = {"version": VERSION, "revision": revision, "accounts": [_account_object(account) for account in accounts]}
    return json.dumps(file, indent=2, allow_nan=False).encode() + b"\n"


def decode(data: bytes) -> tuple[tuple[Account, ...], int]:
    """The accounts and the revision. Raises StoreNewer for a version, or a field, that we do not know, and ValueError,
    in words that hold nothing of the file, for whatever else is not as `encode` writes it.
    """
    try:
        document = loads(data)
    except ValueError:
        raise ValueError("it is not JSON") from None
    version = document.get("version") if isinstance(document, dict) else None
    if type(version) is not int:
        raise ValueError("it has no version")
    if version > VERSION:
        raise StoreNewer(_NEWER.format(f" (format {version})"))
    try:
        file = _File.model_validate(document)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_context=False, include_url=False)
        if all(problem["type"] == "extra_forbidden" for problem in problems):
            raise StoreNewer(_NEWER.format(" (it has fields that this one does not know)")) from None
        raise ValueError(f"it is not a pool of accounts ({_place(problems[0]['loc'])})") from None
    accounts = tuple(_account(read) for read in file.accounts)
    for names in ([a.id for a in accounts], [a.label.casefold() for a in accounts]):
        if len(set(names)) != len(names):
            raise ValueError("two accounts have the same id or label")
    return accounts, file.revision


def _place(location: tuple[int | str, ...]) -> str:
    # Only names that we gave ourselves: a member's name comes from the file.
    known = {*_File.model_fields, *_Account.model_fields, *_Tokens.model_fields, *_Block.model_fields}
    return "at " + ".".join(str(part) if isinstance(part, int) or part in known else "?" for part in location or ("?",))


def _account_object(account: Account) -> dict[str, object]:
    block, tokens = account.block, account.tokens
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
        "block": block
        and {
            "until": block.until,
            "reason": block.reason,
            "authoritative": block.authoritative,
            "limit": block.limit,
        },
        "last_used_at": account.last_used_at,
        "tokens": {
            "access": tokens.access.reveal(),
            "refresh": tokens.refresh.reveal(),
            "id_token": tokens.id_token.reveal(),
            "expires_at": tokens.expires_at,
        },
    }


def _account(read: _Account) -> Account:
    tokens, block = read.tokens, read.block
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
        block=Block(block.until, block.reason, block.authoritative, block.limit) if block else None,
        last_used_at=read.last_used_at,
        tokens=Tokens(
            access=Secret(tokens.access),
            refresh=Secret(tokens.refresh),
            id_token=Secret(tokens.id_token),
            expires_at=tokens.expires_at,
        ),
    )
