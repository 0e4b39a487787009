"""A run as a page of states: its tasks, the attempts of them that others followed, and their further items, counted.

A task stands with its present attempt: the last one, or, while it is READY, the one to come.
"""

from __future__ import annotations

import msgspec

from stoker.core.model import Run, Task
from stoker.core.states import RunState, TaskState

FOLLOWED = ("failed", "timeout", "lost", "expired", "exhausted")
"""How an attempt ended that is shown beside the one that followed it. One that was given back is not."""
FAILED = ("failed", "timeout")
"""How an attempt ended that counts as a failure for its retry policy."""
BAD = frozenset({TaskState.FAILED, TaskState.CANCELLED})


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many states a run has: that ended well, have not ended, ended badly, were followed by another attempt.

    Further items of a task count as ended well. READY tasks of a run that is stopping are as good as cancelled.
    """

    well: int
    live: int
    bad: int
    followed: int

    @property
    def total(self) -> int:
        return self.well + self.live + self.bad + self.followed


def present(task: Task) -> int:
    """The attempt that a task stands with."""
    return task.attempt + (task.state is TaskState.READY)


def counted(run: Run, *, more: int, followed: int, leased: int, tolerated: int) -> Counts:
    """The counts of a run, from what its row keeps and a few more numbers.

    `more`: items beyond the first of their tasks. `leased`: asked for only of a run that is stopping. `tolerated`:
    tasks that ended badly, which the row does not count.
    """
    live = leased if run.stopping else run.open
    bad = run.failed + tolerated + (run.open - live)
    return Counts(well=run.tasks - live - bad + more, live=live, bad=bad, followed=followed)


def outcome(run: Run, counts: Counts) -> RunState:
    """How a run stands for who looks at its states alone: RUNNING as long as one is live."""
    if counts.live or (run.state is RunState.RUNNING and not run.stopping):
        return RunState.RUNNING
    if run.state is RunState.CANCELLED or run.failed or (run.stopping and counts.bad):
        return RunState.FAILED
    return RunState.SUCCEEDED
