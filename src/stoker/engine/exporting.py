"""A run that has ended as one archive (`core/archive`): its tree, its versions, and all bytes that it names."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from stoker.core import archive, tar
from stoker.core.archive import Head, Listed, Manifest
from stoker.core.handles import OVERLAP, artifacts_in
from stoker.core.model import Run, Task
from stoker.core.protocol import RunnerInfo
from stoker.core.states import RunState
from stoker.engine.namespaces import Namespaces
from stoker.engine.ports import Blobs, Clock, Reader, Row, Store
from stoker.errors import Conflict, NotFound

PAGE = 500
HEAVY = 50  # rows of tables with values, which have up to a megabyte each

PAGES: dict[str, tuple[Any, ...]] = {
    "run_input": (),
    "run_store": (),
    "run_tag": ("",),
    "task": (-1, b"", -1),
    "past_task": (-1, b"", -1, 0),
    "item": (-1, b"", -1),
    "past_item": (-1, b"", -1, -1),
    "join_row": (-1, b""),
    "node_count": (-1,),
    "log": (0,),
    "live_node": (-1,),
    "output": (0,),
    "spread": (0,),
}
"""Where each table begins, by what follows the run in its order."""

ORDERS: dict[str, tuple[str, ...]] = {
    "run_tag": ("name",),
    "task": ("node", "branch", "generation"),
    "past_task": ("node", "branch", "generation", "id"),
    "item": ("node", "branch", "item"),
    "past_item": ("node", "branch", "generation", "item"),
    "join_row": ("node", "branch"),
    "node_count": ("node",),
    "log": ("id",),
    "live_node": ("node",),
    "output": ("id",),
    "spread": ("id",),
}


class Exporting:
    """Makes archives."""

    def __init__(self, store: Store, namespaces: Namespaces, blobs: Blobs, clock: Clock) -> None:
        self._store = store
        self._namespaces = namespaces
        self._blobs = blobs
        self._clock = clock

    async def stream(self, namespace: str, run: int) -> AsyncIterator[bytes]:
        """The archive of a run, piece by piece. Conflict if it still runs."""
        number = await self._namespaces.existing(namespace)
        before = await self._ended(namespace, number, run)
        head = Head(run=run, namespace=namespace, made_at=self._clock.now())
        writing = _Writing(self._store, self._blobs, number)
        async for piece in writing.stream(head):
            yield piece
        if await self._ended(namespace, number, run) != before:
            raise Conflict(
                f"run {run} was retried while it was exported.", code="run_changed", remedy="Export it again."
            )
        yield writing.manifest()

    async def _ended(self, namespace: str, number: int, run: int) -> Run:
        """A run that may be exported. Asked at the end too: one that was deleted meanwhile is not whole."""
        for found in await self._store.read(lambda reader: reader.runs([run])):
            if found.namespace != number:
                break
            if found.root is not None:
                raise Conflict(
                    f"run {run} is a child run of run {found.root}, and is exported with it.",
                    code="child_run",
                    remedy=f"Export run {found.root}.",
                )
            if found.state is RunState.RUNNING:
                raise Conflict(
                    f"run {run} is still running.", code="still_running", remedy="Wait for its end, or cancel it first."
                )
            return found
        raise NotFound(f"the namespace {namespace!r} has no run {run}.", code="no_run", place=f"runs/{run}")


class _Writing:
    """One archive. What rows name is noted on the way, and follows them."""

    def __init__(self, store: Store, blobs: Blobs, namespace: int) -> None:
        self._store = store
        self._blobs = blobs
        self._namespace = namespace
        self._listed: list[Listed] = []
        self._parts = 0
        self._keys: dict[str, None] = {}
        self._versions: set[int] = set()
        self._sessions: set[int] = set()
        self._artifacts: set[int] = set()

    async def stream(self, head: Head) -> AsyncIterator[bytes]:
        yield self._file(archive.HEAD, msgspec.json.encode(head))
        runs: list[int] = []
        async for page in self._runs(head.run):
            runs += [row[0] for row in page]
            yield self._part("run", page)
        for run in sorted(runs, key=lambda id_: id_ != head.run):
            async for table, page in self._tables(run):
                yield self._part(table, page)
        for key in self._keys:  # values that lie in files may name artifacts, too
            await self._note_blob(key)
        async for table, page in self._beside():
            yield self._part(table, page)
        for key in self._keys:
            async for piece in self._bytes(key):
                yield piece

    def manifest(self) -> bytes:
        """The last file, without which nobody takes the others."""
        body = msgspec.json.encode(Manifest(self._listed))
        return tar.header(archive.MANIFEST, len(body)) + body + tar.padding(len(body)) + tar.END

    # --- rows ---

    async def _runs(self, root: int) -> AsyncIterator[list[Row]]:
        after = 0
        while page := await self._read("export_run", root, after, PAGE):
            self._versions.update(row[1] for row in page)
            after = page[-1][0]
            yield page

    async def _tables(self, run: int) -> AsyncIterator[tuple[str, list[Row]]]:
        for table, begin in PAGES.items():
            columns = list(archive.RUNS[table])
            after: tuple[Any, ...] = begin
            size = HEAVY if "body" in columns else PAGE
            more = True
            while more:
                page = await self._read(f"export_{table}", run, *after, *([size] if begin else []))
                more = bool(begin) and len(page) == size
                if not page:
                    break
                after = tuple(page[-1][columns.index(name)] for name in ORDERS.get(table, ()))
                self._note(columns, page)
                if table == "past_task":
                    for row in page:
                        self._note_past(row[-1])
                yield table, page
                if table in ("task", "past_task"):
                    async for found in self._of_tasks([row[0] for row in page]):
                        yield found

    async def _of_tasks(self, tasks: list[int]) -> AsyncIterator[tuple[str, list[Row]]]:
        for table in ("attempt", "progress"):
            page = await self._read(f"export_{table}", tasks)
            if page:
                self._note(list(archive.RUNS[table]), page)
                yield table, page

    async def _beside(self) -> AsyncIterator[tuple[str, list[Row]]]:
        for version in sorted(self._versions):
            yield archive.VERSIONS, await self._read("export_version", version)
        for ids in _cut(sorted(self._sessions)):
            rows = await self._read("export_sessions", ids)
            yield archive.SESSIONS, [(id_, msgspec.json.decode(info, type=RunnerInfo).name) for id_, info in rows]
        for ids in _cut(sorted(self._artifacts)):
            rows = await self._read("export_artifacts", ids, self._namespace)
            self._keys.update(dict.fromkeys(row[4] for row in rows))
            yield archive.ARTIFACTS, rows

    async def _read(self, query: str, *parameters: Any) -> list[Row]:
        async def find(reader: Reader) -> list[Row]:
            return [tuple(row) for row in await reader.rows(query, *parameters)]

        return await self._store.read(find)

    # --- what they name ---

    def _note(self, columns: list[str], page: Sequence[Row]) -> None:
        for column, note in (("body", self._note_body), ("blob", self._note_key), ("session", self._sessions.add)):
            if column in columns:
                at = columns.index(column)
                for row in page:
                    if row[at] is not None:
                        note(row[at])

    def _note_past(self, body: bytes) -> None:
        if (session := msgspec.msgpack.decode(body, type=Task).session) is not None:
            self._sessions.add(session)

    def _note_body(self, body: bytes) -> None:
        self._artifacts.update(artifacts_in(bytes(body)))

    def _note_key(self, key: str) -> None:
        self._keys[key] = None

    async def _note_blob(self, key: str) -> None:
        rest = b""
        async for piece in self._blobs.read(key, 0, await self._blobs.size(key)):
            self._artifacts.update(artifacts_in(rest + piece))
            rest = (rest + piece)[-OVERLAP:]

    # --- files ---

    def _part(self, table: str, rows: list[Row]) -> bytes:
        self._parts += 1
        return self._file(archive.part_name(table, self._parts), msgspec.json.encode(rows))

    def _file(self, name: str, body: bytes) -> bytes:
        self._listed.append(Listed(name, len(body), hashlib.sha256(body).hexdigest()))
        return tar.header(name, len(body)) + body + tar.padding(len(body))

    async def _bytes(self, key: str) -> AsyncIterator[bytes]:
        size = await self._blobs.size(key)
        name = archive.bytes_name(key)
        self._listed.append(Listed(name, size, key))
        yield tar.header(name, size)
        async for piece in self._blobs.read(key, 0, size):
            yield piece
        yield tar.padding(size)


def _cut(ids: list[int]) -> list[list[int]]:
    return [ids[at : at + PAGE] for at in range(0, len(ids), PAGE)]
