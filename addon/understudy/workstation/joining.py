"""Puts certificates of several files and folders into one file, for programs that read no more than one."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from understudy.state import files
from understudy.state.home import private_folder

_CERTIFICATE = re.compile(rb"-----BEGIN (TRUSTED )?CERTIFICATE-----.+?-----END (TRUSTED )?CERTIFICATE-----", re.DOTALL)


def join(wanted: Mapping[Path, Iterable[Path]]) -> None:
    """Writes each file (0600) with the certificates of its sources, each once; one that is right already stays.

    A source that cannot be read is left out: the program that goes by it now finds nothing there, either. Raises
    StateError where a file cannot be written. Blocking.
    """
    for path, sources in wanted.items():
        private_folder(path.parent.parent)
        private_folder(path.parent)
        blocks = dict.fromkeys(block for source in sources for block in _blocks(source))
        data = b"".join(block + b"\n" for block in blocks)
        found = files.read(path)
        if found is None or found.data != data:
            files.write(path, data, durable=False)


def _blocks(source: Path) -> list[bytes]:
    """The certificates of a file, or of the files of a folder; private keys and words stay behind."""
    try:
        paths = sorted(source.iterdir()) if source.is_dir() else [source]
    except OSError:
        return []
    return [block[0] for path in paths for block in _CERTIFICATE.finditer(_content(path))]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError:
        return b""
