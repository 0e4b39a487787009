"""A backup of an installation that works: the database as it is at one moment, then all stored bytes.

What is stored never changes, and nothing of it is deleted meanwhile (`holds`): so what comes after the snapshot has
everything that the snapshot names.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from stoker.core import tar
from stoker.core.backup import DATABASE, MANIFEST, Manifest
from stoker.core.duration import Micros
from stoker.engine.holds import BACKUP, HOLDS, Hold, Holds
from stoker.engine.ports import Blobs, Clock, Store
from stoker.errors import Conflict

PIECE = 1024 * 1024
AGAIN: Micros = HOLDS // 4
_EVERY_FILE = -10.0  # seconds old: also one of this very moment, by a coarse clock


class Backups:
    """Makes backups."""

    def __init__(self, store: Store, blobs: Blobs, clock: Clock, holds: Holds) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._holds = holds
        self._went_on: Micros = 0

    async def stream(self) -> AsyncIterator[bytes]:
        """A tar archive, whose last file says what it consists of. Conflict if one is just being made."""
        async with self._holds.holding(BACKUP, _others) as hold, self._blobs.scratch() as path:
            self._went_on = self._clock.now()
            await self._store.snapshot(path)
            digest, size = hashlib.sha256(), path.stat().st_size
            yield tar.header(DATABASE, size)
            async for piece in _pieces(path, size):
                digest.update(piece)
                yield piece
                await self._go_on(hold)
            yield tar.padding(size)
            files = total = 0
            async for part in self._blobs.old(_EVERY_FILE):
                for key, length in part:
                    yield tar.header(f"artifacts/{key[:2]}/{key}", length)
                    async for piece in self._blobs.read(key, 0, length):
                        yield piece
                        await self._go_on(hold)
                    yield tar.padding(length)
                    files, total = files + 1, total + length
            manifest = Manifest(
                made_at=self._clock.now(),
                database=digest.hexdigest(),
                database_bytes=size,
                files=files,
                file_bytes=total,
            )
            body = msgspec.json.encode(manifest)
            yield tar.header(MANIFEST, len(body)) + body + tar.padding(len(body)) + tar.END

    async def _go_on(self, hold: Hold) -> None:
        if self._clock.now() >= self._went_on + AGAIN:
            self._went_on = self._clock.now()
            await hold.go_on()


async def _pieces(path: Path, size: int) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while size > 0:
            piece = file.read(min(PIECE, size))
            size -= len(piece)
            yield piece


def _others() -> Conflict:
    return Conflict(
        "a backup is just being made.", code="backup_going_on", remedy="Wait for its end; then make the next one."
    )
