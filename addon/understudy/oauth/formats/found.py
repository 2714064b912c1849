"""What is found in a file with logins: values, each of them checked."""

from dataclasses import dataclass, field

from understudy.oauth.codex_auth import Login


@dataclass(frozen=True, slots=True)
class FoundLogin:
    """A login, and what else the file says of its account. `label`: empty where there is none that we could use."""

    login: Login
    label: str = ""
    tags: tuple[str, ...] = ()
    note: str = field(default="", repr=False)
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """The logins in a file, in its order. `program`: what wrote it, as its users call it.

    `left_out`: what is in the file and is no login for us, and why, in words for the user that hold nothing secret.
    """

    program: str
    logins: tuple[FoundLogin, ...] = ()
    left_out: tuple[str, ...] = ()
