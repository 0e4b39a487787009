"""Manifests of runs, read from what is stored: line by line, so that a run of any size has one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from stoker.core.compiled import Compiled
from stoker.core.digest import digest
from stoker.core.manifest import (
    AttemptEntry,
    Content,
    Entry,
    FileEntry,
    Foot,
    Head,
    KindEntry,
    Named,
    artifacts_in,
    content_of,
    link,
)
from stoker.core.model import Run, Task
from stoker.core.own import OWN
from stoker.core.states import RunState
from stoker.core.topology import sequence
from stoker.core.values import BadPath, fields
from stoker.engine.namespaces import Namespaces
from stoker.engine.ports import Reader, Store
from stoker.engine.recorded import Recorded
from stoker.engine.shown import branch_of
from stoker.engine.versions import Version, Versions
from stoker.errors import Conflict, NotFound

PAGE = 200


class Ended(NamedTuple):
    """A run that has ended, with its version."""

    run: Run
    version: Version

    @property
    def graph(self) -> Compiled:
        return self.version.graph


class Manifests:
    """Reads manifests. Nothing is locked: of a run that has ended nothing changes, unless it is retried."""

    def __init__(self, store: Store, namespaces: Namespaces, versions: Versions, recorded: Recorded) -> None:
        self._store = store
        self._namespaces = namespaces
        self._versions = versions
        self._recorded = recorded

    async def lines(self, namespace: str, run: int) -> AsyncIterator[bytes]:
        """The manifest of a run that has ended, a line at a time."""
        return self._lines(namespace, await self.ended(namespace, run))

    async def _lines(self, namespace: str, of: Ended) -> AsyncIterator[bytes]:
        line, before = link(await self.head(of), "")
        yield line
        tasks = 0
        async for entry in self.entries(of):
            line, before = link(entry, before)
            yield line
            tasks += 1
        await self.check_same(namespace, of)
        yield link(Foot(tasks=tasks), before)[0]

    async def ended(self, namespace: str, run: int) -> Ended:
        """A run that has a manifest. Conflict: it has not ended, or never does by itself."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> Ended | None:
            for found in await reader.runs([run]):
                if found.namespace == number:
                    return Ended(found, await self._versions.get(reader, found.version))
            return None

        of = await self._store.read(find)
        if of is None:
            raise NotFound(f"the namespace {namespace!r} has no run {run}.", code="no_run", place=f"runs/{run}")
        if of.graph.live:
            raise Conflict(
                f"run {run} is live, and its nodes fire again and again: a manifest is of a run that comes to its end.",
                code="live_run",
                place=f"runs/{run}",
                remedy=f"`stoker runs outputs {run}` lists what it gave.",
            )
        if of.run.state is RunState.RUNNING:
            raise Conflict(
                f"run {run} is still running.", code="still_running", place=f"runs/{run}", remedy="Wait for its end."
            )
        return of

    async def check_same(self, namespace: str, of: Ended) -> None:
        """Refuse to say the last word on a run that was deleted or retried while it was read."""
        if (await self.ended(namespace, of.run.id)).run != of.run:
            raise Conflict(
                f"run {of.run.id} was retried while it was read.",
                code="run_changed",
                place=f"runs/{of.run.id}",
                remedy="Ask again.",
            )

    async def head(self, of: Ended) -> Head:
        """The run itself."""
        run = of.run

        async def find(reader: Reader) -> tuple[bytes, bytes, str, list[int]]:
            inputs = (await reader.run_inputs([run.id])).get(run.id, b"")
            store = (await reader.run_stores([run.id])).get(run.id, b"")
            ((graph_hash,),) = await reader.rows("version_hash", run.version)
            return inputs, store, graph_hash, [row[0] for row in await reader.rows("fork_of", run.id)]

        inputs, store, graph_hash, origin = await self._store.read(find)
        kinds = {node.kind.name: node.kind for node in of.graph.nodes if node.kind.name not in OWN}
        return Head(
            manifest=1,
            run=run.id,
            graph=of.graph.spec.name,
            version=of.version.number,
            graph_hash=graph_hash,
            kinds=[
                KindEntry(name=name, source_hash=kinds[name].source_hash, schemas=digest(kinds[name]).schema)
                for name in sorted(kinds)
            ],
            inputs=await self._named(of, fields(inputs)),
            store=await self._named(of, fields(store)),
            state=run.state.name,
            created_at=run.created_at,
            ended_at=run.ended_at or 0,
            fork=origin[0] if origin else None,
        )

    async def entries(self, of: Ended) -> AsyncIterator[Entry]:
        """Every task, node by node in the order of the graph, in branch order; those of the past behind."""
        for node in sequence(of.graph):
            async for task in self.tasks(of.run.id, node):
                yield await self.entry(of, task)
            async for task in self._past(of.run.id, node):
                yield await self.entry(of, task, past=True)

    async def tasks(self, run: int, node: int) -> AsyncIterator[Task]:
        """The tasks of a node that stand now, in branch order."""
        after = (b"", 0)
        while found := await self._store.read(
            lambda reader: reader.task_rows("node_tasks", run, node, *after, PAGE)  # noqa: B023 - runs at once
        ):
            for task in found:
                yield task
            after = (found[-1].branch, found[-1].id)

    async def _past(self, run: int, node: int) -> AsyncIterator[Task]:
        after: tuple[int, bytes, int, int] = (node, b"", -1, 0)
        while found := await self._store.read(
            lambda reader: reader.past_tasks("past_page", run, *after, None, node, PAGE)  # noqa: B023 - as above
        ):
            for task in found:
                yield task
            after = (node, found[-1].branch, found[-1].generation, found[-1].id)

    async def entry(self, of: Ended, task: Task, *, past: bool = False) -> Entry:
        """One task, with what it was given and gave."""
        node = of.graph.nodes[task.node]
        rows = await self._store.read(lambda reader: reader.rows("attempts", task.id))
        items = [
            await self.content(of.run.namespace, await self._recorded.body(item))
            for item in await self._recorded.gave(of.graph, task)
        ]
        return Entry(
            task=task.id,
            node=node.name,
            kind=node.spec.kind,
            branch=branch_of(of.graph, task.node, task.branch),
            generation=task.generation,
            state=task.state.name,
            attempt=task.attempt,
            failures=task.failures,
            losses=task.losses,
            code=task.code,
            claimed_at=task.claimed_at,
            settled_at=task.settled_at,
            input=await self._given(of, task),
            items=items,
            attempts=[
                AttemptEntry(attempt=row[0], outcome=row[1], code=row[2], message=row[3], type=row[4]) for row in rows
            ],
            past=past,
        )

    async def _given(self, of: Ended, task: Task) -> Content | None:
        """What a task was given; None: nobody ran it, or what it was to be given could not be had."""
        if not of.graph.nodes[task.node].spec.bind or task.claimed_at is None:
            return None
        try:
            body = b"".join([part async for part in await self._recorded.given(of.graph, task)])
        except BadPath:
            return None
        return await self.content(of.run.namespace, body)

    async def _named(self, of: Ended, values: Mapping[str, bytes]) -> list[Named]:
        return [Named(name=name, value=await self.content(of.run.namespace, values[name])) for name in sorted(values)]

    async def content(self, namespace: int, body: bytes) -> Content:
        """A value, with what is known of the files in it."""
        named = artifacts_in(body)
        return content_of(body, await self._files(namespace, named) if named else [])

    async def _files(self, namespace: int, named: Sequence[int]) -> list[FileEntry]:
        async def find(reader: Reader) -> list[FileEntry]:
            return [
                FileEntry(artifact=row[0], name=row[1], size=row[3], sha256=row[4])
                for artifact in named
                for row in await reader.rows("artifact", artifact, namespace)
            ]

        return await self._store.read(find)
