"""What tasks were given and what they gave, as it was recorded: of any task, also of one that a re-run has replaced."""

from __future__ import annotations

from collections.abc import AsyncIterator

from stoker.core.compiled import Compiled
from stoker.core.duration import Micros
from stoker.core.model import Run, StoredItem, Task
from stoker.core.states import TaskState
from stoker.core.template import Place
from stoker.core.values import NULL, BadPath
from stoker.engine.inputs import Reading, Streaming, fetch, task_place
from stoker.engine.namespaces import Namespaces
from stoker.engine.ports import Blobs, Reader, Store
from stoker.engine.then import Then
from stoker.engine.versions import Version, Versions
from stoker.errors import Conflict, NotFound


class Recorded:
    """Inputs and items of tasks, read without locks and put together as they were for the runner."""

    def __init__(self, store: Store, namespaces: Namespaces, versions: Versions, blobs: Blobs) -> None:
        self._store = store
        self._namespaces = namespaces
        self._versions = versions
        self._blobs = blobs

    async def input(self, namespace: str, task: int, attempt: int | None = None) -> AsyncIterator[bytes]:
        """What an attempt of a task was given, or (READY) will be, as one JSON object. None: the newest attempt."""
        found, version = await self._task(namespace, task)
        if attempt is not None and not 1 <= attempt <= found.attempt:
            raise NotFound(
                f"task {task} has no attempt {attempt}; it has had {found.attempt}.",
                code="no_attempt",
                place=f"tasks/{task}",
                remedy="Leave out the attempt for the newest one.",
            )
        return self._bound(task, await self.given(version.graph, found, attempt))

    async def given(self, graph: Compiled, task: Task, attempt: int | None = None) -> AsyncIterator[bytes]:
        """The same of a task that is known. BadPath while it is read, where the inputs could not be bound."""
        at = await self._began(task, attempt)
        place = task_place(task)
        reading: Reading = Then(self._store, task, at)
        if graph.live:
            place, reading = await self._alive(place, task, attempt, at), Reading(self._store)
        return Streaming(reading, self._blobs, graph).object(place, graph.nodes[task.node].spec.bind)

    async def items(self, namespace: str, task: int) -> AsyncIterator[bytes]:
        """What a task settled with, as one JSON list; of a task of a live run, what its last attempt gave."""
        found, version = await self._task(namespace, task)
        return self._listed(await self.gave(version.graph, found))

    async def gave(self, graph: Compiled, task: Task) -> list[StoredItem]:
        """The items of a task that is known, in order."""
        return await self._store.read(lambda reader: gave(reader, graph, task))

    async def item(self, namespace: str, task: int, number: int) -> bytes | None:
        """The JSON of one item of a task, by its number; None if it has no such item."""
        found, _ = await self._task(namespace, task)
        place = (found.run, found.node, found.branch)
        rows = await self._store.read(lambda reader: reader.item_rows("one_item", *place, number))
        return await self.body(rows[0]) if rows else None

    async def body(self, item: StoredItem) -> bytes:
        """The JSON of an item, whatever its size."""
        return item.body or NULL if item.blob is None else await fetch(self._blobs, item.blob)

    # --- steps ---

    async def _listed(self, items: list[StoredItem]) -> AsyncIterator[bytes]:
        for number, item in enumerate(items):
            yield b"," if number else b"["
            yield await self.body(item)
        yield b"]" if items else b"[]"

    async def _began(self, task: Task, attempt: int | None) -> Micros | None:
        """When an attempt was claimed. None: it is still to come, or nobody claims it."""
        if attempt is None or attempt == task.attempt:
            return task.claimed_at if task.state is not TaskState.READY else None
        rows = await self._store.read(lambda reader: reader.rows("attempts", task.id))
        return next((row[7] for row in rows if row[0] == attempt), task.claimed_at)

    async def _alive(self, place: Place, task: Task, attempt: int | None, at: Micros | None) -> Place:
        """The place with what a task of a live run reads: as its row says; of an earlier firing, what was current."""

        async def find(reader: Reader) -> dict[int, int]:
            for row in await reader.live_nodes([task.run]):
                if row.task == task.id:
                    now = task.attempt + (task.state is TaskState.READY)
                    return dict(row.reads(attempt or now))
            return dict(map(tuple, await reader.rows("outputs_at", task.run, at or task.created_at)))

        return place._replace(bound=await self._store.read(find))

    @staticmethod
    async def _bound(task: int, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for part in parts:
                yield part
        except BadPath as error:
            raise Conflict(
                f"the inputs of task {task} cannot be bound: {error}.", code="binding", place=f"tasks/{task}"
            ) from None

    async def _task(self, namespace: str, task: int) -> tuple[Task, Version]:
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> tuple[Task, Run] | None:
            for found in await reader.tasks([task]) or await reader.past_tasks("past_tasks", [task]):
                for run in await reader.runs([found.run]):
                    if run.namespace == number:
                        return found, run
            return None

        found = await self._store.read(find)
        if found is None:
            raise NotFound(f"the namespace {namespace!r} has no task {task}.", code="no_task", place=f"tasks/{task}")
        version = found[1].version
        return found[0], await self._store.peek(lambda reader: self._versions.get(reader, version))


async def gave(reader: Reader, graph: Compiled, task: Task) -> list[StoredItem]:
    """The items of a task, in order: those that stand, those of the past, or the outputs of its last attempt."""
    if graph.live:
        return await reader.item_rows("outputs_of", b"", task.run, task.node, task.id, task.attempt)
    if task.state is not TaskState.SUCCEEDED:
        return []
    if not await reader.tasks([task.id]):
        return await reader.item_rows("past_items", task.run, task.node, task.branch, task.generation)
    found = await reader.items_below(task.run, task.node, task.branch)
    return [item for item in found if item.key.branch == task.branch]
