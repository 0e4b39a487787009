"""Where an attempt stands that a caller knows by task and attempt alone, and what became of a report on it.

The table is the whole truth of why a report changes nothing:

============================  ==========================================================================
``unknown``                   there is no such task here, or it never had that attempt
``superseded``                it was followed by another attempt, or will be: lost, failed, given back
``not_leased``                nobody has claimed it yet, or it is held in another way
``settled``                   the task ended with it
``run_closed``                the task, or its run, was cancelled
``invalid_output``            it was the report that broke a schema or a limit, and the attempt failed by that
============================  ==========================================================================
"""

from __future__ import annotations

from typing import Literal

import msgspec

from stoker.core.duration import Micros
from stoker.core.model import Run, Task
from stoker.core.states import Stopping, TaskState, Verb

Reason = Literal["", "unknown", "superseded", "not_leased", "settled", "run_closed", "invalid_output"]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, as asked for. `reason`: why a report on it changes nothing; empty: it is open, or was until now.

    `accepted`: this report was taken. `repeated`: it was taken before, and ended the attempt. `now`: its task as it is
    now; None where it is unknown. `stopping`: its run is being stopped. `message`: what is wrong with an output.
    """

    task: int
    attempt: int
    reason: Reason = ""
    accepted: bool = False
    repeated: bool = False
    now: Task | None = None
    stopping: bool = False
    message: str = ""

    @property
    def state(self) -> TaskState | None:
        return None if self.now is None else self.now.state

    @property
    def newest(self) -> int:
        """The attempt by which the task is known now: of a READY one, that which its next claim makes."""
        return 0 if self.now is None else self.now.attempt + (self.now.state is TaskState.READY)

    @property
    def retried(self) -> bool:
        """Whether its report failed the attempt, and another one follows."""
        return self.now is not None and self.now.state is TaskState.READY and self.now.ended is Verb.FAIL

    @property
    def due_at(self) -> Micros | None:
        """When a task that is offered again may be claimed; None: at once."""
        return None if self.now is None else self.now.due_at

    @property
    def heard(self) -> bool:
        """Whether the holder of the newest attempt was heard of since its claim."""
        return self.now is not None and self.now.answer < 0


def unknown(task: int, attempt: int) -> Standing:
    return Standing(task=task, attempt=attempt, reason="unknown")


def standing_of(task: Task, run: Run, attempt: int) -> Standing:
    """Where an attempt of this task stands."""
    stopping = run.stopping is not Stopping.NO
    why = reason(task, attempt, stopping=stopping)
    if why == "unknown":
        return unknown(task.id, attempt)
    return Standing(task=task.id, attempt=attempt, reason=why, now=task, stopping=stopping)


def reason(task: Task, attempt: int, *, stopping: bool = False) -> Reason:
    """Why a report on this attempt of a task would change nothing; empty: it is open, under a lease of its own."""
    if not 1 <= attempt <= task.attempt + (task.state is TaskState.READY):
        return "unknown"
    if attempt < task.attempt:
        return "superseded"
    match task.state:
        case TaskState.LEASED:
            return "" if task.until is not None else "not_leased"
        case TaskState.READY if stopping:
            return "run_closed"
        case TaskState.READY:
            return "superseded" if attempt == task.attempt else "not_leased"
        case TaskState.CANCELLED:
            return "run_closed"
        case _:
            return "settled"
