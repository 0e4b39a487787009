"""What a task and a run may become. The tables are the whole truth; the docs' diagrams are drawn from them.

::

                claim                   complete
     READY ────────────────▶ LEASED ─────────────▶ SUCCEEDED
       ▲  ▲  ◀── lost ────────┤ │ └─ prune ───────▶ PRUNED
       │  │  ─── revive ─────▶│ ├── fail ─────────▶ READY (retry, after a delay) or FAILED (spent)
       │  └─ requeue, release ┘ └── cancel ───────▶ CANCELLED        condition, join ──▶ SKIPPED
       └─ manual retry of FAILED, PRUNED, CANCELLED
"""

from __future__ import annotations

from enum import IntEnum


class TaskState(IntEnum):
    READY = 1
    LEASED = 2
    SUCCEEDED = 3
    FAILED = 4
    PRUNED = 5
    CANCELLED = 6
    SKIPPED = 7


class RunState(IntEnum):
    RUNNING = 1
    SUCCEEDED = 2
    FAILED = 3
    CANCELLED = 4


class Stopping(IntEnum):
    """Why a run is coming to its end before its tasks have: its cancel, or a failure where its graph stops at one."""

    NO = 0
    CANCEL = 1
    FAILURE = 2


class Verb(IntEnum):
    """What ended the last attempt of a task; kept on the task so that a repeated report is known as one."""

    NONE = 0
    COMPLETE = 1
    FAIL = 2
    REQUEUE = 3
    PRUNE = 4
    RELEASE = 5
    LOSE = 6
    CANCEL = 7
    TIMEOUT = 8


LIVE = frozenset({TaskState.READY, TaskState.LEASED})

MOVES: dict[TaskState, frozenset[TaskState]] = {
    TaskState.READY: frozenset(
        {TaskState.LEASED, TaskState.CANCELLED, TaskState.FAILED, TaskState.SUCCEEDED, TaskState.PRUNED}
    ),
    TaskState.LEASED: frozenset(
        {TaskState.READY, TaskState.SUCCEEDED, TaskState.FAILED, TaskState.PRUNED, TaskState.CANCELLED}
    ),
    TaskState.SUCCEEDED: frozenset(),
    TaskState.FAILED: frozenset({TaskState.READY}),
    TaskState.PRUNED: frozenset({TaskState.READY}),
    TaskState.CANCELLED: frozenset({TaskState.READY}),
    TaskState.SKIPPED: frozenset(),
}
"""READY reaches SUCCEEDED and PRUNED only through a revive: the report of a lost attempt that nobody claimed since."""

RUN_MOVES: dict[RunState, frozenset[RunState]] = {
    RunState.RUNNING: frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}),
    RunState.SUCCEEDED: frozenset({RunState.RUNNING}),
    RunState.FAILED: frozenset({RunState.RUNNING}),
    RunState.CANCELLED: frozenset({RunState.RUNNING}),
}


def check_move(before: TaskState, after: TaskState) -> None:
    """Refuse a move that the table does not know."""
    if after is not before and after not in MOVES[before]:
        raise AssertionError(f"a task that is {before.name} cannot become {after.name}")


def check_run_move(before: RunState, after: RunState) -> None:
    """Refuse a move that the table does not know."""
    if after not in RUN_MOVES[before]:
        raise AssertionError(f"a run that is {before.name} cannot become {after.name}")
