"""What happened in a run, as lines in the order in which it happened: the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from stoker.core.views import AttemptView, TaskView
from stoker.runner.api import Api

ENDED = ("SUCCEEDED", "FAILED", "PRUNED", "CANCELLED", "SKIPPED")


class Event(NamedTuple):
    """Something at a time, of a task or (0) of the world. `step` orders what happened to it at once."""

    at: datetime
    task: int
    step: int
    what: str

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S.%f}  {self.what}"


async def events(api: Api, run: int) -> list[Event]:
    """What is known of a run."""
    found: list[Event] = []
    after: str | None = None
    while True:
        page = await api.tasks(run, limit=1_000, after=after)
        for task in page.items:
            straight = task.state == "SUCCEEDED" and task.attempt <= 1 and not task.losses
            found += _events(task, [] if straight else await api.attempts(task.id))
        if (after := page.after) is None:
            return found


def _events(task: TaskView, attempts: list[AttemptView]) -> Iterator[Event]:
    """What is known of one task."""
    place = f"{task.node} {task.branch}" if task.branch else task.node
    told = [(task.created_at, "made"), *_ends(attempts)]
    if task.claimed_at is not None and task.attempt not in {each.attempt for each in attempts}:
        told.append((task.claimed_at, f"attempt {task.attempt} begins on {task.runner or 'the engine'}"))
    if task.settled_at is not None and task.state in ENDED:
        told.append((task.settled_at, task.state))
    for step, (at, what) in enumerate(told):
        yield Event(at, task.id, step, f"{place}: {what}")


def _ends(attempts: list[AttemptView]) -> Iterator[tuple[datetime, str]]:
    """The attempts that did not settle their task well."""
    for each in attempts:
        runner = f" on {each.runner}" if each.runner else ""
        if each.started_at is not None:
            yield each.started_at, f"attempt {each.attempt} begins{runner}"
        if each.ended_at is not None:
            why = f" ({each.code}: {each.message})" if each.code else ""
            yield each.ended_at, f"attempt {each.attempt} {each.outcome}{runner}{why}"
