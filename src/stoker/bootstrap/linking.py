"""Brings the files of one artifact folder into another: hard links where that can be, else copies; all are verified."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stoker.errors import Unavailable

_SHARD = re.compile(r"[0-9a-f]{2}")
_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    files: int = 0
    size: int = 0


def link(source: Path, target: Path) -> Linked:
    """Every file of the source is in the target when this returns, under its name and with its content, on the disk.

    Unavailable, naming the file, if one cannot be brought there or is not what its name says.
    """
    files = size = 0
    folders: set[Path] = set()
    for path in _files(source):
        copy = target / path.parent.name / path.name
        try:
            _bring(path, copy)
            _verify(copy, path)
            size += copy.stat().st_size
        except OSError as error:
            raise _unavailable(copy, error.strerror or str(error)) from None
        files += 1
        folders.add(copy.parent)
    for folder in folders:
        _sync(folder)
    return Linked(files=files, size=size)


def _files(root: Path) -> Iterator[Path]:
    try:
        shards = sorted(path for path in root.iterdir() if _SHARD.fullmatch(path.name)) if root.exists() else []
        for shard in shards:
            yield from (path for path in shard.iterdir() if _KEY.fullmatch(path.name))
    except OSError as error:
        raise _unavailable(root, error.strerror or str(error)) from None


def _bring(path: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        copy.hardlink_to(path)
    except FileExistsError:
        return
    except OSError:  # another disk, or one without links
        _copy(path, copy)


def _copy(path: Path, copy: Path) -> None:
    draft = copy.with_name(f"{secrets.token_hex(16)}.part")
    try:
        with path.open("rb") as source, draft.open("xb") as file:
            draft.chmod(0o600)
            shutil.copyfileobj(source, file, 1024 * 1024)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(copy)
    finally:
        draft.unlink(missing_ok=True)


def _verify(copy: Path, source: Path) -> None:
    with copy.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != copy.name:
        raise Unavailable(
            f"the artifact's content is not what its name says: its SHA-256 is {found}.",
            code="artifact_damaged",
            place=str(copy),
            remedy=f"Restore it from a copy; it came from {source}. Nothing was moved.",
        )


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unavailable(path: Path, why: str) -> Unavailable:
    return Unavailable(
        f"the artifacts cannot be brought to the other folder: {why}.",
        code="disk_error",
        place=str(path),
        remedy="Make room and give this user the rights there. Nothing was moved.",
    )
