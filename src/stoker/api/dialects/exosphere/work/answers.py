"""What a report or a signal is answered: 200 always, with how the state stands now, and why nothing was changed."""

from __future__ import annotations

from typing import Any, Literal

from stoker.api.dialects.exosphere.states import STATUS
from stoker.core.standing import Reason, Standing
from stoker.core.states import TaskState

Sort = Literal["executed", "errored", "prune", "re-enqueue-after"]

ACCEPTED: dict[Sort, str] = {
    "executed": "EXECUTED",
    "errored": "ERRORED",
    "prune": "PRUNED",
    "re-enqueue-after": "CREATED",
}
_BY_REASON: dict[Reason, str] = {
    "unknown": "UNKNOWN",
    "superseded": "RETRY_CREATED",
    "run_closed": "ERRORED",
    "invalid_output": "ERRORED",
}


def answer(sort: Sort, standing: Standing) -> dict[str, Any]:
    """The reply to a report of this sort."""
    if standing.accepted:
        said: dict[str, Any] = {"status": ACCEPTED[sort]}
    else:
        said = {"status": status(standing), "accepted": False, "reason": standing.reason or "settled"}
    if sort == "errored" or standing.reason == "invalid_output":
        said["retry_created"] = standing.retried and (standing.accepted or standing.reason == "invalid_output")
    if sort in ("prune", "re-enqueue-after"):
        said["enqueue_after"] = due_ms(standing)
    return said


def status(standing: Standing) -> str:
    """The wire status of the state that was reported on, as it is now."""
    return _BY_REASON.get(standing.reason) or STATUS[standing.state or TaskState.READY]


def due_ms(standing: Standing) -> int:
    """When its task is, or was, due, in unix milliseconds; 0 of what is not known here."""
    task = standing.now
    if task is None:
        return 0
    return (task.due_at or task.created_at) // 1000
