"""Copies every table of one database into another, and reads it back to see that it arrived.

What is copied streams through in batches, so memory does not grow with the database. Ids stay. Nothing here commits:
the target is one transaction, and its owner ends it.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from stoker.errors import Unavailable
from stoker.storage.shape import Table

Row = tuple[Any, ...]
ROWS = 2_000  # of one batch at most
SIZE = 8 * 1024 * 1024  # bytes of one, roughly


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A table that arrived. `digest`: SHA-256 in hex over its rows in the order of the key, the same on both sides."""

    table: str
    rows: int
    digest: str


class Source(Protocol):
    """A database that stands still: it gives the rows of a table in the order of its key."""

    def rows(self, table: Table) -> AsyncIterator[list[Row]]: ...


class Target(Source, Protocol):
    """An empty database in a transaction that has begun."""

    async def fill(self, table: Table, batches: AsyncIterator[list[Row]]) -> None:
        """Put the rows in, and the next id that the database itself gives out behind the largest one."""
        ...


class Digest:
    """Counts and hashes rows, in an encoding that says type and length of every value."""

    def __init__(self) -> None:
        self.rows = 0
        self._hash = hashlib.sha256()
        self._encode = msgspec.msgpack.Encoder().encode

    def add(self, batch: Sequence[Row]) -> None:
        self.rows += len(batch)
        for row in batch:
            self._hash.update(self._encode(row))

    @property
    def hex(self) -> str:
        return self._hash.hexdigest()

    async def passing(self, batches: AsyncIterator[list[Row]]) -> AsyncIterator[list[Row]]:
        """The same batches, seen on their way."""
        async for batch in batches:
            self.add(batch)
            yield batch


async def move(
    source: Source, target: Target, tables: Sequence[Table], moved: Callable[[Moved], None] = lambda _: None
) -> list[Moved]:
    """Copy the tables and compare. Unavailable if a table arrived otherwise than it left."""
    done = []
    for table in tables:
        done.append(await _move(source, target, table))
        moved(done[-1])
    return done


async def _move(source: Source, target: Target, table: Table) -> Moved:
    left, arrived = Digest(), Digest()
    await target.fill(table, left.passing(source.rows(table)))
    async for batch in target.rows(table):
        arrived.add(batch)
    if (left.rows, left.hex) != (arrived.rows, arrived.hex):
        raise Unavailable(
            f"{left.rows} rows of the table {table.name!r} were sent, with the SHA-256 {left.hex[:12]}…; "
            f"{arrived.rows} arrived, with {arrived.hex[:12]}…; nothing was kept.",
            code="move_differs",
            place=table.name,
            remedy="Check both disks, and move again.",
        )
    return Moved(table=table.name, rows=arrived.rows, digest=arrived.hex)
