"""What pruned, skipped or failed something: the tasks and their reasons, up to the first cause."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from stoker.core.branch import END, cut
from stoker.core.compiled import TRIGGER, Compiled, CompiledNode, binding_refs
from stoker.core.graph import Binding, Join, Ref
from stoker.core.model import ItemKey, Task
from stoker.core.states import TaskState
from stoker.core.template import Place, source
from stoker.engine.explain.phrases import FEW, condition_of, name_of
from stoker.engine.ports import Reader

DEEPEST = 20  # tasks of one chain of causes
_BROKEN = (TaskState.FAILED, TaskState.CANCELLED)
_EMPTY = (TaskState.PRUNED, TaskState.SKIPPED, *_BROKEN)


class Causes:
    """Looks for causes in one run."""

    def __init__(self, reader: Reader, run: int, graph: Compiled) -> None:
        self._reader = reader
        self._run = run
        self._graph = graph
        self.failures: list[Task] = []  # that were told

    async def of(self, task: Task, deep: int = 0) -> list[str]:
        """Why a task was SKIPPED; empty if it was not."""
        if task.state is not TaskState.SKIPPED:
            return []
        node = self._graph.nodes[task.node]
        reason, _, name = task.code.partition(": ")
        match reason:
            case "failed":
                found = await self._members(node, task.branch, _BROKEN, tolerated=False)
                found = found or await self._members(node, task.branch, (TaskState.SKIPPED,), code="failed")
                return await self._told("a task before this join did not succeed", found, deep)
            case "pruned":
                found = await self._members(node, task.branch, _EMPTY)
                return await self._told("every way to this join ended without an item", found, deep)
            case "input_missing":
                found = await self._missing(node, task.branch, name)
                return await self._told(f"its input {name!r} comes from a task that has no item", found, deep)
            case "condition":
                return [f"{condition_of(self._graph, task)} is false"]
            case _:
                return [task.code]

    async def of_binding(self, binding: Binding) -> list[str]:
        """Why what is bound at the run itself (its result) has no items."""
        told = []
        for key in _keys(self._graph, Place(self._run, TRIGGER, b""), [binding]):
            for task in await self._without_item(key):
                name = self._graph.nodes[key.node].name
                told.append(f"the result is made of {name!r}: {await self.chain(task)}")
        return told

    async def of_stop(self) -> list[str]:
        """Tasks that a stop of the run has CANCELLED, and that no retry of it brought back."""
        nodes = [node.index for node in self._graph.nodes if not node.spec.tolerated]
        return [await self.chain(task) for task in await self._tasks(nodes, b"", END, (TaskState.CANCELLED,))]

    async def chain(self, task: Task, deep: int = 0) -> str:
        """What became of a task, and since when that was so: the first cause comes last."""
        name, state = name_of(self._graph, task), task.state.name
        if task.state is TaskState.SKIPPED:
            why = (await self.of(task, deep + 1))[:1] if deep < DEEPEST else []
            return f"{name} was SKIPPED{''.join(f', since {reason}' for reason in why)}"
        message = await self.message(task)
        verb = "FAILED" if task.state is TaskState.FAILED else f"was {state}"
        self.failures += [task] if task.state in _BROKEN else []
        return f"{name} {verb}{f': {message}' if message else ''}"

    async def message(self, task: Task) -> str:
        """What the last attempt of a task left: `ValueError: bad line`, or its code and message."""
        for attempt, _, code, message, type_, *_ in await self._reader.rows("last_attempt", task.id):
            if attempt == task.attempt:
                return str(message) if task.state is TaskState.PRUNED else f"{type_ or code}: {message}"
        return task.code

    async def _told(self, what: str, tasks: Sequence[Task], deep: int) -> list[str]:
        """One sentence with the first cause; at the top, one more for each of the others."""
        if not tasks:
            return [what]
        if deep:
            return [f"{what}: {await self.chain(tasks[0], deep)}"]
        chains = [await self.chain(task, deep) for task in tasks]
        return [f"{what}: {chains[0]}", *chains[1:]]

    async def _members(
        self,
        node: CompiledNode,
        branch: bytes,
        states: Iterable[TaskState],
        *,
        code: str = "",
        tolerated: bool = True,
    ) -> list[Task]:
        """Members of a join in these states, the first that settled first."""
        nodes = [
            each.index
            for each in self._graph.nodes
            if (node.index in each.feeds or node.index in each.straight) and (tolerated or not each.spec.tolerated)
        ]
        above = cut(branch, self._graph.row_depth[node.index])
        return await self._tasks(nodes, above, above + END, states, code)

    async def _tasks(
        self, nodes: Sequence[int], begin: bytes, end: bytes, states: Iterable[TaskState], code: str = ""
    ) -> list[Task]:
        values = [int(state) for state in states]
        rows = await self._reader.task_rows("tasks_between", self._run, list(nodes), begin, end, values, code, FEW)
        return list(rows)

    async def _missing(self, node: CompiledNode, branch: bytes, name: str) -> list[Task]:
        """The tasks that an input of a node is bound to, and that have no item."""
        binding = node.spec.bind.get(name) or (node.spec.expand.over if node.spec.expand else None)
        if binding is None:
            return []
        keys = _keys(self._graph, Place(self._run, node.index, branch), [binding])
        return [task for key in keys for task in await self._without_item(key)]

    async def _without_item(self, key: ItemKey) -> list[Task]:
        """The task that has no item; if there never was one, the nearest before it that explains that."""
        wanted = [key.node]
        for _ in range(DEEPEST):
            lacking = []
            for node in wanted:
                branch = cut(key.branch, min(self._graph.nodes[node].depth, self._graph.nodes[key.node].depth))
                if await self._tasks([node], branch, branch + b"\0", (TaskState.SUCCEEDED,)):
                    continue
                if found := await self._tasks([node], branch, branch + END, _EMPTY):
                    return found[:1]
                lacking.append(node)
            wanted = [above for node in lacking for above in _above(self._graph.nodes[node])]
        return []


def _keys(graph: Compiled, place: Place, bindings: Iterable[Binding]) -> Iterator[ItemKey]:
    """The single items that bindings are made of."""
    for binding in bindings:
        for leaf in binding_refs(binding):
            if isinstance(leaf, Ref) and not leaf.many:
                found = source(graph, place, leaf)
                assert isinstance(found, ItemKey)
                yield found


def _above(node: CompiledNode) -> list[int]:
    """The nodes right before one."""
    if isinstance(node.spec.fire, Join):
        return list(node.of)
    return [node.parent] if node.parent != TRIGGER else []
