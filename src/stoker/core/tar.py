"""Plain tar archives, as far as we write them: files with short names, nothing else. `tar tvf` shows them."""

from __future__ import annotations

import tarfile
from typing import NamedTuple

BLOCK = 512
END = bytes(2 * BLOCK)


class Entry(NamedTuple):
    """A file of an archive; its content follows, up to a whole block."""

    name: str
    size: int


def header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info.tobuf(tarfile.GNU_FORMAT)


def padding(size: int) -> bytes:
    """What comes behind so many bytes of content."""
    return bytes(-size % BLOCK)


def entry(block: bytes) -> Entry | None:
    """What a header says; None: the end. ValueError if it is none, or of anything but a plain file."""
    if len(block) != BLOCK:
        raise ValueError("it ends in the middle of a header")
    if not any(block):
        return None
    try:
        info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.TarError, UnicodeError) as error:
        raise ValueError(f"a header cannot be read: {error}") from None
    if info.type != tarfile.REGTYPE or info.size < 0:
        raise ValueError(f"{info.name[:80]!r} is no plain file")
    return Entry(info.name, info.size)
