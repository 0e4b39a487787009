"""Reports that wait to be sent, oldest first; a progress only in its newest form."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from stoker.core.protocol import Complete, Fail, Log, Output, Progress, Report

MOST_REPORTS = 512
MOST_BYTES = 4 * 1024 * 1024

Key = tuple[int, int]  # task, attempt


class Outbox:
    def __init__(self) -> None:
        self._waiting: deque[Report] = deque()
        self._progress: dict[Key, Progress] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting or self._progress)

    def add(self, report: Report) -> None:
        """Queue a report; a newer progress replaces one that still waits."""
        if isinstance(report, Progress):
            self._progress[report.task, report.attempt] = report
            return
        self._waiting.append(report)

    def end(self, report: Report) -> None:
        """Queue the outcome of an attempt; a progress that still waits is worth nothing now."""
        if self._progress:
            self._progress.pop((report.task, report.attempt), None)
        self._waiting.append(report)

    def put_back(self, reports: Iterable[Report]) -> None:
        """Queue again what was sent without an answer, before everything else."""
        for report in reversed(list(reports)):
            if isinstance(report, Progress):
                self._progress.setdefault((report.task, report.attempt), report)
            else:
                self._waiting.appendleft(report)

    def take(self, most: int = MOST_REPORTS) -> list[Report]:
        """Take the next batch: at most `most` reports and 4 MiB, and never nothing while something waits."""
        batch: list[Report] = []
        room = MOST_BYTES
        waiting = self._waiting
        while waiting and len(batch) < most:
            room -= _weight(waiting[0])
            if room < 0 and batch:
                return batch
            batch.append(waiting.popleft())
        while self._progress and len(batch) < most:
            batch.append(self._progress.pop(next(iter(self._progress))))
        return batch


def _weight(report: Report) -> int:
    """Estimate the bytes of a report on the wire, from above."""
    if isinstance(report, Complete):
        return 128 + sum(len(memoryview(item.value)) + 32 for item in report.items)
    if isinstance(report, Output):
        return 256 + len(memoryview(report.item.value))
    if isinstance(report, Log):
        return 128 + 6 * len(report.text)
    if isinstance(report, Fail):
        return 256 + 6 * (len(report.error.message) + len(report.error.traceback))
    return 4096
