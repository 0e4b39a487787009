"""Where the nodes of a live run stand, from their rows and newest tasks."""

from __future__ import annotations

from stoker.core.compiled import Compiled, CompiledNode
from stoker.core.live import LiveNode, waits_for
from stoker.core.model import Task
from stoker.core.states import TaskState
from stoker.core.views import LiveNodeView
from stoker.engine.ports import Reader


async def nodes(reader: Reader, run: int, graph: Compiled) -> list[LiveNodeView]:
    """Every node of a live run, inputs last."""
    rows = {row.node: row for row in await reader.live_nodes([run])}
    newest = {task.id: task for task in await reader.tasks([row.task for row in rows.values() if row.task is not None])}
    outputs: dict[int, int] = {row[0]: row[1] for row in await reader.rows("current_outputs", run)}
    views = []
    for node in graph.nodes:
        row = rows[node.index]
        waits = waits_for(graph, node, rows) if row.task is None else ""
        views.append(_view(node, row, newest.get(row.task or 0), outputs.get(node.index), waits))
    return views


def reasons(views: list[LiveNodeView]) -> list[str]:
    """What `explain` says of the nodes of a live run besides their tasks."""
    dirty = [
        f"{view.node!r} is dirty: what it reads has changed; one more firing follows" for view in views if view.dirty
    ]
    idle = [f"{view.node!r} {view.waits_for}" for view in views if view.waits_for]
    return [*dirty, *idle] or ["it is live: every node is up to date, and waits for a change"]


def _view(node: CompiledNode, row: LiveNode, task: Task | None, output: int | None, waits: str) -> LiveNodeView:
    state = state_of(row, task)
    return LiveNodeView(
        node=node.name,
        kind=node.spec.kind,
        state=None if state is None else state.name,  # type: ignore[arg-type]  # the names of the enum are the literals of the view
        generation=row.generation,
        task=row.task,
        output=output,
        outputs=row.outputs,
        dirty=task is not None and row.dirty(task),
        status=row.status,
        waits_for=waits,
    )


def state_of(row: LiveNode, task: Task | None) -> TaskState | None:
    """An attempt that is being run has the word, then the node's last event; a cancel of the run makes none."""
    if task is not None and (task.state is TaskState.LEASED or row.state == TaskState.READY):
        return task.state
    return TaskState(row.state) if row.state else None
