"""Why a login did not come about, in our own words: nothing that the login server or a web page says is shown."""

from dataclasses import dataclass
from enum import Enum


class Reason(Enum):
    """What stood in a login's way, as a text for the user."""

    DENIED = "the login was denied on ChatGPT's page"
    NOT_ENTITLED = "this ChatGPT account or workspace may not use Codex; ask its administrator, or log in with another"
    WRONG_STATE = "this answer does not belong to the login that was started here"
    CODE_SPENT = "the login's code is no longer valid: it was used already, or it is too old"
    EXPIRED = "the code was not entered in time"
    NOT_ENABLED = "the login server offers no login by device code"
    NO_CODE = "there is no code in it"
    NO_ACCOUNT = "the login does not say which ChatGPT account it is for"
    OTHER = "the login server refused the login"


@dataclass(frozen=True, slots=True)
class Refused:
    """A login that came to its end without tokens. To ask again with the same code would not help."""

    reason: Reason

    @property
    def message(self) -> str:
        """For the user."""
        return self.reason.value
