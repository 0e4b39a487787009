"""Inputs too large for the answer to a claim, streamed to whoever holds the attempt."""

from __future__ import annotations

from collections.abc import AsyncIterator

from stoker.core.live import Bound
from stoker.core.model import Task
from stoker.core.values import BadPath
from stoker.engine.batch import Batches
from stoker.engine.exchange import Unbound
from stoker.engine.inputs import Reading, Streaming, task_place
from stoker.engine.ports import Blobs, Store
from stoker.engine.versions import Version
from stoker.errors import Conflict, NotFound


class Large:
    """Puts the inputs of leased tasks together."""

    def __init__(self, store: Store, blobs: Blobs, batches: Batches) -> None:
        self._store = store
        self._blobs = blobs
        self._batches = batches

    async def input(self, task: Task, version: Version) -> AsyncIterator[bytes]:
        """The input of a leased task, as one streamed JSON object."""
        streaming = Streaming(Reading(self._store), self._blobs, version.graph)
        place = task_place(task, await self._reads(task) if version.graph.live else None)
        return self._bound(task, streaming.object(place, version.graph.nodes[task.node].spec.bind))

    async def _bound(self, task: Task, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Pass an input on. One that cannot be bound shows only here: it fails the attempt."""
        try:
            async for part in parts:
                yield part
        except BadPath as error:
            message = f"the inputs cannot be bound: {error}"
            await self._batches.submit(Unbound(task, message))
            raise Conflict(message, code="binding", place=f"tasks/{task.id}", remedy="Drop the task.") from None

    async def _reads(self, task: Task) -> Bound:
        """What an attempt of a live run reads, as long as it is that attempt which runs."""
        row = await self._store.read(lambda reader: reader.live_node_of(task.id, task.attempt, task.session or 0))
        if row is None:
            raise no_lease(task.id, task.attempt)
        return row.reads(task.attempt)


def no_lease(task: int, attempt: int) -> NotFound:
    return NotFound(
        f"this session holds no lease of task {task}, attempt {attempt}.",
        code="no_lease",
        remedy="The lease ended; drop the task.",
    )
