"""The `understudy` command as it is typed on a terminal, within this process."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it wrote on its two outputs."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of the results."""
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        """The results as JSON."""
        return json.loads(self.out)

    @property
    def words(self) -> str:
        """All of it, however it was broken into lines."""
        return " ".join(f"{self.out} {self.err}".split())


Understudy = Callable[..., Said]
"""`understudy("accounts", "list", "--json")`."""
