"""What a proxy's flows say of attempts, as they end: seen by a script of the user's, beside the addon."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = """\
import json


def response(flow):
    if "understudy" in flow.metadata:
        with open({path!r}, "a") as file:
            print(json.dumps(flow.metadata["understudy"]), file=file)


error = response
"""
_CONSTANTS = """\
from importlib import import_module

for module, name, value in {values!r}:
    assert hasattr(import_module(module), name), f"{{module}} has no {{name}}"
    setattr(import_module(module), name, value)
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the metadata of a flow says (`proxy.views`): of an attempt, or of a refusal, whose attempt is number 0."""

    account: str
    attempt: int
    status: int | None
    reason: str
    then: str
    code: str
    chosen_by: str | None


class Witness:
    """Give `arguments` to the proxy whose flows it looks at. It sees a flow before its host hears the answer's end."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "seen"
        script = folder / "witness.py"
        script.write_text(_SCRIPT.format(path=str(self._path)))
        self.arguments = ("-s", str(script))

    def news(self) -> list[Seen]:
        """The flows that have ended since the last look, in that order."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        self._path.unlink(missing_ok=True)
        return [Seen(**{name: flow[name] for name in Seen.__slots__}) for flow in map(json.loads, lines)]


IMPATIENT = {"understudy.pool.policy._SOON": (0.05, 0.1), "understudy.pool.policy._PACE": (0.05, 0.1)}
"""For `with_constants`: nothing is gained by longer pauses where nobody measures them."""


def with_constants(folder: Path, values: Mapping[str, object]) -> tuple[str, str]:
    """Arguments for a proxy in which these constants have other values: `{"understudy.pool.policy.DEADLINE": 1.0}`.

    `folder`: for this proxy alone, as mitmproxy reads a script anew that changes.
    """
    path = folder / "constants.py"
    path.write_text(_CONSTANTS.format(values=[(*name.rsplit(".", 1), value) for name, value in values.items()]))
    return "-s", str(path)
