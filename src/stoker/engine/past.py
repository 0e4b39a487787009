"""Tasks that a re-run has replaced: one of them, and pages of those of a run."""

from __future__ import annotations

from stoker.core.compiled import Compiled
from stoker.core.model import Task
from stoker.core.states import TaskState
from stoker.core.views import Page, TaskView
from stoker.engine.paging import cursor, key, limited
from stoker.engine.ports import Reader
from stoker.engine.shown import task_runners, task_view
from stoker.errors import Invalid, NotFound


async def replaced(reader: Reader, task: int) -> Task | None:
    """The task, if it belongs to the past."""
    return next(iter(await reader.past_tasks("past_tasks", [task])), None)


async def past_page(
    reader: Reader, run: int, graph: Compiled, state: str | None, node: str | None, limit: int, after: str | None
) -> Page[TaskView]:
    """The replaced tasks of a run, by node, branch and generation."""
    limit = limited(limit)
    if node is not None and node not in graph.names:
        known = ", ".join(map(repr, graph.names))
        raise NotFound(
            f"the graph of run {run} has no node {node!r}.", code="no_node", place="node", remedy=f"Its nodes: {known}."
        )
    at, branch, generation, id_ = cursor(after, (int, bytes, int, int)) if after else (-1, b"", 0, 0)
    wanted = None if state is None else int(TaskState[state]), None if node is None else graph.names[node]
    found = await reader.past_tasks("past_page", run, at, branch, generation, id_, *wanted, limit + 1)
    runners = await task_runners(reader, found[:limit])
    more = [key(task.node, task.branch, task.generation, task.id) for task in found[limit - 1 :]]
    return Page(
        items=[task_view(graph, task, runners, past=True) for task in found[:limit]],
        after=more[0] if len(more) > 1 else None,
    )


def unfiltered(text: str) -> None:
    """Refuse a filter of what has none."""
    if text.strip():
        raise Invalid(
            "tasks of the past are listed by `state` and `node` alone, not by a filter.",
            code="bad_filter",
            place="filter",
            remedy="Write them as flags: --state FAILED, --node parse.",
        )
