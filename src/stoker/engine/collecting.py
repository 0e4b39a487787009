"""The collection of artifacts that nothing names, and of stored bytes that no row names; never of what is young.

While it looks, no run is hidden: so whoever copies a handle copies it from something that it sees. What an attempt
that still goes on has uploaded counts as young, however old. Bytes that are written again meanwhile are new files,
which the store of artifacts does not take.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec

from stoker.core.duration import SECOND, Micros
from stoker.core.upkeep_views import CollectionView
from stoker.engine import single
from stoker.engine.holds import BACKUP, COLLECT, COLLECTED, Hold, Holds, held
from stoker.engine.marking import Marking
from stoker.engine.ports import Blobs, Clock, Reader, Store, Tx
from stoker.errors import Conflict, StokerError

YOUNG_S = 24 * 3_600
SLICE = 500
EVERY: Micros = YOUNG_S * SECOND  # how often it begins by itself, where runs are deleted


class Collecting:
    """One collection at a time, in the background; `view` is how far it is, or what the last one did."""

    def __init__(self, store: Store, blobs: Blobs, clock: Clock, holds: Holds) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._holds = holds
        self._task: asyncio.Task[None] | None = None
        self.view = CollectionView()

    def start(self, *, dry_run: bool, namespaces: Sequence[int] | None = None) -> None:
        """Begin, unless one goes on. `namespaces`: whose artifacts; None: all."""
        if not self.running:
            self.view = CollectionView(running=True, dry_run=dry_run)
            self._task = asyncio.create_task(self._run(namespaces))

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    async def look(self, wait_s: float) -> CollectionView:
        """How far it is, once it has ended or the time is up."""
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task], timeout=wait_s)
        return self.view

    async def by_itself(self, namespaces: Sequence[int]) -> None:
        """Begin if none did for a day, on any server."""
        if not self.running and await self._holds.take(COLLECTED, EVERY):
            self.start(dry_run=False, namespaces=namespaces)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, namespaces: Sequence[int] | None) -> None:
        error = ""
        try:
            async with self._holds.holding(COLLECT, _others) as hold:
                await self._collect(hold, namespaces)
        except StokerError as wrong:
            error = str(wrong)
        finally:
            self._tell(running=False, error=error)

    async def _collect(self, hold: Hold, namespaces: Sequence[int] | None) -> None:
        before = await self._before()
        marking = Marking(self._store, self._blobs)
        async for looked in marking.pages():
            self._tell(looked=self.view.looked + looked)
            await hold.go_on()
        gone = await self._artifacts(hold, marking.marked, before, namespaces)
        await self._files(hold, gone)

    async def _before(self) -> Micros:
        """When an artifact must have been made at the latest to be old."""
        young = self._clock.now() - YOUNG_S * SECOND
        return min([young, *await self._store.read(lambda reader: reader.ids("oldest_claim"))])

    async def _artifacts(
        self, hold: Hold, marked: set[int], before: Micros, namespaces: Sequence[int] | None
    ) -> set[int]:
        """Delete the rows of artifacts that nothing names; gives which."""
        if namespaces is None:
            namespaces = [row[0] for row in await self._store.read(lambda reader: reader.rows("namespaces"))]
        gone: set[int] = set()
        after = 0
        while rows := await self._store.read(_old(after, before, namespaces)):
            after = rows[-1][0]
            sizes = {id_: size for id_, size in rows if id_ not in marked}
            await self._delete(hold, sorted(sizes), before)
            gone.update(sizes)
            self._tell(
                artifacts=self.view.artifacts + len(sizes),
                artifact_bytes=self.view.artifact_bytes + sum(sizes.values()),
            )
        return gone

    async def _delete(self, hold: Hold, ids: Sequence[int], before: Micros) -> None:
        async def delete(tx: Tx) -> None:
            await hold.check(tx)
            await self._check_backup(tx)
            if not self.view.dry_run:
                await tx.execute("delete_artifacts", list(ids), before)

        await single.transact(self._store, delete)

    async def _files(self, hold: Hold, gone: set[int]) -> None:
        """Delete stored bytes that nothing names. `gone`: artifacts that do not count."""
        async for found in self._blobs.old(YOUNG_S):
            for at in range(0, len(found), SLICE):
                sizes = dict(found[at : at + SLICE])
                await self._go_on(hold)
                keys = await self._unnamed(list(sizes), gone)
                swept = keys if self.view.dry_run else await self._blobs.sweep(keys, YOUNG_S)
                self._tell(
                    files=self.view.files + len(swept),
                    file_bytes=self.view.file_bytes + sum(sizes[key] for key in swept),
                )

    async def _go_on(self, hold: Hold) -> None:
        async def go_on(tx: Tx) -> None:
            await hold.check(tx)
            await self._check_backup(tx)

        await single.transact(self._store, go_on)

    async def _check_backup(self, tx: Tx) -> None:
        if not self.view.dry_run and await held(tx, BACKUP, self._clock.now()):
            raise Conflict(
                "a backup is being made, and no artifact is deleted meanwhile.",
                code="backup_going_on",
                remedy="Collect when it is done; what was deleted before stays deleted.",
            )

    async def _unnamed(self, keys: list[str], gone: set[int]) -> list[str]:
        async def find(reader: Reader) -> set[str]:
            named = {blob for blob, id_ in await reader.rows("blob_artifacts", keys) if id_ not in gone}
            return named | {row[0] for row in await reader.rows("blob_items", keys)}

        named = await self._store.read(find)
        return [key for key in keys if key not in named]

    def _tell(self, **changes: Any) -> None:
        self.view = msgspec.structs.replace(self.view, **changes)


def _old(after: int, before: Micros, namespaces: Sequence[int]) -> Any:
    return lambda reader: reader.rows("old_artifacts", after, before, list(namespaces), SLICE)


def _others() -> Conflict:
    return Conflict(
        "another server is collecting just now.", code="collecting", remedy="See what it did, or ask again later."
    )
