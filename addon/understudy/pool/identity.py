"""Which login belongs to which account: by ChatGPT's ids of the workspace and of the user's seat in it."""

from typing import Protocol


class Identity(Protocol):
    """What an account, or the tokens of a login, say of who they are for; empty where they do not say it."""

    @property
    def account_id(self) -> str:
        """ChatGPT's id of the workspace."""

    @property
    def user_id(self) -> str:
        """ChatGPT's id of the user's seat."""

    @property
    def email(self) -> str:
        """As it is written anywhere: case and space around it count for nothing."""


def is_same(known: Identity, other: Identity) -> bool:
    """Whether `other` is for the account that is `known`: (account id, user id), or (account id, e-mail) where a user
    id is not known. Tokens that name neither user nor e-mail are told apart by the workspace alone.
    """
    if known.account_id != other.account_id:
        return False
    if known.user_id and other.user_id:
        return known.user_id == other.user_id
    return _folded(known.email) == _folded(other.email) and (bool(other.email) or not known.user_id)


def _folded(email: str) -> str:
    return email.strip().casefold()
