"""A run or task by its number, with the graph that it belongs to, if it is of the namespace that asks."""

from __future__ import annotations

from stoker.core.model import Run, Task
from stoker.engine.ports import Reader
from stoker.engine.versions import Version, Versions
from stoker.errors import NotFound

Named = tuple[str, int]  # a namespace: what people call it, and its number


async def run_of(reader: Reader, versions: Versions, namespace: Named, run: int) -> tuple[Run, Version]:
    name, number = namespace
    for found in await reader.runs([run]):
        if found.namespace == number:
            return found, await versions.get(reader, found.version)
    raise NotFound(
        f"the namespace {name!r} has no run {run}.",
        code="no_run",
        place=f"runs/{run}",
        remedy="`stoker runs list` lists them.",
    )


async def task_of(reader: Reader, versions: Versions, namespace: Named, task: int) -> tuple[Task, Run, Version]:
    """The task too if a re-run has replaced it."""
    name, number = namespace
    for found in await reader.tasks([task]) or await reader.past_tasks("past_tasks", [task]):
        (run,) = await reader.runs([found.run])
        if run.namespace == number:
            return found, run, await versions.get(reader, run.version)
    raise NotFound(
        f"the namespace {name!r} has no task {task}.",
        code="no_task",
        place=f"tasks/{task}",
        remedy="`stoker runs tasks RUN` lists those of a run.",
    )
