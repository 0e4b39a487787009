"""Who runs user code in a world: one attempt at a time, each until it waits. Fills the runner's port `Workers`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from stoker.core.duration import Micros
from stoker.core.protocol import Assignment, Report
from stoker.runner.execute import Kit, run, run_async
from stoker.runner.job import Job
from stoker.runner.mailbox import Mailbox
from stoker.testing import attempt
from stoker.testing.attempt import Attempt, Span
from stoker.testing.loop import HUSHED, VirtualLoop
from stoker.testing.strand import Killed, aside

Seen = Callable[[Assignment, Span], None]
"""Hears of user code: when it begins, and when it has ended."""


class VirtualWorkers:
    """`threads` plain nodes are at work at once; async ones as many as are held."""

    def __init__(
        self,
        loop: VirtualLoop,
        now: Callable[[], Micros],
        seen: Seen,
        threads: int,
        kit: Kit,
        mailbox: Mailbox,
    ) -> None:
        self._loop = loop
        self._now = now
        self._seen = seen
        self._free = threads
        self._kit = kit
        self._mailbox = mailbox
        self._waiting: deque[Job] = deque()
        self._running: dict[asyncio.Task[None], None] = {}
        self._closed = False

    def start(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            if job.work.is_async:
                self._begin(job, plain=False)
            else:
                self._waiting.append(job)
        self._next()

    def take_back(self, job: Job) -> bool:
        if job not in self._waiting:
            return False
        self._waiting.remove(job)
        return True

    def in_thread(self, job: Job) -> bool:
        return not job.work.is_async

    def close(self) -> None:
        """End all code where it waits; what it would have said is lost."""
        self._closed = True
        for task in self._running:
            task.cancel()

    def _next(self) -> None:
        while self._waiting and self._free and not self._closed:
            self._free -= 1
            self._begin(self._waiting.popleft(), plain=True)

    def _begin(self, job: Job, *, plain: bool) -> None:
        this = Attempt(job, self._now())
        context = self._kit.context.copy()
        context.run(HUSHED.set, False)
        context.run(attempt.enter, this)
        kit = replace(self._kit, context=context)
        task = self._loop.create_task(self._attempt(this, kit, plain=plain), context=context)
        self._running[task] = None
        task.add_done_callback(lambda _: self._running.pop(task))

    async def _attempt(self, this: Attempt, kit: Kit, *, plain: bool) -> None:
        job, task = this.job, asyncio.current_task()
        job.on_stop = lambda _grace_s: self._stop(this, None if plain else task)
        self._seen(job.assignment, Span(this.begun))
        reports: list[Report] = []
        try:
            reports = await (aside(lambda: run(job, kit)) if plain else run_async(job, kit))
        except Killed:
            return
        finally:
            self._seen(job.assignment, Span(this.begun, self._now()))
            self._free += plain
        if not self._closed:
            self._mailbox.put(reports)
            self._next()

    def _stop(self, this: Attempt, task: asyncio.Task[None] | None) -> None:
        this.stop()
        if task is not None and not task.done():
            this.job.context.known = True
            task.cancel()
