"""What a proxy in the background has written of why it did not start."""

from pathlib import Path

LINES = 8
"""How many lines tell why a proxy did not start."""
SHOWN = 64 * 1024
"""Bytes of a log that are looked at for them."""


def why(path: Path, began: int) -> str:
    """The lines that say why a proxy did not start: its errors, or else the last that it wrote. `began`: bytes."""
    with path.open("rb") as log:
        log.seek(max(began, path.stat().st_size - SHOWN))
        lines = [line for line in log.read(SHOWN).decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "understudy:" in line or "error" in line.lower()]
    return "\n".join(f"  {line.strip()}" for line in (errors or lines)[-LINES:]) or "  it wrote nothing"
