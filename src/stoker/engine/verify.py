"""Whether a run is what its rows and files say: all that can be computed anew is, and the first fault is told."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

import msgspec

from stoker.core.compiled import Compiled
from stoker.core.firing import is_bad, recount
from stoker.core.manifest import Content, Foot, link
from stoker.core.manifest_views import VerifyAnswer
from stoker.core.model import JoinKey, Run, StoredItem, Task
from stoker.core.spread import standing
from stoker.core.states import LIVE, RunState, TaskState
from stoker.core.values import fields
from stoker.engine.inputs import fetch
from stoker.engine.manifest import Ended, Manifests
from stoker.engine.ports import Blobs, Reader, Store
from stoker.engine.recorded import Recorded
from stoker.engine.shown import branch_of
from stoker.errors import Invalid, StokerError

COUNTED = (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.PRUNED, TaskState.CANCELLED, TaskState.SKIPPED)


class Unfit(Exception):
    """Something does not fit, at a place."""

    def __init__(self, place: str, fault: str) -> None:
        super().__init__(fault)
        self.place = place
        self.fault = fault


class Verifying:
    """Verifies runs that have ended."""

    def __init__(self, store: Store, manifests: Manifests, recorded: Recorded, blobs: Blobs) -> None:
        self._store = store
        self._manifests = manifests
        self._recorded = recorded
        self._blobs = blobs

    async def verify(self, namespace: str, run: int) -> VerifyAnswer:
        """Compute everything anew; the answer names the first thing that does not fit."""
        of = await self._manifests.ended(namespace, run)
        seen: Counter[str] = Counter()
        digest, fault, place = "", "", ""
        try:
            digest = await self._whole(of, seen)
        except Unfit as error:
            place, fault = error.place, error.fault
        except (StokerError, msgspec.DecodeError, UnicodeDecodeError) as error:
            place, fault = f"runs/{run}", f"it cannot be read: {error}"
        await self._manifests.check_same(namespace, of)
        return VerifyAnswer(
            fits=not fault,
            tasks=seen["tasks"],
            items=seen["items"],
            files=seen["files"],
            hash=digest,
            place=place,
            fault=fault,
        )

    async def _whole(self, of: Ended, seen: Counter[str]) -> str:
        await self._store.read(lambda reader: _version(reader, of))
        tasks = await self._store.read(lambda reader: _tables(reader, of))
        head = await self._manifests.head(of)
        for named in (*head.inputs, *head.store):
            await self._files(f"runs/{of.run.id}: {named.name}", named.value, seen)
        digest = link(head, "")[1]
        async for entry in self._manifests.entries(of):
            place = _place(entry.task, entry.node, entry.branch)
            for content in (*([entry.input] if entry.input else []), *entry.items):
                await self._files(place, content, seen)
            digest = link(entry, digest)[1]
            seen["tasks"] += 1
        for task in tasks:
            await self._items(of, task, seen)
        ((count,),) = await self._store.read(lambda reader: reader.rows("run_items", of.run.id))
        if count != seen["items"]:
            raise Unfit(f"runs/{of.run.id}", f"it has {count} items, of which its tasks gave {seen['items']}")
        return link(Foot(tasks=seen["tasks"]), digest)[1]

    async def _items(self, of: Ended, task: Task, seen: Counter[str]) -> None:
        node = of.graph.nodes[task.node]
        place = _place(task.id, node.name, branch_of(of.graph, task.node, task.branch))
        items = await self._recorded.gave(of.graph, task)
        if node.kind.items == "one" and len(items) != (task.state is TaskState.SUCCEEDED):
            raise Unfit(place, f"it is {task.state.name} and has {len(items)} items")
        bodies = [await self._body(place, item) for item in items]
        if not node.inline and (wrong := of.version.output_fault(task.node, bodies)):
            raise Unfit(place, f"its item does not fit its kind: {wrong}")
        seen["items"] += len(items)

    async def _body(self, place: str, item: StoredItem) -> bytes:
        body = await self._recorded.body(item)
        if len(body) != item.size:
            raise Unfit(place, f"its item {item.key.item} has {len(body)} bytes, and had {item.size}")
        if item.blob is not None and sha256(body).hexdigest() != item.blob:
            raise Unfit(place, f"the bytes of its item {item.key.item} are not those of the digest {item.blob}")
        return body

    async def _files(self, place: str, content: Content, seen: Counter[str]) -> None:
        for file in content.files:
            where = f"artifacts/{file.artifact}"
            try:
                body = await fetch(self._blobs, file.sha256)
            except StokerError as error:
                raise Unfit(where, f"its bytes, of {place}, cannot be read: {error.message}") from None
            if (len(body), sha256(body).hexdigest()) != (file.size, file.sha256):
                raise Unfit(where, f"its bytes, of {place}, are not the {file.size} of the digest {file.sha256}")
            seen["files"] += 1


def _place(task: int, node: str, branch: str) -> str:
    return f"tasks/{task} ({node}{f' at {branch}' if branch else ''})"


async def _version(reader: Reader, of: Ended) -> None:
    row = await reader.version(of.run.version)
    ((claimed,),) = await reader.rows("version_hash", of.run.version)
    assert row is not None
    if sha256(f"{row.spec}\n{row.kinds}".encode()).hexdigest() != claimed:
        place = f"graphs/{row.graph} v{row.number}"
        raise Unfit(place, f"the graph and its kinds are not those of its hash {claimed}")


async def _tables(reader: Reader, of: Ended) -> list[Task]:
    """The run's own rows, each against the tasks; gives those."""
    run, graph, place = of.run, of.graph, f"runs/{of.run.id}"
    tasks = await reader.task_rows("run_tasks", run.id)
    unmade = [task for row in await reader.run_spreads(run.id) for task in standing(row)]
    everything = [*tasks, *unmade]
    for body, check in (
        ((await reader.run_inputs([run.id])).get(run.id, b""), of.version.input_body),
        ((await reader.run_stores([run.id])).get(run.id, b""), of.version.store_body),
    ):
        try:
            check({name: msgspec.Raw(value) for name, value in fields(body).items()})
        except Invalid as error:
            raise Unfit(place, f"{error.message}: {'; '.join(map(str, error.problems))}") from None
    bad = sum(is_bad(task, tolerated=graph.nodes[task.node].spec.tolerated) for task in everything)
    alive = sum(task.state in LIVE for task in everything)
    for what, kept, found in (
        ("tasks", run.tasks, len(everything)),
        ("failures", run.failed, bad),
        ("tasks to be done", run.open, alive),
    ):
        if kept != found:
            raise Unfit(place, f"it counts {kept} {what}, and has {found}")
    if run.state is not RunState.CANCELLED and (run.state is RunState.FAILED) != bool(bad):
        raise Unfit(place, f"it is {run.state.name}, with {bad} failures")
    _places(graph, tasks)
    await _counts(reader, graph, run, everything)
    await _joins(reader, of, everything, place)
    return tasks


