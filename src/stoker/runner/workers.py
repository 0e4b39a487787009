"""Where user code runs: a pool of threads for sync nodes, one loop in a thread of its own for async ones.

An isolated node takes a thread of the pool, which watches over its process. Nothing here blocks the caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from threading import Lock, Thread

from stoker.runner import tracing
from stoker.runner.execute import Kit, run, run_async
from stoker.runner.feed import Feed
from stoker.runner.isolation import run_isolated
from stoker.runner.job import Job
from stoker.runner.mailbox import Mailbox
from stoker.runner.tracing import RunAsync, spanned, spanned_async
from stoker.runner.work import Work


class Workers:
    """`start`, `take_back` and `close` are called from the loop; outcomes go to the mailbox."""

    def __init__(self, works: Iterable[Work], threads: int, kit: Kit, mailbox: Mailbox) -> None:
        self._kit = kit
        self._mailbox = mailbox
        self._traced = tracing.wanted()
        self._async_works = {id(work) for work in works if work.is_async and not work.isolation}
        self._feed: Feed[Job | None] = Feed()
        self._threads = [Thread(target=self._work, name=f"stoker-worker-{n}", daemon=True) for n in range(threads)]
        self._async: AsyncWorker | None = None
        for thread in self._threads:
            thread.start()

    def start(self, jobs: Iterable[Job]) -> None:
        """Queue jobs for whoever runs their sort of work."""
        sync: list[Job] = []
        for job in jobs:
            if id(job.work) in self._async_works:
                self._async_worker().start(job)
            else:
                sync.append(job)
        if sync:
            self._feed.put(sync)

    def take_back(self, job: Job) -> bool:
        """Take a job out of the queue. False: it has begun (or is not here)."""
        return self._feed.remove(job)

    def in_thread(self, job: Job) -> bool:
        """Whether a job that runs occupies a thread of the pool."""
        return id(job.work) not in self._async_works

    def close(self) -> None:
        """Let idle threads end. One that runs user code goes on, and its outcome is lost."""
        self._feed.put([None] * len(self._threads))
        if self._async is not None:
            self._async.close()

    def _work(self) -> None:
        gate = Lock()
        gate.acquire()
        take, put, kit = self._feed.take, self._mailbox.put, self._kit
        plain, isolated = (spanned(run), spanned(run_isolated)) if self._traced else (run, run_isolated)
        while (job := take(gate)) is not None:
            put(isolated(job, kit) if job.work.isolation else plain(job, kit))
            del job  # what user code returned may be large, and the next task may be far

    def _async_worker(self) -> AsyncWorker:
        if self._async is None:
            run = spanned_async(run_async) if self._traced else run_async
            self._async = AsyncWorker(self._kit, self._mailbox, run)
        return self._async


class AsyncWorker:
    """The loop of user code. It may be blocked by a careless node; the runner's own loop is another one."""

    def __init__(self, kit: Kit, mailbox: Mailbox, run: RunAsync) -> None:
        self._kit = kit
        self._attempted = run
        self._mailbox = mailbox
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._run, name="stoker-async", daemon=True)
        self._thread.start()

    def start(self, job: Job) -> None:
        self._loop.call_soon_threadsafe(self._begin, job)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _begin(self, job: Job) -> None:
        """Start an attempt. One that was told to stop before this line sees so in its first step."""
        task = self._loop.create_task(self._attempt(job), context=self._kit.context.copy())
        job.on_stop = lambda grace_s: self._stop(job, task, grace_s)

    def _stop(self, job: Job, task: asyncio.Task[None], grace_s: float) -> None:
        try:
            self._loop.call_soon_threadsafe(self._cancel, job, task, grace_s)
        except RuntimeError:  # the loop is closed, and the task with it
            return

    def _cancel(self, job: Job, task: asyncio.Task[None], grace_s: float) -> None:
        """Cancel where the code waits; after half of the grace once more, for code that swallowed it."""
        if task.done():
            return
        job.context.known = True
        task.cancel()
        if grace_s:
            self._loop.call_later(grace_s / 2, task.cancel)

    async def _attempt(self, job: Job) -> None:
        self._mailbox.put(await self._attempted(job, self._kit))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._end_tasks()
        finally:
            self._loop.close()

    def _end_tasks(self) -> None:
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
