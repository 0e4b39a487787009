"""What is kept of attempts, beside what their tasks count: every failure and every loss has its row, and no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from stoker.core import retry
from stoker.core.compiled import CompiledNode
from stoker.core.model import Ended, Task
from stoker.core.states import TaskState
from stoker.selftest.look import Look, Rule

FAILURES = ("failed", "timeout", "expired")


def _attempts_end_once(look: Look) -> Iterator[str]:
    """One that was lost may come back, and end again; whatever else ends it is the end of it."""
    for task in look.of.tasks:
        rows = look.of.history.get(task.id, [])
        ends = Counter(row.attempt for row in rows if row.outcome not in ("lost", "exhausted"))
        for attempt, count in ends.items():
            if count > 1:
                yield f"{look.name(task)} has {count} ends of attempt {attempt}"
        if beyond := [row.attempt for row in rows if row.attempt > task.attempt]:
            yield f"{look.name(task)} had attempt {task.attempt} last, and there are ends of {beyond}"


def _failures_and_losses_are_on_record(look: Look) -> Iterator[str]:
    """A retry by hand forgives what was counted, and keeps what was recorded."""
    for task in look.of.tasks:
        if look.node(task).inline or task.claimed_at is None:
            continue
        rows = look.of.history.get(task.id, [])
        failed, lost = (sum(row.outcome in of for row in rows) for of in (FAILURES, ("lost",)))
        counted = lost if look.node(task).losses_are_failures else 0  # at most: a loss may have been taken back
        if task.failures > failed + counted or (task.failures != failed and not counted and not look.of.retried):
            yield f"{look.name(task)} counts {task.failures} failures, and {failed} are on record"
        if task.losses > lost:
            yield f"{look.name(task)} counts {task.losses} losses, and {lost} are on record"


def _the_last_attempt_ended_as_its_task_did(look: Look) -> Iterator[str]:
    for task in look.of.tasks:
        ends = [row for row in look.of.history.get(task.id, []) if row.attempt == task.attempt]
        outcomes = {row.outcome for row in ends}
        if task.state is TaskState.SUCCEEDED and outcomes - {"lost"}:
            yield f"{look.name(task)} SUCCEEDED by attempt {task.attempt}, which {outcomes} is on record of"
        elif task.state is TaskState.FAILED and not outcomes & {*FAILURES, "lost", "exhausted"}:
            yield f"{look.name(task)} FAILED by attempt {task.attempt}, and {outcomes or 'nothing'} is on record of it"


def _nothing_fails_before_its_retries_are_spent(look: Look) -> Iterator[str]:
    """Of a failure that its code reported nobody here knows whether it was to be retried."""
    for task in look.of.tasks:
        node, rows = look.node(task), look.of.history.get(task.id, [])
        if task.state is not TaskState.FAILED or not rows or task.claimed_at is None:
            continue
        match rows[-1].outcome:
            case "timeout" if task.failures < node.retry.attempts:
                yield f"{look.name(task)} took too long {task.failures} times; it has {node.retry.attempts} attempts"
            case "lost" if task.losses < node.max_losses and not _spent_by_losses(node, task):
                yield f"{look.name(task)} was lost {task.losses} times; it may be {node.max_losses} times"


def _spent_by_losses(node: CompiledNode, task: Task) -> bool:
    return node.losses_are_failures and task.failures >= node.retry.attempts


def _an_attempt_has_the_time_that_it_may_take(look: Look) -> Iterator[str]:
    for task in look.of.tasks:
        timeout = look.node(task).times.attempt
        for row in look.of.history.get(task.id, []):
            if row.outcome == "timeout" and (timeout is None or _took(row) < timeout):
                yield f"{look.name(task)}, attempt {row.attempt}: it was ended after {_took(row)} µs of {timeout}"


def _took(row: Ended) -> int:
    return row.ended_at - (row.started_at or 0)


def _a_retry_waits_as_long_as_it_should(look: Look) -> Iterator[str]:
    """Between an attempt that failed and the next one, both by the clock of one server."""
    for task in look.of.tasks if look.of.one_clock else ():
        policy, failures = look.node(task).retry, 0
        starts = _starts(task, look.of.history.get(task.id, []))
        for row in look.of.history.get(task.id, []) if not look.of.retried else ():
            failures += row.outcome in FAILURES
            pause = retry.delay(policy, failures, 0.0) if row.outcome in FAILURES else None
            begun = starts.get(row.attempt + 1)
            if pause is not None and begun is not None and begun < row.ended_at + pause:
                yield f"{look.name(task)} began again {begun - row.ended_at} µs after a failure, not {pause} µs"


def _starts(task: Task, rows: list[Ended]) -> dict[int, int]:
    """When attempts were claimed, as far as that is known. A task that ends unclaimed has an attempt nobody began."""
    found = {row.attempt: row.started_at for row in rows if row.started_at is not None and row.session is not None}
    if task.state is TaskState.SUCCEEDED and task.claimed_at is not None:
        found[task.attempt] = task.claimed_at
    return found


RULES: tuple[Rule, ...] = (
    _attempts_end_once,
    _failures_and_losses_are_on_record,
    _the_last_attempt_ended_as_its_task_did,
    _nothing_fails_before_its_retries_are_spent,
    _an_attempt_has_the_time_that_it_may_take,
    _a_retry_waits_as_long_as_it_should,
)
