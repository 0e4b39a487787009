"""Which artifacts are named by anything that is kept: a walk over every value, a page at a time.

Elements of tasks are parts of items, inputs or graphs, and are not looked at again. Items are read before those of the
past, since that is where they may move meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

from stoker.core.handles import OVERLAP, artifacts_in
from stoker.engine.ports import Blobs, Row, Store
from stoker.errors import NotFound

PAGE = 1_000


class Source(NamedTuple):
    """A statement that gives rows: a key, that of stored bytes, and bytes or text. `begin`: before the first key."""

    query: str
    begin: tuple[int | str | bytes, ...]


SOURCES = (
    Source("item_handles", (-1, 0, b"", 0)),
    Source("past_item_handles", (-1, 0, b"", 0, 0)),
    Source("run_input_handles", (-1,)),
    Source("run_store_handles", (-1,)),
    Source("schedule_handles", (-1,)),
    Source("version_handles", (-1,)),
    Source("document_handles", (-1, "", 0)),
)


class Marking:
    """`marked`: the artifacts that are named."""

    def __init__(self, store: Store, blobs: Blobs) -> None:
        self._store = store
        self._blobs = blobs
        self.marked: set[int] = set()

    async def pages(self) -> AsyncIterator[int]:
        """Walk; gives how many values each page had."""
        for source in SOURCES:
            after: tuple[int | str | bytes, ...] | None = source.begin
            while after is not None:
                rows = await self._page(source, after)
                for row in rows:
                    await self._mark(row)
                after = tuple(rows[-1][: len(source.begin)]) if len(rows) == PAGE else None
                yield len(rows)

    async def _page(self, source: Source, after: tuple[int | str | bytes, ...]) -> list[Row]:
        return await self._store.read(lambda reader: reader.rows(source.query, *after, PAGE))

    async def _mark(self, row: Row) -> None:
        blob, body = row[-2], row[-1]
        if body is not None:
            self.marked.update(artifacts_in(body.encode() if isinstance(body, str) else bytes(body)))
        if blob is not None:
            await self._mark_blob(blob)

    async def _mark_blob(self, key: str) -> None:
        """Large values, piece by piece. One that is lost names nothing any more."""
        rest = b""
        try:
            async for piece in self._blobs.read(key, 0, await self._blobs.size(key)):
                self.marked.update(artifacts_in(rest + piece))
                rest = (rest + piece)[-OVERLAP:]
        except NotFound:
            return
