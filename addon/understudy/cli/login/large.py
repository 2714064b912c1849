"""Large type: capital letters, digits and the hyphen, five lines high, for a code that is read from another screen."""

HEIGHT = 5
WIDTH = 5

_ROWS = (
    ("ABCDEFGHI", " ███ |████ | ████|████ |█████|█████| ████|█   █| ███ "),
    ("ABCDEFGHI", "█   █|█   █|█    |█   █|█    |█    |█    |█   █|  █  "),
    ("ABCDEFGHI", "█████|████ |█    |█   █|████ |████ |█  ██|█████|  █  "),
    ("ABCDEFGHI", "█   █|█   █|█    |█   █|█    |█    |█   █|█   █|  █  "),
    ("ABCDEFGHI", "█   █|████ | ████|████ |█████|█    | ████|█   █| ███ "),
    ("JKLMNOPQR", "  ███|█   █|█    |█   █|█   █| ███ |████ | ███ |████ "),
    ("JKLMNOPQR", "   █ |█  █ |█    |██ ██|██  █|█   █|█   █|█   █|█   █"),
    ("JKLMNOPQR", "   █ |███  |█    |█ █ █|█ █ █|█   █|████ |█   █|████ "),
    ("JKLMNOPQR", "█  █ |█  █ |█    |█   █|█  ██|█   █|█    |█  █ |█  █ "),
    ("JKLMNOPQR", " ██  |█   █|█████|█   █|█   █| ███ |█    | ██ █|█   █"),
    ("STUVWXYZ-", " ████|█████|█   █|█   █|█   █|█   █|█   █|█████|     "),
    ("STUVWXYZ-", "█    |  █  |█   █|█   █|█   █| █ █ | █ █ |   █ |     "),
    ("STUVWXYZ-", " ███ |  █  |█   █|█   █|█ █ █|  █  |  █  |  █  | ███ "),
    ("STUVWXYZ-", "    █|  █  |█   █| █ █ |██ ██| █ █ |  █  | █   |     "),
    ("STUVWXYZ-", "████ |  █  | ███ |  █  |█   █|█   █|  █  |█████|     "),
    ("0123456789", " ███ |  █  |████ |████ |█  █ |█████| ███ |█████| ███ | ███ "),
    ("0123456789", "█  ██| ██  |    █|    █|█  █ |█    |█    |   █ |█   █|█   █"),
    ("0123456789", "█ █ █|  █  | ███ | ███ |█████|████ |████ |  █  | ███ | ████"),
    ("0123456789", "██  █|  █  |█    |    █|   █ |    █|█   █| █   |█   █|    █"),
    ("0123456789", " ███ | ███ |█████|████ |   █ |████ | ███ | █   | ███ | ███ "),
)


def large(text: str, cell: str) -> list[str]:
    """`text`, of capital letters, digits and hyphens, as `HEIGHT` lines drawn with `cell`."""
    glyphs = [_GLYPHS[character] for character in text]
    return [" ".join(glyph[row] for glyph in glyphs).replace("█", cell) for row in range(HEIGHT)]


def _glyphs() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for characters, row in _ROWS:
        for character, cells in zip(characters, row.split("|"), strict=True):
            found.setdefault(character, []).append(cells)
    return found


_GLYPHS = _glyphs()
