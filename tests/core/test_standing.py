"""Where an attempt stands: the whole table, by state of the task and which of its attempts is asked for."""

from __future__ import annotations

import pytest

from stoker.core.holder import BY_ATTEMPT, had
from stoker.core.model import Run, Task
from stoker.core.standing import reason, standing_of
from stoker.core.states import Stopping, TaskState

OWN, BEATS = 1_000, None
TABLE = [
    # state, lease, run stops, attempts 0 to 4 of a task whose newest is the second
    (TaskState.LEASED, OWN, False, "unknown superseded . unknown unknown"),
    (TaskState.LEASED, OWN, True, "unknown superseded . unknown unknown"),
    (TaskState.LEASED, BEATS, False, "unknown superseded not_leased unknown unknown"),
    (TaskState.READY, OWN, False, "unknown superseded superseded not_leased unknown"),
    (TaskState.READY, BEATS, False, "unknown superseded superseded not_leased unknown"),
    (TaskState.READY, OWN, True, "unknown superseded run_closed run_closed unknown"),
    (TaskState.SUCCEEDED, OWN, False, "unknown superseded settled unknown unknown"),
    (TaskState.FAILED, OWN, False, "unknown superseded settled unknown unknown"),
    (TaskState.PRUNED, BEATS, True, "unknown superseded settled unknown unknown"),
    (TaskState.SKIPPED, BEATS, False, "unknown superseded settled unknown unknown"),
    (TaskState.CANCELLED, OWN, False, "unknown superseded run_closed unknown unknown"),
]


def task(state: TaskState, until: int | None, **more: int) -> Task:
    return Task(1, 1, 0, b"", state=state, attempt=2, until=until, **more)


@pytest.mark.parametrize(("state", "until", "stopping", "reasons"), TABLE)
def test_why_a_report_would_change_nothing(state: TaskState, until: int | None, stopping: bool, reasons: str) -> None:
    found = [reason(task(state, until), attempt, stopping=stopping) or "." for attempt in range(5)]
    assert found == reasons.split()


def test_every_state_is_in_the_table() -> None:
    assert {state for state, *_ in TABLE} == set(TaskState)


def test_what_is_unknown_tells_nothing_of_the_task() -> None:
    run = Run(1, 1, 1, stopping=Stopping.CANCEL)
    assert standing_of(task(TaskState.LEASED, OWN), run, 7).now is None
    told = standing_of(task(TaskState.LEASED, OWN, answer=-3), run, 2)
    assert (told.state, told.newest, told.stopping, told.heard) == (TaskState.LEASED, 2, True, True)


def test_the_newest_attempt_of_a_ready_task_is_that_which_its_next_claim_makes() -> None:
    assert standing_of(task(TaskState.READY, OWN), Run(1, 1, 1), 2).newest == 3


@pytest.mark.parametrize(("until", "holder", "holds"), [(OWN, BY_ATTEMPT, True), (OWN, 7, True), (BEATS, 7, True)])
def test_an_attempt_proves_its_own_lease_and_a_session_what_it_claimed(
    until: int | None, holder: int, holds: bool
) -> None:
    claimed = task(TaskState.LEASED, until, session=7)
    assert had(claimed, 2, holder) is holds
    assert not had(claimed, 1, holder)
    assert not had(claimed, 2, 8)
    assert not had(task(TaskState.LEASED, BEATS, session=7), 2, BY_ATTEMPT)
