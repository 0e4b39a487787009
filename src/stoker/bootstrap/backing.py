"""Backups on disk: received from a server into a folder, and brought back from there; complete, or not there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from stoker.bootstrap import belonging, linking
from stoker.bootstrap.lock import locked
from stoker.bootstrap.place import Place
from stoker.core import tar
from stoker.core.backup import DATABASE, MANIFEST, Manifest, key_of
from stoker.errors import Conflict, Invalid, Unavailable
from stoker.runner.wire import Wire
from stoker.storage.sqlite import look

PIECE = 1024 * 1024
_ROOM = 1024 * 1024  # of a manifest


async def receive(wire: Wire, target: Path) -> Manifest:
    """Have the server make a backup, and write it into a new folder. Nothing is there if that fails."""
    part = _begun(target)
    try:
        async with wire.open("GET", "/v1/backup", wait_s=None) as response:
            manifest = await _Unpacking(part, response.content.iter_chunked(PIECE)).unpack()
        _publish(part, target)
    except OSError as error:
        raise _unavailable("written", target, error) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return manifest


def _begun(target: Path) -> Path:
    part = target.with_name(f"{target.name}.part")
    if there := next((path for path in (target, part) if path.exists()), None):
        raise Conflict(
            "there is something already.",
            code="exists",
            place=str(there),
            remedy="Name a folder that is not there yet, or remove what an interrupted backup left.",
        )
    try:
        part.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise _unavailable("written", target, error) from None
    return part


def _publish(part: Path, target: Path) -> None:
    for folder in [path for path in part.rglob("*") if path.is_dir()]:
        _sync(folder)
    _sync(part)
    part.rename(target)
    _sync(target.parent)


class _Unpacking:
    """An archive as it arrives, written into a folder and verified. It is trusted in nothing but its hashes."""

    def __init__(self, folder: Path, chunks: AsyncIterator[bytes]) -> None:
        self._folder = folder
        self._rest = b""
        self._chunks = chunks
        self._database: tuple[str, int] = ("", 0)
        self._files = self._bytes = 0

    async def unpack(self) -> Manifest:
        manifest: Manifest | None = None
        while (found := self._entry(await self._take(tar.BLOCK))) is not None:
            if manifest is not None:
                raise _damaged("something comes behind its manifest")
            if found.name == MANIFEST and found.size <= _ROOM:
                manifest = _decoded(await self._take(found.size))
            else:
                await self._file(found)
            await self._take(len(tar.padding(found.size)))
        if manifest is None:
            raise _damaged("it ends without its manifest")
        seen = (*self._database, self._files, self._bytes)
        if seen != (manifest.database, manifest.database_bytes, manifest.files, manifest.file_bytes):
            raise _damaged("it is not what its manifest says")
        (self._folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
        return manifest

    @staticmethod
    def _entry(block: bytes) -> tar.Entry | None:
        try:
            return tar.entry(block)
        except ValueError as error:
            raise _damaged(str(error)) from None

    async def _file(self, found: tar.Entry) -> None:
        key = key_of(found.name)
        if key is None and (found.name != DATABASE or self._database[0]):
            raise _damaged(f"{found.name[:80]!r} does not belong there")
        path = self._folder / found.name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("xb") as file:
            path.chmod(0o600)
            digest = await self._copy(found.size, file)
            file.flush()
            os.fsync(file.fileno())
        if key is None:
            self._database = (digest, found.size)
        elif digest != key:
            raise _damaged(f"{found.name} has the SHA-256 {digest}")
        else:
            self._files, self._bytes = self._files + 1, self._bytes + found.size

    async def _copy(self, size: int, file: BinaryIO) -> str:
        digest = hashlib.sha256()
        while size:
            piece = await self._take(min(size, PIECE))
            digest.update(piece)
            file.write(piece)
            size -= len(piece)
        return digest.hexdigest()

    async def _take(self, size: int) -> bytes:
        """So many bytes; fewer at the end."""
        taken = bytearray(self._rest)
        while len(taken) < size and (chunk := await anext(self._chunks, b"")):
            taken += chunk
        self._rest = bytes(taken[size:])
        if len(taken) < size:
            raise _damaged("it ends too early")
        return bytes(taken[:size])


# --- back ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    manifest: Manifest
    schema: int


def restore(source: Path, place: Place) -> Restored:
    """Bring a backup into a data folder without a database. All of it is verified first; the database comes last."""
    manifest = _manifest(source)
    if place.database is not None:
        raise Invalid(
            "a backup is restored into a data folder, not into PostgreSQL.",
            code="no_backup",
            place=place.shown,
            remedy="Name a folder with --data; `stoker db move` then brings it to PostgreSQL.",
        )
    with locked(place.data):
        if place.file.exists():
            raise Conflict(
                "there is a database already.",
                code="database_not_empty",
                place=place.shown,
                remedy="Name another folder with --data, or move the old one away as a whole. Nothing was changed.",
            )
        database = source / DATABASE
        if _digest(database) != manifest.database:
            raise _damaged(f"{database} is not what its manifest says")
        schema, named, fact = look.verified(database, belonging.FACT)
        for key in named:
            if not (source / "artifacts" / key[:2] / key).exists():
                raise _damaged(f"the database names the stored bytes {key}, which are not there")
        try:
            linked = linking.link(source / "artifacts", place.artifacts)
            if linked.files != manifest.files:
                raise _damaged(f"it has {linked.files} stored files, its manifest says {manifest.files}")
            if fact is not None:
                belonging.make(place.artifacts, fact)
            _bring(database, place.file)
        except OSError as error:
            raise _unavailable("restored", place.file, error) from None
    return Restored(manifest=manifest, schema=schema)


def _manifest(source: Path) -> Manifest:
    try:
        return _decoded((source / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise Invalid(
            "this is no backup: it has no manifest.",
            code="no_backup",
            place=str(source / MANIFEST),
            remedy="Name a folder that `stoker db backup` has written.",
        ) from None
    except OSError as error:
        raise _unavailable("read", source, error) from None


def _bring(database: Path, target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    try:
        with database.open("rb") as file, part.open("wb") as copy:
            part.chmod(0o600)
            shutil.copyfileobj(file, copy, PIECE)
            copy.flush()
            os.fsync(copy.fileno())
        part.rename(target)
        _sync(target.parent)
    finally:
        part.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unavailable("read", path, error) from None


def _decoded(body: bytes) -> Manifest:
    try:
        return msgspec.json.decode(body, type=Manifest)
    except msgspec.DecodeError as error:
        raise _damaged(f"its manifest cannot be read: {error}") from None


def _damaged(what: str) -> Unavailable:
    return Unavailable(
        f"the backup is damaged: {what}.", code="backup_damaged", remedy="Make, or take, another one. Nothing was kept."
    )


def _unavailable(done: str, path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"the backup cannot be {done}: {error.strerror or error}.",
        code="disk_error",
        place=str(path),
        remedy="Make room and give this user the rights there.",
    )


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
