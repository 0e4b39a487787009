"""Reads what the checker is given from the database of an installation that has been stopped.

Offline, not beside the servers: what they keep in memory must be in the database when they have ended, nothing moves
while it is read, and that the file opens again is part of the proof.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from stoker.bootstrap.opening import opened
from stoker.bootstrap.place import Place
from stoker.core.compiled import Compiled
from stoker.core.model import Ended, Run, StoredItem, Task
from stoker.engine.ports import Reader, Store
from stoker.engine.versions import Versions
from stoker.selftest.evidence import Bytes, Evidence, Span

LAST = 2**62
PAGE = 200

Executions = Mapping[int, Mapping[int, Mapping[int, Span]]]


async def evidence(
    place: Place, executions: Executions, retried: frozenset[int] = frozenset(), *, servers: int = 1
) -> AsyncIterator[Evidence]:
    """Every run in the database, newest first. `executions`: when user code was at work."""
    versions = Versions()
    async with opened(place) as store:
        async for run in _runs(store):
            gathering = _Gathering(place, versions, executions.get(run.id, {}), run)
            found = await store.read(gathering.look)
            yield replace(found, retried=run.id in retried, one_clock=servers == 1)


def executed(traces: Path) -> Executions:
    """What user code left behind: by run, task and attempt, when it was at work."""
    found: dict[int, dict[int, dict[int, Span]]] = defaultdict(lambda: defaultdict(dict))
    for line in traces.read_text().splitlines() if traces.exists() else []:
        what, *numbers = line.split()
        run, task, attempt, at = map(int, numbers)
        seen = found[run][task]
        seen[attempt] = Span(at) if what == "begun" else seen[attempt]._replace(ended=at)
    return found


async def _runs(store: Store) -> AsyncIterator[Run]:
    namespaces = await store.read(lambda reader: reader.rows("namespaces"))
    for namespace, _ in namespaces:
        before = (LAST, LAST)
        while page := await store.read(lambda reader: _page(reader, namespace, before)):  # noqa: B023 - runs at once
            for run in page:
                yield run
            before = (page[-1].created_at, page[-1].id)


async def _page(reader: Reader, namespace: int, before: tuple[int, int]) -> list[Run]:
    return await reader.run_rows("run_page", namespace, *before, PAGE)


class _Gathering:
    def __init__(self, place: Place, versions: Versions, seen: Mapping[int, Mapping[int, Span]], run: Run) -> None:
        self._place = place
        self._versions = versions
        self._seen = seen
        self._run = run

    async def look(self, reader: Reader) -> Evidence:
        graph = (await self._versions.get(reader, self._run.version)).graph
        items = await self._items(reader, graph)
        bodies = {item.key: self._body(item) for item in items}
        tasks = await reader.task_rows("run_tasks", self._run.id)
        named = {number for body in bodies.values() if body is not None for number in handles(body)}
        return Evidence(
            run=self._run,
            graph=graph,
            tasks=tasks,
            spreads=await reader.run_spreads(self._run.id),
            rows=dict(await reader.run_join_rows(self._run.id)),
            bodies=bodies,
            counts={row[0]: tuple(row[1:]) for row in await reader.rows("node_counts", self._run.id)},
            executions=self._seen,
            past=frozenset(await reader.ids("past_ids", self._run.id)),
            history=await self._history(reader, tasks),
            inputs=(await reader.run_inputs([self._run.id])).get(self._run.id, b"{}"),
            blobs={item.key: self._bytes(item.size, item.blob, item.blob) for item in items if item.blob},
            artifacts={number: await self._artifact(reader, number) for number in named},
        )

    async def _items(self, reader: Reader, graph: Compiled) -> list[StoredItem]:
        return [item for node in graph.nodes for item in await reader.items_below(self._run.id, node.index, b"")]

    async def _history(self, reader: Reader, tasks: list[Task]) -> Mapping[int, list[Ended]]:
        found: dict[int, list[Ended]] = defaultdict(list)
        for row in await reader.rows("attempts_of", [task.id for task in tasks]):
            task, attempt, outcome, code, message, session, started_at, ended_at = row
            found[task].append(
                Ended(
                    task=task,
                    run=self._run.id,
                    attempt=attempt,
                    outcome=outcome,
                    code=code,
                    message=message,
                    session=session,
                    started_at=started_at,
                    ended_at=ended_at,
                )
            )
        return found

    def _body(self, item: StoredItem) -> bytes | None:
        if item.blob is None:
            return None if item.body is None else bytes(item.body)
        try:
            return self._path(item.blob).read_bytes()
        except OSError:
            return None

    async def _artifact(self, reader: Reader, number: int) -> Bytes | None:
        for _, _, _, size, sha256, blob, _ in await reader.rows("artifact", number, self._run.namespace):
            return self._bytes(size, sha256, blob)
        return None

    def _bytes(self, size: int, sha256: str | None, blob: str) -> Bytes:
        path = self._path(blob)
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            return Bytes(size=size, sha256=sha256, found_size=path.stat().st_size, found_sha256=found)
        except OSError:
            return Bytes(size=size, sha256=sha256, found_size=None, found_sha256=None)

    def _path(self, key: str) -> Path:
        return self._place.artifacts / key[:2] / key


def handles(body: bytes) -> Iterator[int]:
    """The artifacts that an item names."""
    if b'"$artifact"' in body:
        yield from _handles(msgspec.json.decode(body))


def _handles(value: Any) -> Iterator[int]:
    match value:
        case {"$artifact": int(number)}:
            yield number
        case dict():
            for inner in value.values():
                yield from _handles(inner)
        case list():
            for inner in value:
                yield from _handles(inner)
        case _:
            pass
