"""Waits: tasks that stand until somebody settles them with a value, or with a failure."""

from __future__ import annotations

import msgspec

from stoker.core.graph import WAIT_KIND
from stoker.core.model import PAYLOAD_INLINE, ItemKey, Task
from stoker.core.names import text
from stoker.core.picture import Body
from stoker.core.states import TaskState
from stoker.core.views import Page, SettleRequest, TaskView
from stoker.engine.acting import Note
from stoker.engine.again import replaced
from stoker.engine.batch import Batches
from stoker.engine.namespaces import Namespaces
from stoker.engine.paging import LARGEST_PAGE, cursor, key, limited
from stoker.engine.ports import Reader, Store, Tx
from stoker.engine.shown import task_view
from stoker.engine.transaction import Batch, Verb
from stoker.engine.versions import Version, Versions
from stoker.engine.views import Views
from stoker.errors import Conflict, Invalid, NotFound, TooLarge

DECLINED = "declined"


class Settle(Verb):
    """Settle a wait. Repeated with the same decision it is answered as done."""

    def __init__(self, task: int, version: Version, body: Body | None, failure: str) -> None:
        self.tasks = (task,)
        self._version = version
        self._body = body
        self._failure = failure

    async def decide(self, tx: Tx, batch: Batch) -> None:
        fold, task = batch.fold, batch.fold.tasks.get(self.tasks[0])
        if task is None:
            raise await replaced(tx, self.tasks[0])
        if task.state is not TaskState.LEASED:
            if not await self._done(tx, batch, task):
                raise _settled(task)
        elif self._body is None:
            fold.fail_wait(task, self._failure, DECLINED)
        elif wrong := self._version.output_fault(task.node, [self._body.json]) or fold.unfit(task, self._body):
            raise _unfit(task, wrong)
        else:
            fold.settle_wait(task, self._body)

    def note(self, answer: None) -> Note:
        return Note([f"task:{self.tasks[0]}"], {"with": "failure" if self._body is None else "value"})

    async def _done(self, tx: Tx, batch: Batch, task: Task) -> bool:
        """Whether the wait was settled just so before."""
        if self._body is None:
            said = [row[3] for row in await tx.rows("last_attempt", task.id)]
            said += [ended.message for ended in batch.fold.history if ended.task == task.id]
            return task.state is TaskState.FAILED and said[-1:] == [self._failure]
        if task.state is not TaskState.SUCCEEDED:
            return False
        key = ItemKey(task.run, task.node, task.branch, 0)
        found = [item.body for item in batch.fold.items if item.key == key]
        found += [batch.body(item).json for item in await tx.items([key])]
        return bool(found) and msgspec.json.decode(found[0]) == msgspec.json.decode(self._body.json)


class Waits:
    """What people do with waits."""

    def __init__(
        self, store: Store, namespaces: Namespaces, versions: Versions, batches: Batches, views: Views
    ) -> None:
        self._store = store
        self._namespaces = namespaces
        self._versions = versions
        self._batches = batches
        self._views = views

    async def settle(self, namespace: str, task: int, request: SettleRequest) -> TaskView:
        """Settle a wait with a value or with a failure. Conflict if it was settled otherwise."""
        body = bytes(request.value) or None
        if (body is None) == (request.fail is None):
            raise Invalid("a wait is settled with a value or with a failure, one of the two.", code="bad_settle")
        if body is not None and len(body) > PAYLOAD_INLINE:
            raise TooLarge(
                f"the value has {len(body)} bytes; the limit is {PAYLOAD_INLINE}.",
                code="value_too_large",
                place="value",
                remedy="Upload large data as an artifact, and settle with its handle.",
            )
        found, version = await self._held(namespace, task)
        if version.graph.nodes[found.node].spec.wait is None:
            raise Conflict(
                f"task {task} is a task of {version.graph.nodes[found.node].name!r}, which is not a wait.",
                code="not_a_wait",
                remedy="`stoker runs waits` lists what can be settled.",
            )
        failure = text(request.fail or "") or DECLINED
        await self._batches.submit(Settle(task, version, None if body is None else Body(body), failure))
        return await self._views.task(namespace, task)

    async def open(self, namespace: str, *, run: int | None, limit: int, after: str | None) -> Page[TaskView]:
        """The waits that are to be settled, of one run or of all, oldest first."""
        number = await self._namespaces.existing(namespace)
        start, _ = cursor(after, (int, int)) if after else (0, 0)
        limit = limited(limit)
        if run is not None:
            await self._views.run(namespace, run)

        async def find(reader: Reader) -> Page[TaskView]:
            items: list[TaskView] = []
            last = start
            while found := await reader.task_rows("held_tasks", number, run, last, LARGEST_PAGE):
                versions = {each.id: each.version for each in await reader.runs({task.run for task in found})}
                for task in found:
                    graph = (await self._versions.get(reader, versions[task.run])).graph
                    if graph.nodes[task.node].spec.kind != WAIT_KIND:
                        continue
                    if len(items) == limit:
                        return Page(items=items, after=key(items[-1].id, 0))
                    items.append(task_view(graph, task, {}))
                last = found[-1].id
            return Page(items=items)

        return await self._store.read(find)

    async def _held(self, namespace: str, task: int) -> tuple[Task, Version]:
        """A task of a node whose tasks the engine holds itself."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> tuple[Task, Version] | None:
            for found in await reader.tasks([task]):
                (run,) = await reader.runs([found.run])
                if run.namespace == number:
                    return found, await self._versions.get(reader, run.version)
            return None

        found = await self._store.read(find)
        if found is None:
            raise NotFound(f"the namespace {namespace!r} has no task {task}.", code="no_task", place=f"tasks/{task}")
        if not found[1].graph.nodes[found[0].node].held:
            raise Conflict(
                f"task {task} is a task of {found[1].graph.nodes[found[0].node].name!r}, which runners run.",
                code="not_a_wait",
                remedy="`stoker runs waits` lists what can be settled.",
            )
        return found


def _settled(task: Task) -> Conflict:
    return Conflict(
        f"task {task.id} is {task.state.name} already, by another decision or without one.",
        code="already_settled",
        place=f"tasks/{task.id}",
        remedy=f"See `stoker explain task:{task.id}`.",
    )


def _unfit(task: Task, wrong: str) -> Invalid:
    return Invalid(
        f"the value does not fit what task {task.id} waits for: {wrong}.",
        code="invalid_value",
        place="value",
        remedy="Nothing was settled; send one that fits.",
    )
