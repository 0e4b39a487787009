"""Microseconds of Python per no-op task in the whole runner, with a server that costs (almost) nothing.

Run: python bench/runner_overhead.py [tasks] [batch]
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import sys
import threading
import time
from collections.abc import Sequence

import msgspec
import nodes

from stoker.core.graph import KindSpec
from stoker.core.protocol import (
    Assignment,
    ClaimAnswer,
    ClaimRequest,
    Receipt,
    ReportAnswer,
    ReportRequest,
)
from stoker.runner.runner import Runner

ACCEPTED = Receipt(status="accepted")


class Endless:
    """Gives as many tasks as are wanted, up to a total, and encodes and decodes as HTTP would."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.given = 0
        self.settled = 0
        self.number = 0
        self.requests = 0
        self.done = threading.Event()
        self.hold = asyncio.Event()

    def give(self, want: int) -> list[Assignment]:
        count = min(want, self.total - self.given)
        tasks = [
            Assignment(
                task=self.given + n + 1, attempt=1, run=1, node="noop", kind="noop", input=msgspec.Raw(b'{"x":1}')
            )
            for n in range(count)
        ]
        self.given += count
        self.number += bool(count)
        return tasks

    async def claim(self, _namespace: str, request: ClaimRequest) -> ClaimAnswer:
        tasks = self.give(request.want)
        if not tasks and request.wait_s:
            await self.hold.wait()
        body = msgspec.json.encode(ClaimAnswer(number=self.number if tasks else 0, tasks=tasks))
        return msgspec.json.decode(body, type=ClaimAnswer)

    async def report(self, _namespace: str, request: ReportRequest) -> ReportAnswer:
        msgspec.json.encode(request)
        self.requests += 1
        await asyncio.sleep(0)
        self.settled += len(request.reports)
        tasks = self.give(request.want)
        answer = ReportAnswer(
            receipts=[ACCEPTED] * len(request.reports), number=self.number if tasks else 0, tasks=tasks
        )
        if self.settled >= self.total:
            self.done.set()
        return msgspec.json.decode(msgspec.json.encode(answer), type=ReportAnswer)

    async def leave(self, namespace: str, session: str) -> None: ...

    async def put_kinds(self, namespace: str, kinds: Sequence[KindSpec]) -> None: ...

    async def close(self) -> None: ...


def measure(tasks: int, batch: int) -> tuple[float, float, float]:
    """Return microseconds of CPU and of wall time per task, and tasks per report."""
    server = Endless(tasks)
    runner = Runner([nodes.noop], transport=server, batch_size=batch, workers=4)  # type: ignore[arg-type]
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    runner.start_background()
    server.done.wait()
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    runner.stop(0)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu / tasks * 1e6, wall / tasks * 1e6, tasks / server.requests


def main() -> None:
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    for batch in [int(sys.argv[2])] if len(sys.argv) > 2 else [16, 64, 256]:
        runs = [measure(tasks, batch) for _ in range(3)]
        cpu, wall, gathered = (statistics.median(column) for column in zip(*runs, strict=True))
        print(
            f"batch {batch:4}: {cpu:6.1f} µs CPU, {wall:6.1f} µs wall per no-op task, {gathered:.1f} reports a request"
        )


if __name__ == "__main__":
    main()
