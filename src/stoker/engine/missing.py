"""Why a run that SUCCEEDED has no result: what became of the task that was to give it, or of the one before it."""

from __future__ import annotations

from msgspec import UNSET

from stoker.core.compiled import TRIGGER, Compiled, CompiledNode, binding_refs
from stoker.core.graph import Ref
from stoker.core.model import ItemKey, Task
from stoker.core.retriable import causes, named
from stoker.core.states import TaskState
from stoker.engine.ports import Reader

MANY = 100  # causes looked at
UNWELL = [int(state) for state in TaskState if state not in (TaskState.READY, TaskState.LEASED, TaskState.SUCCEEDED)]
_BECAUSE = {"condition": "a condition that does not hold", "pruned": "ways that gave nothing"}


async def missing(reader: Reader, run: int, graph: Compiled) -> str | None:
    """What pruned or skipped the first node of the result that has no item; None if each has one."""
    for leaf in binding_refs(graph.spec.result) if graph.spec.result else ():
        if isinstance(leaf, Ref) and not leaf.many and leaf.spared is UNSET:
            node = graph.place(leaf.node)
            if not await reader.items([ItemKey(run, node.index, b"", 0)]):
                return await _why(reader, run, graph, node)
    return None


async def _why(reader: Reader, run: int, graph: Compiled, node: CompiledNode) -> str:
    above = [node.index]
    while (parent := graph.nodes[above[-1]].parent) != TRIGGER:
        above.append(parent)
    there = {task.node: task for task in await reader.task_rows("tasks_at", run, b"", above)}
    for index in above:
        if index in there:
            told = await _told(reader, run, graph, there[index])
            start = f"{node.name!r} has no item" if index == node.index else f"nothing of {node.name!r} was made"
            return f"{start}: {told}"
    return f"nothing of {node.name!r} was made"


async def _told(reader: Reader, run: int, graph: Compiled, task: Task) -> str:
    """What became of a task, and by what."""
    node, what = graph.nodes[task.node], named(graph, task)
    if task.state is not TaskState.SKIPPED:
        rows = await reader.rows("last_attempt", task.id)
        message = rows[0][3] if rows and task.state is not TaskState.SUCCEEDED else ""
        return f"{what}: {message}" if message else what
    before = [each.index for each in graph.nodes if task.node in each.touches]
    found = await reader.task_rows("tasks_of", run, before, UNWELL, MANY) if before else []
    first = next(iter(causes(graph, node, task, found) or found), None)
    because = await _told(reader, run, graph, first) if first else _BECAUSE.get(task.code, f"its {task.code}")
    return f"{what}, because of {because}"
