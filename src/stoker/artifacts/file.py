"""Artifacts as files, named by the SHA-256 of their content: `<root>/<first two digits>/<all 64>`.

A file appears under its name only when it is complete and, like its name, on the disk: temp file, fsync, rename,
fsync of the folder. Two writers of the same content write the same file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from stoker.artifacts import sweeping
from stoker.artifacts.port import Blob
from stoker.artifacts.threads import in_thread
from stoker.errors import Invalid, NotFound, Unavailable

P = ParamSpec("P")
T = TypeVar("T")

GATHER = 1024 * 1024  # bytes written by one trip to a thread
PIECE = 256 * 1024  # bytes read by one
STALE_S = 3600.0

_KEY = re.compile(r"[0-9a-f]{64}")
_TEMPORARY = re.compile(r"[0-9a-f]{32}\.part")


class FileStore:
    """`sync` False leaves out every fsync: for data folders that are thrown away."""

    def __init__(self, root: Path, *, sync: bool = True) -> None:
        self._root = root
        self._incoming = root / "incoming"
        self._sync = sync

    async def open(self) -> None:
        """Make the folders and remove what a crash left half written, if it is older than an hour."""
        await in_thread(self._open)

    async def write(self, chunks: AsyncIterator[bytes]) -> Blob:
        """Store the bytes; durable when this returns. Unavailable (disk full) leaves nothing behind."""
        draft = _Draft(self._root, self._incoming / f"{secrets.token_hex(16)}.part", sync=self._sync)
        try:
            gathered = bytearray()
            async for chunk in chunks:
                gathered += chunk
                if len(gathered) >= GATHER:
                    await in_thread(draft.append, bytes(gathered))
                    gathered.clear()
            return await in_thread(draft.publish, bytes(gathered))
        finally:
            await in_thread(draft.discard)

    async def read(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Bytes [start, stop), in pieces."""
        source = _Source(self._root, self._path(key), key)
        try:
            while start < stop:
                piece = await in_thread(source.piece, min(PIECE, stop - start), start)
                start += len(piece)
                yield piece
        finally:
            source.close()

    async def exists(self, key: str) -> bool:
        return await in_thread(self._path(key).exists)

    async def size(self, key: str) -> int:
        return await in_thread(_size, self._root, self._path(key), key)

    async def delete(self, key: str) -> None:
        """Remove the bytes; nothing happens if they are gone already."""
        await in_thread(_delete, self._path(key))

    async def old(self, age_s: float) -> AsyncIterator[list[tuple[str, int]]]:
        """Keys and sizes of what was written so long ago, some folders at a time."""
        for first in "0123456789abcdef":
            yield await in_thread(self._at_disk, "read", sweeping.old, self._root, first, age_s)

    async def sweep(self, keys: Sequence[str], age_s: float) -> list[str]:
        """Delete what was written so long ago, and not again meanwhile; gives which."""
        return await in_thread(self._at_disk, "deleted", sweeping.sweep, self._root, keys, age_s)

    @asynccontextmanager
    async def scratch(self) -> AsyncIterator[Path]:
        """A place for a file that is gone afterwards, also if this process dies: as uploads that never end."""
        path = self._incoming / f"{secrets.token_hex(16)}.part"
        try:
            yield path
        finally:
            await in_thread(path.unlink, missing_ok=True)

    async def room(self) -> tuple[int, int]:
        """Bytes of the disk, and how many are free."""
        found = await in_thread(shutil.disk_usage, self._root)
        return found.total, found.free

    def _at_disk(self, done: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return work(*args, **kwargs)
        except OSError as error:
            raise _unavailable(done, self._root, error) from None

    def _path(self, key: str) -> Path:
        if _KEY.fullmatch(key) is None:
            raise Invalid(f"{key[:80]!r} is no key of this store; keys are 64 lowercase hex digits", place="key")
        return self._root / key[:2] / key

    def _open(self) -> None:
        try:
            self._incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
            sweeping.restore(self._root)
            for shard in range(256):  # all at once: one fsync makes their names durable
                (self._root / f"{shard:02x}").mkdir(exist_ok=True, mode=0o700)
            os.utime(self._incoming)
            now = self._incoming.stat().st_mtime  # by the file system's own clock
            for path in self._incoming.iterdir():
                if _TEMPORARY.fullmatch(path.name) and path.stat().st_mtime < now - STALE_S:
                    path.unlink(missing_ok=True)
            if self._sync:
                _sync_folder(self._root)
                _sync_folder(self._root.parent)
        except OSError as error:
            raise _unavailable("opened", self._root, error) from None


class _Draft:
    """A file that is being written, under a temporary name until it is complete. Its methods run in threads."""

    def __init__(self, root: Path, path: Path, *, sync: bool) -> None:
        self._root = root
        self._path = path
        self._sync = sync
        self._hash = hashlib.sha256()
        self._size = 0
        self._handle: int | None = None

    def append(self, content: bytes) -> None:
        try:
            handle = self._opened()
            view = memoryview(content)
            while view:
                view = view[os.write(handle, view) :]
        except OSError as error:
            raise _unavailable("written", self._path, error) from None
        self._hash.update(content)
        self._size += len(content)

    def publish(self, rest: bytes) -> Blob:
        """Write the rest, make it durable, and give it its name."""
        self.append(rest)
        key = self._hash.hexdigest()
        target = self._root / key[:2] / key
        try:
            if self._sync:
                os.fsync(self._opened())
            self._close()
            self._path.replace(target)
            if self._sync:
                _sync_folder(target.parent)
        except OSError as error:
            raise _unavailable("made durable", target, error) from None
        return Blob(key=key, size=self._size, sha256=key)

    def discard(self) -> None:
        """Remove what has not been published."""
        with suppress(OSError):
            self._close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _opened(self) -> int:
        if self._handle is None:
            self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        return self._handle

    def _close(self) -> None:
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)


class _Source:
    """A stored file that is being read. `piece` runs in threads, one at a time."""

    def __init__(self, root: Path, path: Path, key: str) -> None:
        self._root = root
        self._path = path
        self._key = key
        self._handle: int | None = None

    def piece(self, size: int, at: int) -> bytes:
        try:
            if self._handle is None:
                self._handle = self._open()
            found = os.pread(self._handle, size, at)
        except FileNotFoundError:
            raise _missing(self._key) from None
        except OSError as error:
            raise _unavailable("read", self._path, error) from None
        if not found:
            raise Unavailable(
                f"{self._path} ends at byte {at}, before what was stored",
                code="content_short",
                place=str(self._path),
                remedy="Restore the file from a copy.",
            )
        return found

    def _open(self) -> int:
        """There, or where it is just being looked at, or there again."""
        for path in (self._path, *sweeping.in_trash(self._root, self._key)):
            with suppress(FileNotFoundError):
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _size(root: Path, path: Path, key: str) -> int:
    try:
        for each in (path, *sweeping.in_trash(root, key)):
            with suppress(FileNotFoundError):
                return each.stat().st_size
        return path.stat().st_size
    except FileNotFoundError:
        raise _missing(key) from None
    except OSError as error:
        raise _unavailable("read", path, error) from None


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _unavailable("deleted", path, error) from None


def _missing(key: str) -> NotFound:
    return NotFound(f"the bytes {key} are not in the object store", code="content_missing", place="key")


def _unavailable(done: str, path: Path, error: OSError) -> Unavailable:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return Unavailable(
        f"an artifact could not be {done} at {path}: {error.strerror}",
        code="disk_full" if full else "disk_error",
        place=str(path),
        remedy="Free space on that disk, or move the data folder." if full else "See to that disk; then ask again.",
    )
