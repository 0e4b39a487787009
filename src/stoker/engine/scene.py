"""How all nodes of a live run stand at one moment: their rows, newest tasks and current outputs."""

from __future__ import annotations

import msgspec

from stoker.core.compiled import CompiledNode
from stoker.core.live import LiveNode, waits_for
from stoker.core.model import Run, Task
from stoker.core.protocol import INLINE_INPUT
from stoker.core.states import TaskState
from stoker.core.views import OutputView
from stoker.engine.livestate import state_of
from stoker.engine.output_views import output_view
from stoker.engine.ports import Reader
from stoker.engine.shown import task_runners
from stoker.engine.versions import Version


class SceneNode(msgspec.Struct, frozen=True, kw_only=True):
    """`task`: the newest. `state`: None: nothing has happened yet. `status`: what was last said of it, or went wrong.

    `waits_for`: why it has not fired. `output`: the current one. `runner`: who has, or had, the newest task.
    """

    node: CompiledNode
    row: LiveNode
    task: Task | None
    state: TaskState | None
    status: str
    waits_for: str
    output: OutputView | None
    runner: str


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """`nodes`: by index."""

    run: Run
    version: Version
    nodes: list[SceneNode]

    @property
    def over(self) -> bool:
        """Whether nothing of the run changes any more."""
        return bool(self.run.stopping) or self.run.ended_at is not None


async def scene_of(reader: Reader, run: Run, version: Version) -> Scene:
    rows = {row.node: row for row in await reader.live_nodes([run.id])}
    tasks = await reader.tasks([row.task for row in rows.values() if row.task is not None])
    newest = {task.id: task for task in tasks}
    runners = await task_runners(reader, tasks)
    current = {node: row.current for node, row in rows.items() if row.current is not None}
    found = (
        await reader.rows("outputs_numbered", b"", run.id, list(current), sorted(set(current.values())))
        if current
        else []
    )
    outputs = {row[2]: output_view(version, row, INLINE_INPUT) for row in found if current[row[2]] == row[3]}
    nodes = []
    for node in version.graph.nodes:
        row = rows[node.index]
        task = newest.get(row.task or 0)
        state = state_of(row, task)
        status = row.status
        if state is TaskState.FAILED and not status and task is not None and task.state is TaskState.FAILED:
            status = next((row[3] for row in await reader.rows("last_attempt", task.id)), "")
        nodes.append(
            SceneNode(
                node=node,
                row=row,
                task=task,
                state=state,
                status=status,
                waits_for=waits_for(version.graph, node, rows) if row.task is None else "",
                output=outputs.get(node.index),
                runner="" if task is None else runners.get(task.session or 0, ""),
            )
        )
    return Scene(run=run, version=version, nodes=nodes)
