"""What the engine needs of an object store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Stored bytes. `key` is what `read` wants; `sha256` is hex."""

    key: str
    size: int
    sha256: str


class BlobStore(Protocol):
    """Every verb raises Unavailable if the store cannot be read or written, and NotFound if there is no such key."""

    async def write(self, chunks: AsyncIterator[bytes]) -> Blob:
        """Store the bytes; durable when this returns. If it raises, nothing is left behind."""
        ...

    def read(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Bytes [start, stop), in pieces."""
        ...

    async def exists(self, key: str) -> bool: ...

    async def size(self, key: str) -> int: ...

    def old(self, age_s: float) -> AsyncIterator[list[tuple[str, int]]]:
        """Keys and sizes of what was written so long ago, in parts."""
        ...

    async def sweep(self, keys: Sequence[str], age_s: float) -> list[str]:
        """Delete what was written so long ago, and not again meanwhile; gives which."""
        ...

    def scratch(self) -> AbstractAsyncContextManager[Path]:
        """A place for a file that is gone afterwards."""
        ...

    async def room(self) -> tuple[int, int]:
        """Bytes of the disk, and how many are free."""
        ...

    async def delete(self, key: str) -> None:
        """Remove the bytes; nothing happens if they are gone already."""
        ...
