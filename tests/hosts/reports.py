"""What the tests tell `scripts/test-hosts` for its table."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from hosts.driver import Ran

ROUNDS = int(os.environ.get("UNDERSTUDY_HOSTS_ROUNDS", "1"))
"""How often a program is run where its time is taken."""
BEFORE, AFTER = 30, 150
"""Characters of what is seen, around what matters."""


@dataclass(slots=True)
class Report:
    """One line of the table."""

    host: str
    case: str
    result: str = ""
    seen: str = ""
    """What the person at the terminal sees."""
    seconds: float | None = None
    direct: float | None = None
    """The same, straight at the sandbox."""

    def note(self, ran: Ran, *words: str) -> Ran:
        """Keeps how long it took, and of what the person saw the surroundings of these words, or else the end."""
        text = " ".join(ran.seen.split())
        places = [text.lower().find(word.lower()) for word in words]
        shown = [text[max(0, place - BEFORE) : place + AFTER] for place in places if place >= 0]
        self.seen, self.seconds = " ... ".join(shown or [text[-AFTER:]]), ran.seconds
        return ran

    def write(self) -> None:
        """Adds the line to the file that the script reads."""
        path = os.environ.get("UNDERSTUDY_HOSTS_RESULTS")
        if path:
            with Path(path).open("a") as file:
                print(json.dumps(asdict(self)), file=file)
