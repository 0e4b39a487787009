"""Rows as people are shown them: the views of runs and tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stoker.core.compiled import Compiled, text_of
from stoker.core.duration import Micros
from stoker.core.model import Run, Task
from stoker.core.states import RunState
from stoker.core.trace import trace_id
from stoker.core.views import RunView, TaskView
from stoker.engine.catalog import when
from stoker.engine.ports import Reader
from stoker.engine.sessions import runner_names


async def tags_of(reader: Reader, runs: list[int]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for run, name, value in await reader.rows("run_tags", runs):
        found.setdefault(run, {})[name] = value
    return found


async def task_runners(reader: Reader, tasks: list[Task]) -> dict[int, str]:
    """The names of the runners that have, or had, these tasks; by session."""
    return await runner_names(reader, {task.session for task in tasks if task.session is not None})


async def schedules_of(reader: Reader, runs: Sequence[Run]) -> dict[int, str]:
    """The names of the schedules that started some of these runs, by id."""
    ids = sorted({run.schedule for run in runs if run.schedule is not None})
    return {row[0]: row[1] for row in await reader.rows("schedule_names", ids)} if ids else {}


def run_view(
    namespace: str, run: Run, graph: str, version: int, tags: dict[str, str], schedule: str | None = None
) -> RunView:
    return RunView(
        id=run.id,
        namespace=namespace,
        graph=graph,
        version=version,
        state=RunState(run.state).name,  # type: ignore[arg-type]  # the names of the enum are the literals of the view
        stopping=bool(run.stopping) and run.state is RunState.RUNNING,
        priority=run.priority,
        weight=run.weight,
        created_at=when(run.created_at),
        ended_at=maybe(run.ended_at),
        tags=tags,
        root=run.root,
        parent=run.parent,
        schedule=schedule,
        scheduled_at=maybe(run.scheduled_at),
        trace=None if run.traceparent is None else trace_id(run.traceparent),
        token=run.token,
        tasks=run.tasks,
    )


def task_view(graph: Compiled, task: Task, runners: dict[int, str], *, past: bool = False) -> TaskView:
    node = graph.nodes[task.node]
    return TaskView(
        id=task.id,
        run=task.run,
        node=node.name,
        kind=node.spec.kind,
        branch=branch_of(graph, task.node, task.branch),
        generation=task.generation,
        state=task.state.name,  # type: ignore[arg-type]  # as above
        attempt=task.attempt,
        failures=task.failures,
        losses=task.losses,
        created_at=when(task.created_at),
        due_at=maybe(task.due_at),
        expires_at=maybe(task.expires_at),
        claimed_at=maybe(task.claimed_at),
        settled_at=maybe(task.settled_at),
        session=task.session,
        runner=runners.get(task.session or 0, ""),
        code=task.code,
        past=past,
    )


def branch_of(graph: Compiled, node: int, branch: bytes) -> str:
    """A task whose own expand could not be bound has no own step; it is shown without."""
    try:
        return text_of(graph, node, branch) if branch else ""
    except ValueError:
        return text_of(graph, graph.nodes[node].parent, branch)


def maybe(at: Micros | None) -> Any:
    return None if at is None else when(at)