def _places(graph: Compiled, tasks: list[Task]) -> None:
    """Each task below the one that made it."""
    there = {task.id: task for task in tasks}
    for task in tasks:
        node = graph.nodes[task.node]
        place = _place(task.id, node.name, branch_of(graph, task.node, task.branch))
        above = there.get(task.parent or 0)
        if task.parent is not None and (
            above is None or above.node != node.parent or not task.branch.startswith(above.branch)
        ):
            raise Unfit(place, f"it does not stand below task {task.parent}, which made it")


async def _counts(reader: Reader, graph: Compiled, run: Run, tasks: list[Task]) -> None:
    states = Counter((task.node, task.state) for task in tasks)
    created = Counter(task.node for task in tasks)
    kept = {row[0]: tuple(row[1:]) for row in await reader.rows("node_counts", run.id)}
    for node in graph.nodes:
        found = (created[node.index], *(states[node.index, state] for state in COUNTED))
        if node.counted and any(found) and kept.get(node.index) != found:
            raise Unfit(f"runs/{run.id}, node {node.name}", f"its counts are {kept.get(node.index)}, not {found}")


async def _joins(reader: Reader, of: Ended, tasks: list[Task], place: str) -> None:
    if of.run.cancel_at is not None:
        return  # a run that was stopped leaves its counters as they were
    rows = dict(await reader.run_join_rows(of.run.id))
    try:
        counted = recount(of.graph, of.run.id, tasks, rows)
    except (KeyError, IndexError) as error:
        raise Unfit(place, f"the row of a join is missing: {error}") from None
    for key in sorted(rows):
        if counted[key] != rows[key]:
            raise Unfit(_join(of.graph, key), f"its counters are {_row(rows[key])}, not {_row(counted[key])}")


def _join(graph: Compiled, key: JoinKey) -> str:
    node = graph.nodes[key.join]
    at = branch_of(graph, node.parent, key.branch) if key.branch else ""
    return f"runs/{key.run}, join {node.name}{f' at {at}' if at else ''}"


def _row(row: object) -> str:
    return msgspec.json.encode(row).decode()
