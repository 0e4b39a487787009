"""What attempts say while they go on: progress, the newest of it, and chunks of their logs, as far as there is room."""

from __future__ import annotations

from collections.abc import Sequence

from stoker.core.holder import had
from stoker.core.log import Grown, keep
from stoker.core.names import text
from stoker.core.protocol import Log, Progress, Receipt, Report
from stoker.engine.ports import LogRow, ProgressRow, Tx
from stoker.engine.transaction import Batch

LAST_CHUNK = 2**53  # of a log

_ACCEPTED = Receipt(status="accepted")
_STALE = Receipt(status="stale", message="this attempt is no longer current")


async def note(tx: Tx, batch: Batch, session: int, reports: Sequence[Report]) -> list[Receipt]:
    """Put down progress and logs, where the attempt is current or was this session's last; a receipt for each."""
    receipts = [_receipt(batch, session, report) for report in reports]
    taken = [report for report, receipt in zip(reports, receipts, strict=True) if receipt is _ACCEPTED]
    runs = {report.task: batch.fold.tasks[report.task].run for report in taken}
    await tx.put_progress(
        [
            ProgressRow(said.task, runs[said.task], said.attempt, _fraction(said.fraction), text(said.message))
            for said in taken
            if isinstance(said, Progress)
        ]
    )
    await _log(tx, batch, runs, [said for said in taken if isinstance(said, Log)])
    return receipts


def _receipt(batch: Batch, session: int, report: Report) -> Receipt:
    task = batch.fold.tasks.get(report.task)
    if task is None or not had(task, report.attempt, session):
        return _STALE
    if isinstance(report, Log) and not 0 <= report.seq <= LAST_CHUNK:
        return Receipt(status="refused", message=f"no chunk of a log has the number {report.seq}")
    return _ACCEPTED


async def _log(tx: Tx, batch: Batch, runs: dict[int, int], logs: Sequence[Log]) -> None:
    if not logs:
        return
    found = await tx.execute("logs_grown", sorted({log.task for log in logs}))
    grown = {task: Grown(*rest) for task, *rest in found}
    rows = []
    for log in logs:
        kept, grown[log.task] = keep(log.text, log.attempt, log.seq, grown.get(log.task, Grown()))
        if kept:
            place = (runs[log.task], log.task, log.attempt, log.seq, log.stream)
            rows.append(LogRow(*place, batch.fold.now, kept, grown[log.task].total))
            batch.logged.add((runs[log.task], log.task))
    await tx.insert_logs(rows)


def _fraction(fraction: float | None) -> float | None:
    return None if fraction is None else min(max(fraction, 0.0), 1.0)
