"""The command by which a task is offered again, or why there is none."""

from __future__ import annotations

from stoker.core import retriable
from stoker.core.compiled import Compiled
from stoker.core.model import Run, Task
from stoker.errors import Conflict

_NEVER = {"inline", "failed_as_made", "attempts_exhausted"}


def remedy(graph: Compiled, run: Run, task: Task) -> str:
    """What to do about a task that did not succeed."""
    try:
        retriable.check(graph, run, task, [task])
    except Conflict as refused:
        return refused.remedy
    return f"Mend the cause, then `stoker tasks retry {task.id}`, or `stoker runs retry {run.id}` for all that failed."


def may_go_on(graph: Compiled, run: Run, tasks: list[Task]) -> bool:
    """Whether a retry of an ended run would offer one of these tasks again."""
    return any(_code(graph, run, task) not in _NEVER for task in tasks)


def _code(graph: Compiled, run: Run, task: Task) -> str:
    try:
        retriable.check(graph, run, task, [task])
    except Conflict as refused:
        return refused.code
    return ""
