"""Tasks as the states of the wire: the attempts that others followed, the present one, and an item more or less.

One table says which task stands for which status; nothing here decides, and nothing is remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from stoker.api.dialects.exosphere.ids import StateId
from stoker.core.model import Run, Task
from stoker.core.overview import present
from stoker.core.states import RunState, TaskState
from stoker.engine.overview import End, Past

CREATED, QUEUED, EXECUTED = "CREATED", "QUEUED", "EXECUTED"
ERRORED, NEXT_CREATED_ERROR, SUCCESS = "ERRORED", "NEXT_CREATED_ERROR", "SUCCESS"
PRUNED, RETRY_CREATED = "PRUNED", "RETRY_CREATED"
SUMMARY = (CREATED, QUEUED, EXECUTED, ERRORED, NEXT_CREATED_ERROR, SUCCESS, PRUNED, RETRY_CREATED)
"""All that a summary has; EXECUTED and NEXT_CREATED_ERROR only for those who expect them."""

STATUS = {
    TaskState.READY: CREATED,
    TaskState.LEASED: QUEUED,
    TaskState.SUCCEEDED: SUCCESS,
    TaskState.FAILED: ERRORED,
    TaskState.PRUNED: PRUNED,
    TaskState.SKIPPED: PRUNED,
    TaskState.CANCELLED: ERRORED,
}
RUN_STATUS = {
    RunState.RUNNING: "PENDING",
    RunState.SUCCEEDED: "SUCCESS",
    RunState.FAILED: "FAILED",
    RunState.CANCELLED: "FAILED",
}

_CANCELLED = "cancelled"
_UNCONFIRMED = "cancelled, unconfirmed"
_SECOND = 1_000_000


class State(NamedTuple):
    """One state of a task."""

    id: StateId
    task: Task
    status: str
    error: str | None = None


def status(run: Run, state: TaskState) -> str:
    """How the present attempt of a task stands. What is still READY in a run that is stopping is cancelled."""
    return ERRORED if run.stopping and state is TaskState.READY else STATUS[state]


def states(run: Run, task: Task, past: Past, more: int) -> Iterator[State]:
    """All states of a task, oldest first. `more`: how many items it has beyond the first."""
    for attempt in past.followed(task):
        yield State(StateId(task.id, attempt), task, RETRY_CREATED, error_of(past.ends, attempt))
    yield State(StateId(task.id, present(task)), task, status(run, task.state), error(run, task, past))
    for item in range(1, more + 1):
        yield State(StateId(task.id, present(task), item), task, SUCCESS)


def own(run: Run, task: Task, past: Past, more: int, wanted: StateId) -> State | None:
    """The state of a task that an id names; None if it is none of its states, or none any more."""
    if wanted.item:
        found = task.state is TaskState.SUCCEEDED and wanted.attempt == present(task) and wanted.item <= more
        return State(wanted, task, SUCCESS) if found else None
    return next((state for state in states(run, task, past, 0) if state.id == wanted), None)


def error(run: Run, task: Task, past: Past) -> str | None:
    """Why the present attempt of a task is ERRORED; None if it is not."""
    if status(run, task.state) != ERRORED:
        return None
    if task.state is TaskState.FAILED:
        return error_of(past.ends, task.attempt) or task.code
    return _UNCONFIRMED if task.code == "unconfirmed" else _CANCELLED


def pruned(task: Task, past: Past) -> dict[str, Any]:
    """What a pruned state was ended with, or why a join, or what a condition turned away, never ran."""
    if task.state is TaskState.SKIPPED:
        return {"reason": task.code}
    said = next((end.message for end in reversed(past.ends) if end.outcome == "pruned"), "")
    if task.state is not TaskState.PRUNED or not said:
        return {}
    try:
        found = msgspec.json.decode(said)
    except msgspec.DecodeError:
        return {"reason": said}
    return found if isinstance(found, dict) else {"reason": said}


def error_of(ends: list[End], attempt: int) -> str | None:
    """What an attempt ended with, as it is shown."""
    return next((_said(end) for end in reversed(ends) if end.attempt == attempt), None)


def _said(end: End) -> str:
    """The end of a lease and of a time limit in the dialect's own words, all else as the worker said it."""
    if end.outcome not in ("lost", "timeout") or end.started_at is None:
        return end.message
    return f"{end.outcome}: no report in {round((end.ended_at - end.started_at) / _SECOND)} s"
