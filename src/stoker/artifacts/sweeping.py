"""The deletion of stored files beside those who write the same content anew, in this process or another.

A writer renames a new file over the old one, and nothing can unlink "the old one" alone. So a file is first moved to
`trash/`, where nobody writes: only there is it seen to be old, and then deleted. One that turns out to be new is linked
back; who reads meanwhile finds it in the trash. What a crash left there is linked back as well, and looked at again.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

TRASH = "trash"
_LEFT = re.compile(r"([0-9a-f]{64})\.[0-9a-f]{16}")
_KEY = re.compile(r"[0-9a-f]{64}")


def now(root: Path) -> float:
    """By the file system's own clock."""
    os.utime(root / "incoming")
    return (root / "incoming").stat().st_mtime


def old(root: Path, first: str, age_s: float) -> list[tuple[str, int]]:
    """The files that were written so long ago, with their sizes, of folders whose names begin so."""
    before, found = now(root) - age_s, []
    for folder in (root / f"{first}{second}" for second in "0123456789abcdef"):
        for entry in os.scandir(folder):
            with suppress(FileNotFoundError):
                status = entry.stat()
                if _KEY.fullmatch(entry.name) and status.st_mtime < before:
                    found.append((entry.name, status.st_size))
    return found


def sweep(root: Path, keys: Sequence[str], age_s: float) -> list[str]:
    """Delete files that were written so long ago; gives which."""
    (root / TRASH).mkdir(exist_ok=True, mode=0o700)
    before = now(root) - age_s
    return [key for key in keys if _swept(root, key, before)]


def _swept(root: Path, key: str, before: float) -> bool:
    place = root / key[:2] / key
    moved = root / TRASH / f"{key}.{secrets.token_hex(8)}"
    try:
        place.rename(moved)
    except FileNotFoundError:
        return False
    if moved.stat().st_mtime >= before:
        _put_back(moved, place)
        return False
    moved.unlink(missing_ok=True)
    return True


def restore(root: Path) -> None:
    """Put back what a crash left in the trash."""
    if (root / TRASH).exists():
        for moved in (root / TRASH).iterdir():
            if left := _LEFT.fullmatch(moved.name):
                _put_back(moved, root / left[1][:2] / left[1])


def in_trash(root: Path, key: str) -> Iterator[Path]:
    """Where a file may be that is just being looked at."""
    with suppress(FileNotFoundError):
        yield from (root / TRASH).glob(f"{key}.*")


def _put_back(moved: Path, place: Path) -> None:
    with suppress(FileExistsError, FileNotFoundError):
        place.hardlink_to(moved)
    moved.unlink(missing_ok=True)
