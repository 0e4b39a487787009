"""One report on one attempt, decided: what becomes of it says a receipt, whoever holds the attempt."""

from __future__ import annotations

from typing import NamedTuple

from stoker.core.duration import micros
from stoker.core.model import Task
from stoker.core.names import text
from stoker.core.picture import Body
from stoker.core.protocol import (
    ABSENT,
    Complete,
    ErrorInfo,
    Fail,
    Log,
    Output,
    Progress,
    Prune,
    Receipt,
    Release,
    Report,
    Requeue,
)
from stoker.engine.transaction import Batch

LONGEST_DELAY_S = 3e7  # of a requeue; about a year
NOTES = (Progress, Log)  # which are put down, and decide nothing


class Reported(NamedTuple):
    """One report as it is decided: outputs fetched, or what is wrong with them."""

    report: Report
    bodies: list[Body]
    fault: str | None = None


def settle(batch: Batch, task: Task, entry: Reported, holder: int) -> Receipt:
    """Decide a report that is none of the `NOTES`. `holder`: a session, or `BY_ATTEMPT`."""
    fold, report = batch.fold, entry.report
    match report:
        case Complete():
            return _complete(batch, task, report, entry, holder)
        case Output():
            return _output(batch, task, report, entry, holder)
        case Fail(error=error):
            return fold.fail(task.id, report.attempt, holder, _clean(error), retryable=report.retryable)
        case Requeue(after_s=after):
            delay = micros(min(after, LONGEST_DELAY_S)) if after > 0 else 0
            return fold.requeue(task.id, report.attempt, holder, delay)
        case Prune(reason=reason, data=data):
            kept = text(reason) if data is ABSENT else bytes(data).decode()
            return fold.prune(task.id, report.attempt, holder, kept)
        case Release(stage=stage):
            return fold.release(task.id, report.attempt, holder, stage)
    raise AssertionError(report)


def _complete(batch: Batch, task: Task, report: Complete, entry: Reported, holder: int) -> Receipt:
    fault = _fault(batch, task, entry)
    if fault is None:
        return batch.fold.complete(task.id, report.attempt, holder, entry.bodies)
    error = ErrorInfo(code="invalid_output", message=fault)
    receipt = batch.fold.fail(task.id, report.attempt, holder, error, retryable=True)
    return Receipt(status="invalid", message=fault) if receipt.status == "accepted" else receipt


def _output(batch: Batch, task: Task, report: Output, entry: Reported, holder: int) -> Receipt:
    """An output of an attempt that goes on; a wrong one is not kept, and the attempt is not failed for it."""
    fault = _fault(batch, task, entry)
    if fault is not None:
        return Receipt(status="invalid", message=fault)
    number, (body,) = report.number, entry.bodies
    return batch.fold.item(task.id, report.attempt, holder, number, report.name, body)


def _fault(batch: Batch, task: Task, entry: Reported) -> str | None:
    version = batch.versions.known(batch.fold.runs[task.run].version)
    assert version is not None
    return entry.fault or version.output_fault(task.node, [body.json for body in entry.bodies])


def _clean(error: ErrorInfo) -> ErrorInfo:
    return ErrorInfo(
        message=text(error.message), code=text(error.code)[:200], type=text(error.type), traceback=text(error.traceback)
    )
