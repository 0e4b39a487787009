"""Forks: a new run that takes over what another one did before a node, and runs that node and what is below anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from stoker.core import fork
from stoker.core.compiled import Compiled
from stoker.core.fork import Forking, Start
from stoker.core.fork_views import ForkAnswer, ForkEdit, ForkRequest, RunsAgain
from stoker.core.model import PAYLOAD_INLINE, ItemKey, Run, Task
from stoker.core.picture import Body
from stoker.core.states import TaskState
from stoker.core.values import fields
from stoker.engine import acting
from stoker.engine.acting import Note
from stoker.engine.batch import Batches
from stoker.engine.ids import Ids
from stoker.engine.namespaces import Namespaces
from stoker.engine.ports import Blobs, Reader, Row, Store, Tx
from stoker.engine.shown import tags_of
from stoker.engine.start import check_size, check_tags
from stoker.engine.transaction import Batch, Verb
from stoker.engine.versions import Version, Versions
from stoker.errors import Conflict, Invalid, NotFound

_FAILED = (TaskState.FAILED, TaskState.PRUNED, TaskState.CANCELLED)


class Prepared(NamedTuple):
    """A fork that may be made. `edits`: items of tasks that are taken over, by their place."""

    start: Start
    plan: Forking
    inputs: bytes
    store: bytes
    edits: dict[ItemKey, Body]
    answer: ForkAnswer


class Fork(Verb):
    """Make the fork of a run that has ended. Carried out again, it takes the same id: if a run has it, it was done."""

    solo = True

    def __init__(self, run: int, version: Version, request: ForkRequest, edits: Sequence[Body], ids: Ids) -> None:
        self.runs = (run,)
        self._version = version
        self._request = request
        self._edits = edits
        self._ids = ids
        self._token = acting.token()
        self._made: ForkAnswer | None = None

    async def decide(self, tx: Tx, batch: Batch) -> ForkAnswer:
        if self.replays and self._made is not None and await tx.runs([self._made.run or 0]):
            return self._made
        origin = batch.fold.runs.get(self.runs[0])
        if origin is None or origin.namespace != self._version.namespace:  # it was deleted meanwhile
            raise _no_run(self.runs[0])
        ready = await prepared(tx, origin, self._version, self._request, self._edits)
        found = {
            way.parent.id: await self._bodies(tx, batch, way.parent, ready) for way in ready.plan.ways if way.parent
        }
        again = self._made.run if self.replays and self._made else None
        run = Run(
            id=again or self._ids.draw("run"),
            namespace=origin.namespace,
            version=origin.version,
            priority=origin.priority,
            weight=origin.weight,
            created_at=batch.fold.now,
            token=self._token,
        )
        ids = batch.fold.fork(
            run,
            self._version.graph,
            ready.plan,
            lambda task: found[task.id],
            ready.inputs,
            ready.store,
            reread=bool(ready.edits or self._request.inputs),
        )
        tags = {**(await tags_of(tx, [origin.id])).get(origin.id, {}), **self._request.tags}
        if tags:
            batch.fold.new_tags[run.id] = tags
        await _taken_over(tx, origin, run, ready, ids, self._request)
        self._made = msgspec.structs.replace(ready.answer, run=run.id)
        return self._made

    def note(self, answer: ForkAnswer) -> Note:
        return Note([f"run:{answer.run}"], {"of": f"run:{self.runs[0]}", "from": self._request.from_})

    @staticmethod
    async def _bodies(tx: Tx, batch: Batch, task: Task, ready: Prepared) -> list[Body]:
        items = await tx.items_below(task.run, task.node, task.branch)
        return [
            ready.edits[item.key] if item.key in ready.edits else batch.body(item)
            for item in items
            if item.key.branch == task.branch
        ]


async def _taken_over(
    tx: Tx, origin: Run, run: Run, ready: Prepared, ids: Mapping[int, int], request: ForkRequest
) -> None:
    """Copy the rows about tasks that are taken over; large items stay where they are, and are referred to."""
    done = [task for task in ready.plan.kept if task.state is TaskState.SUCCEEDED]
    failed = [task for task in ready.plan.kept if task.state in _FAILED]
    await tx.take_over(
        [(run.id, origin.id, task.node, task.branch) for task in done],
        [(run.id, ids[task.id], task.id) for task in failed],
        [_edit_row(run, key, body) for key, body in ready.edits.items()],
    )
    await tx.execute("insert_fork", run.id, origin.id, request.from_, request.branch or "")


def _edit_row(run: Run, key: ItemKey, body: Body) -> Row:
    return len(body.json), None if body.blob else body.json, body.blob, run.id, *key[1:]


async def prepared(reader: Reader, run: Run, version: Version, request: ForkRequest, edits: Sequence[Body]) -> Prepared:
    """What a fork would take over and run anew; all that can be refused is refused here."""
    graph = version.graph
    tasks = await reader.task_rows("run_tasks", run.id)
    start = fork.start(graph, run, tasks, request.from_, request.branch)
    rows, spreads = dict(await reader.run_join_rows(run.id)), await reader.run_spreads(run.id)
    plan = fork.plan(graph, run, tasks, rows, spreads, start)
    changed = {
        await _edited(reader, graph, start, plan, edit): body for edit, body in zip(request.edits, edits, strict=True)
    }
    given = {
        name: msgspec.Raw(value) for name, value in fields((await reader.run_inputs([run.id])).get(run.id, b"")).items()
    }
    body = version.input_body({**given, **request.inputs})
    check_size("inputs", body)
    answer = ForkAnswer(
        origin=run.id,
        node=request.from_,
        branch=request.branch,
        taken=len(plan.kept),
        again=_again(graph, plan),
        unaware=fork.unaware(graph, start, plan, {key.node for key in changed}, request.inputs),
    )
    store = (await reader.run_stores([run.id])).get(run.id, b"")
    return Prepared(start, plan, body, store, changed, answer)


async def _edited(reader: Reader, graph: Compiled, start: Start, plan: Forking, edit: ForkEdit) -> ItemKey:
    task = fork.edited(graph, start, plan.kept, edit.node, edit.branch)
    key = ItemKey(task.run, task.node, task.branch, edit.item)
    if not await reader.items([key]):
        raise Invalid(f"{edit.node!r} has no item {edit.item} there.", code="bad_edit", place=f"edit of {edit.node}")
    return key


def _again(graph: Compiled, plan: Forking) -> list[RunsAgain]:
    """What ran in the old run and will run again, in the order of the graph."""
    counts = Counter(task.node for task in plan.again if task.state is not TaskState.SKIPPED)
    return [
        RunsAgain(node=node.name, kind=node.spec.kind, tasks=counts[node.index])
        for node in graph.nodes
        if counts[node.index] and (node.held or not node.inline)
    ]


class Forks:
    """What callers do with forks."""

    def __init__(
        self, store: Store, namespaces: Namespaces, versions: Versions, batches: Batches, blobs: Blobs, ids: Ids
    ) -> None:
        self._store = store
        self._namespaces = namespaces
        self._versions = versions
        self._batches = batches
        self._blobs = blobs
        self._ids = ids

    async def fork(self, namespace: str, run: int, request: ForkRequest) -> ForkAnswer:
        """Make a fork, or (`dry_run`) only say what it would take over and run again."""
        check_tags(request.tags)
        found, version = await self._run(namespace, run)
        edits = [await self._body(version, edit) for edit in request.edits]
        if request.dry_run:
            ready = await self._store.read(lambda reader: prepared(reader, found, version, request, edits))
            return ready.answer
        answer: ForkAnswer = (await self._batches.submit(Fork(run, version, request, edits, self._ids))).value
        return answer

    async def _body(self, version: Version, edit: ForkEdit) -> Body:
        """The value of an edit, checked; a large one is put away first."""
        value = bytes(edit.value)
        node = version.graph.names.get(edit.node)
        if node is not None and (wrong := version.output_fault(node, [value])):
            raise Invalid(
                f"the value does not fit {edit.node!r}: {wrong}.", code="invalid_output", place=f"edit of {edit.node}"
            )
        if len(value) <= PAYLOAD_INLINE:
            return Body(value)
        return Body(value, (await self._blobs.write(_once(value))).key)

    async def _run(self, namespace: str, run: int) -> tuple[Run, Version]:
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> tuple[Run, Version] | None:
            for found in await reader.runs([run]):
                if found.namespace == number:
                    return found, await self._versions.get(reader, found.version)
            return None

        found = await self._store.read(find)
        if found is None:
            raise _no_run(run)
        if found[1].namespace != number:
            raise Conflict(
                f"run {run} was imported, and its graph {found[1].graph.spec.name!r} is not here.",
                code="imported",
                place=f"runs/{run}",
                remedy="Push that graph as it was then; or start a new run.",
            )
        return found


def _no_run(run: int) -> NotFound:
    return NotFound(f"there is no run {run} here.", code="no_run", place=f"runs/{run}")


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
