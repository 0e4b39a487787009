"""The thread that talks to the server: claims, reports, beats. User code never runs in it and cannot block it.

No policy is here: the session says what to send next and when; this sends it and brings back what came of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from threading import Event, Lock, Thread
from typing import Any

from stoker.core.protocol import ASIDE, GRACE_S, Assignment, Release
from stoker.errors import Forbidden, Invalid, StokerError, TooLarge, Unauthorized, Unavailable
from stoker.runner import outcome
from stoker.runner.backoff import Backoff
from stoker.runner.eventloop import new_loop
from stoker.runner.execute import kit_of
from stoker.runner.job import SPENT_AT, Job, Reason
from stoker.runner.journal import Journal
from stoker.runner.mailbox import Mailbox
from stoker.runner.outbox import Key
from stoker.runner.session import NEVER, ClaimCall, Effects, ReportCall, Session
from stoker.runner.surroundings import Surroundings
from stoker.runner.surroundings import Workers as WorkersPort
from stoker.runner.transport import Transport
from stoker.runner.work import Work

FLUSH_S = 5.0  # at the end, for the last reports to get their receipts
LEAVE_S = 2.0
LAST_S = 3.0  # past the grace of the runner: what the stages of a stop may take then
KILLED_S = 2.0  # for a killed process to be gone
SLACK_S = 2.0  # past the grace of a stop: then code that goes on is complained of

log = logging.getLogger("stoker.runner")


class Loop:
    """`start` returns at once; `stop` drains; `error` says why it ended by itself."""

    def __init__(
        self,
        session: Session,
        transport: Transport,
        namespace: str,
        works: dict[str, Work],
        threads: int,
        around: Surroundings | None = None,
    ) -> None:
        self._around = around or Surroundings()
        self._now, self._jitter = self._around.now, self._around.jitter
        self.error: StokerError | None = None
        self.ended = Event()
        self.serving = Event()
        self._session = session
        self._transport = transport
        self._namespace = namespace
        self._works = works
        self._jobs: dict[Key, Job] = {}
        self._fetches: dict[Key, asyncio.Task[None]] = {}  # of the jobs whose inputs are on the way
        self._stuck: dict[Key, Job] = {}  # told to stop, past their grace, and going on
        self._journals: dict[Journal, float] = {}  # those with something to say, and when it is due
        self._journal_lock = Lock()
        self._claims: dict[int, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._complained = False
        self._threads = threads
        self._thread = Thread(target=self._run, name="stoker-runner", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._mailbox: Mailbox
        self._workers: WorkersPort
        self._stopping: asyncio.Event = asyncio.Event()
        self._changed: asyncio.Event = asyncio.Event()
        self._grace_s = 0.0

    # called from other threads

    def start(self) -> None:
        self._loop = new_loop()
        self._thread.start()

    def stop(self, grace_s: float) -> None:
        """Begin to drain: no new work, `grace_s` for what runs, then it is released. `ended` tells when."""
        self._grace_s = grace_s
        try:
            self._loop.call_soon_threadsafe(self._stopping.set)
        except RuntimeError:  # it has ended by itself
            return

    def join(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)

    # without a thread

    async def serve(self) -> None:
        """Serve in the running loop until told to stop. Cancelled, it leaves as if it had been told so."""
        self._loop = asyncio.get_running_loop()
        await self._main()

    # the thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self.serve())
        except Exception as error:
            log.exception("the runner's loop failed")
            self.error = StokerError(f"the runner's loop failed: {error!r}")
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
            self.serving.set()
            self.ended.set()

    async def _main(self) -> None:
        access = self._around.access(self._transport, self._namespace, self._loop)
        self._mailbox = Mailbox(self._loop, self._collect)
        with kit_of(access) as kit:
            self._workers = self._around.workers(self._works.values(), self._threads, kit, self._mailbox)
            try:
                await self._register()
                self._pump()
                await self._stopping.wait()
                await self._drain()
            finally:
                self._workers.close()
                await self._close()
                access.close()

    async def _register(self) -> None:
        """Put the kinds; a server that is not there yet is waited for."""
        backoff = Backoff()
        while not self._stopping.is_set():
            try:
                await self._transport.put_kinds(self._namespace, [work.kind for work in self._works.values()])
            except Unavailable as error:
                self._complain(error)
                await self._pause(backoff.failed(self._jitter()))
            except (
                Forbidden
            ):  # a token that may only run: its kinds come with the graphs; the claim says if not even that
                self.serving.set()
                return
            except StokerError as error:
                self._die(error)
            else:
                self._recovered()
                self.serving.set()
                return

    # one pass

    def _pump(self) -> None:
        """Send whatever is due, and wake up when something will be."""
        now = self._now()
        while (claim := self._session.next_claim(now)) is not None:
            self._claims[id(claim)] = self._spawn(self._claim(claim))
        if (report := self._session.next_report(now)) is not None:
            self._spawn(self._report(report))
        self._sleep_until(min(self._session.due(), *self._journals.values(), NEVER))
        self._changed.set()

    def _sleep_until(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due != NEVER:
            self._timer = self._loop.call_later(max(0.0, due - self._now()) + 0.001, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._now()
        for journal in [journal for journal, due in self._journals.items() if due <= now]:
            for report in journal.flush(now):
                self._session.add(report)
            self._listen(journal, now)
        self._pump()

    def _listen(self, journal: Journal, now: float) -> None:
        due = journal.due(now)
        if due == NEVER:
            self._journals.pop(journal, None)
        else:
            self._journals[journal] = due

    def _collect(self) -> None:
        """Take what the workers put: outcomes, and journals that have something to say."""
        reports, journals = self._mailbox.take()
        for report in reports:
            if isinstance(report, ASIDE):
                self._session.add(report)
            else:
                self._forget((report.task, report.attempt))
                self._session.end(report)
        for journal in journals:
            self._listen(journal, self._now())
        self._pump()

    # calls

    async def _claim(self, call: ClaimCall) -> None:
        try:
            answer = await self._transport.claim(self._namespace, call.request)
        except StokerError as error:
            self._session.claim_failed(call, self._now(), self._jitter())
            self._failed(error)
        else:
            self._apply(self._session.claimed(call, answer, self._now()))
            self._recovered()
        finally:
            self._claims.pop(id(call), None)
        self._pump()

    async def _report(self, call: ReportCall) -> None:
        try:
            answer = await self._transport.report(self._namespace, call.request)
        except (Invalid, TooLarge) as error:  # a verdict on what was sent; every other error says nothing about it
            for line in self._session.report_rejected(call, str(error), self._now(), self._jitter()):
                log.error("%s", line)  # noqa: TRY400  the server's words say it all
        except StokerError as error:
            self._session.report_failed(call, self._now(), self._jitter())
            self._failed(error)
        else:
            self._apply(self._session.reported(call, answer, self._now()))
            self._recovered()
        self._pump()

    def _apply(self, effects: Effects) -> None:
        for line in effects.warnings:
            log.warning("%s", line)
        for call in effects.drop:
            if (task := self._claims.pop(id(call), None)) is not None:
                task.cancel()
        for stop in effects.stop:
            if (job := self._jobs.get((stop.task, stop.attempt))) is not None:
                self._stop(job, stop.reason, stop.grace_s)
        if effects.start:
            self._workers.start([job for task in effects.start if (job := self._accept(task)) is not None])

    # jobs

    def _accept(self, task: Assignment) -> Job | None:
        """Make the job of an assignment; None when it cannot start right now (its input is on the way) or at all."""
        work = self._works.get(task.kind)
        if work is None:
            log.error("task %d has kind %r, which this runner does not have; released", task.task, task.kind)
            self._session.end(Release(task=task.task, attempt=task.attempt))
            return None
        deadline = None if task.timeout_s is None else self._now() + task.timeout_s
        job = Job(task, work, Journal(task.task, task.attempt, self._mailbox, self._journal_lock), deadline, self._now)
        self._jobs[job.key] = job
        if task.timeout_s is not None:
            job.timer = self._loop.call_later(task.timeout_s, self._stop, job, "timeout", GRACE_S)
        if task.input_url:
            self._fetches[job.key] = self._spawn(self._fetch(job))
            return None
        return job

    async def _fetch(self, job: Job) -> None:
        """Get a large input, for as long as it takes; `_take_back` ends this."""
        backoff = Backoff()
        while True:
            try:
                job.input = await self._transport.input(job.assignment.input_url, self._session.secret)
            except Unavailable as error:
                self._complain(error)
                await asyncio.sleep(backoff.failed(self._jitter()))
            except StokerError as error:
                log.error("the input of task %d cannot be had (%s); released", job.assignment.task, error)  # noqa: TRY400
                self._fetches.pop(job.key, None)
                self._end(job, Release(task=job.key[0], attempt=job.key[1]))
                self._pump()
                return
            else:
                self._recovered()
                self._fetches.pop(job.key, None)
                self._workers.start([job])
                if self._session.paused:
                    self._give_back()
                    self._pump()
                return

    def _take_back(self, job: Job) -> bool:
        """Keep a job from being begun. False: it has."""
        fetch = self._fetches.pop(job.key, None)
        if fetch is None:
            return self._workers.take_back(job)
        fetch.cancel()
        return True

    def _stop(self, job: Job, reason: Reason, grace_s: float) -> None:
        taken_back = self._take_back(job)
        job.stop(reason, grace_s)
        if taken_back:
            self._end(job, outcome.stopped(job.key, reason))
            self._pump()
        elif job.watch is None:
            job.watch = self._loop.call_later(job.work.stop_grace_s + SLACK_S, self._overstays, job)

    def _overstays(self, job: Job) -> None:
        """Say that a job goes on although it was told to stop. Nothing here can end a thread or a coroutine."""
        self._stuck[job.key] = job
        log.warning(
            "task %d (%s) was told to stop (%s) and goes on; it keeps its slot until its code ends: %s",
            job.key[0],
            job.assignment.node,
            job.stopped,
            _remedy(job.work),
        )
        if len(self._blocked()) >= self._threads and not self._session.paused:
            self._pause_claims(self._blocked())

    def _blocked(self) -> list[Job]:
        """The stuck jobs that hold a thread."""
        return [job for job in self._stuck.values() if self._workers.in_thread(job)]

    def _pause_claims(self, stuck: list[Job]) -> None:
        """No thread is left: claim nothing, and give to others what waits for one."""
        log.error(
            "all %d workers are held by tasks that were told to stop and go on (%s): this runner takes no more work "
            "until one of them ends. Restart it to end them.",
            self._threads,
            ", ".join(f"{job.key[0]} {job.assignment.node}" for job in stuck),
        )
        self._session.paused = True
        self._give_back()
        self._pump()

    def _give_back(self) -> None:
        """Release what has not begun."""
        for job in list(self._jobs.values()):
            if self._take_back(job):
                self._end(job, Release(task=job.key[0], attempt=job.key[1]))

    def _end(self, job: Job, report: Any) -> None:
        self._forget(job.key)
        self._session.end(report)

    def _forget(self, key: Key) -> None:
        job = self._jobs.pop(key, None)
        if job is None:
            return
        for timer in (job.timer, job.watch):
            if timer is not None:
                timer.cancel()
        if self._stuck.pop(key, None) is not None and self._session.paused and len(self._blocked()) < self._threads:
            self._session.paused = False
            log.warning("a worker is free again; this runner takes work")
        self._journals.pop(job.journal, None)

    # the end

    async def _drain(self) -> None:
        """Finish what runs, release the rest, flush, leave."""
        self._session.drain()
        self._give_back()
        self._pump()
        if self.error is None:
            await self._until(lambda: not self._jobs or self.error is not None, self._grace_s)
        await self._stop_all()
        self._pump()
        if self.error is None:
            await self._until(lambda: self._session.idle or self.error is not None, FLUSH_S)

    async def _stop_all(self) -> None:
        """Past the grace: tell what runs to stop, in little time; release what goes on even so."""
        last_s = min(LAST_S, self._grace_s)
        for job in list(self._jobs.values()):
            self._stop(job, "shutdown", last_s / SPENT_AT)
        await self._until(lambda: not self._jobs, last_s)
        await self._until(lambda: not any(job.work.isolation for job in self._jobs.values()), KILLED_S)
        for job in list(self._jobs.values()):
            log.warning("task %d (%s) did not end within the grace; released", job.key[0], job.assignment.node)
            self._end(job, Release(task=job.key[0], attempt=job.key[1]))

    async def _until(self, fact: Any, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not fact():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._transport.leave(self._namespace, self._session.secret)
        except (StokerError, TimeoutError) as error:
            log.info("could not say goodbye: %s", error)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=LEAVE_S)
        await self._transport.close()

    # what fails

    def _failed(self, error: StokerError) -> None:
        if isinstance(error, Unauthorized | Forbidden):
            self._die(error)
        else:
            self._complain(error)

    def _die(self, error: StokerError) -> None:
        """End: asking again gives the same answer."""
        log.error("the runner stops: %s", error)
        self.error = error
        self._grace_s = 0.0
        self._stopping.set()
        self._changed.set()

    def _complain(self, error: StokerError) -> None:
        if not self._complained:
            self._complained = True
            log.warning("the server cannot be reached; trying again: %s", error)

    def _recovered(self) -> None:
        if self._complained and not self._session.failures:
            self._complained = False
            log.warning("the server is back")

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _spawn(self, call: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(call)
        self._tasks.add(task)
        task.add_done_callback(self._gone)
        return task

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a call of the runner failed", exc_info=error)
            self._die(StokerError(f"the runner failed: {error!r}"))


def _remedy(work: Work) -> str:
    if work.isolation:
        return "its process was killed and has not gone."
    if work.is_async:
        return "it swallowed asyncio.CancelledError; let that pass."
    return "a thread cannot be killed. Let it look at task.cancelled, or give the node isolation=True."
