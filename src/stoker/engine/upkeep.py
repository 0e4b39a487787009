"""What time does: leases end, delays pass, attempts take too long, runs are swept, fan-outs spread, schedules fire,
runs are deleted.

Each pass is idempotent: it looks without locks for what may be due, and the verb checks again under the lock. Any
server may run them at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from stoker.core.duration import SECOND, Micros
from stoker.core.model import GRACE, LEASE
from stoker.core.states import TaskState
from stoker.engine.alarm import NEVER, Alarm
from stoker.engine.audit import Audit
from stoker.engine.batch import Batches
from stoker.engine.gates import Gates
from stoker.engine.ids import Ids
from stoker.engine.known import Keys
from stoker.engine.peers import Peers
from stoker.engine.ports import Clock, Lease, Reader, Store, Tx
from stoker.engine.retention import Retention
from stoker.engine.sessions import Session, Sessions
from stoker.engine.transaction import Batch, Verb
from stoker.errors import Unavailable

SLICE = 500  # tasks of one pass; a full slice is followed by another pass at once
ROWS = 8  # spread rows of one pass, each of up to 1,000 tasks
LONGEST_SLEEP: Micros = 30 * SECOND
SHARED_SLEEP: Micros = 10 * SECOND  # what another server has begun to promise is seen well before it ends
SHORTEST_SLEEP: Micros = 10_000
CONNECTED_FOR: Micros = 60 * SECOND  # how long the row of a connected runner without leases is good for
PRESENT: Micros = CONNECTED_FOR // 2
SLOW: Micros = 2 * SECOND  # a look that takes longer has waited for a database that was away


class Lose(Verb):
    """Leases of sessions that were not heard of in time."""

    def __init__(self, leases: Sequence[Lease]) -> None:
        self._leases = leases
        self.tasks = tuple(lease.task for lease in leases)

    async def decide(self, tx: Tx, batch: Batch) -> None:
        sessions = list({lease.session for lease in self._leases})
        found = await tx.rows("expired_among", sessions, batch.fold.now)  # it may have beaten since we looked
        over = {id_ for id_, until, _ in found if batch.promises.over(id_, until)}
        for lease in self._leases:
            task = batch.fold.tasks.get(lease.task)
            if (
                task is not None
                and lease.session in over
                and (task.attempt, task.session) == (lease.attempt, lease.session)
            ):
                batch.fold.lose(task)


class PutAway(Verb):
    """Sessions that ended and hold nothing: those still connected live on, the others are over."""

    def __init__(self, sessions: Mapping[int, Session | None]) -> None:
        self._sessions = sessions

    async def decide(self, tx: Tx, batch: Batch) -> list[Session]:
        """Those that are over."""
        now, over = batch.fold.now, []
        for id_, until, holds in await tx.rows("expired_among", list(self._sessions), now):
            session = self._sessions[id_]
            stays = session is not None and session.here(now)
            if holds or not batch.promises.over(id_, until, ended=not stays):
                continue
            if session is not None and stays:
                batch.promises.write(session, now + CONNECTED_FOR)
            elif session is not None:
                batch.promises.end(session)
                over.append(session)
        return over


class Present(Verb):
    """Sessions that are connected here and hold nothing stay known as connected."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self._sessions = {session.id: session for session in sessions}

    async def decide(self, tx: Tx, batch: Batch) -> None:
        until = batch.fold.now + CONNECTED_FOR
        for id_, was in await tx.rows("idle_among", list(self._sessions), until):
            if batch.promises.over(id_, was):
                batch.promises.write(self._sessions[id_], until)


class Due(Verb):
    """Delayed tasks whose time has come."""

    def __init__(self, tasks: Sequence[int]) -> None:
        self.tasks = tuple(tasks)

    async def decide(self, tx: Tx, batch: Batch) -> None:
        for task in self.tasks:
            if task in batch.fold.tasks:  # else a re-run has replaced it
                batch.fold.due(batch.fold.tasks[task])


class Expire(Verb):
    """Tasks of which something took longer than it may."""

    def __init__(self, tasks: Sequence[int]) -> None:
        self.tasks = tuple(tasks)

    async def decide(self, tx: Tx, batch: Batch) -> None:
        for task in self.tasks:
            if task in batch.fold.tasks:
                batch.fold.expire(batch.fold.tasks[task])


class Sweep(Verb):
    """A slice of the tasks of a stopping run, of the rows that stand for such tasks, and of its child runs."""

    def __init__(self, run: int, tasks: Sequence[int], spreads: Sequence[int], children: Sequence[int]) -> None:
        self.runs = (run, *children)
        self.tasks = tuple(tasks)
        self.spreads = tuple(spreads)

    async def decide(self, tx: Tx, batch: Batch) -> None:
        fold = batch.fold
        run = fold.runs[self.runs[0]]
        fold.changed_runs.add(run.id)  # a run with nothing left to sweep ends here
        for task in self.tasks:
            if run.stopping and task in fold.tasks:
                fold.sweep(fold.tasks[task])
        for child in self.runs[1:]:
            if run.stopping:
                fold.stop(fold.runs[child])
        for row in self.spreads:
            if row in fold.spreads:  # another server may have spread it before the cancel
                fold.sweep_spread(fold.spreads[row])


class Spread(Verb):
    """The tasks that a row stands for."""

    def __init__(self, run: int, row: int) -> None:
        self.runs = (run,)
        self.spreads = (row,)

    async def decide(self, tx: Tx, batch: Batch) -> None:
        for row in self.spreads:
            if row in batch.fold.spreads:  # else another server was faster
                batch.fold.spread(batch.fold.spreads[row])


class Refuse(Verb):
    """READY tasks whose inputs cannot be bound."""

    def __init__(self, refused: dict[int, str]) -> None:
        self._refused = refused
        self.tasks = tuple(refused)

    async def decide(self, tx: Tx, batch: Batch) -> None:
        for task, message in self._refused.items():
            if task in batch.fold.tasks:
                batch.fold.refuse(batch.fold.tasks[task], message)


class Ahead(NamedTuple):
    """When the next of each sort is due. `stopping`: when the first cancel was asked for. `spread`: a row to spread."""

    session: Micros | None
    delay: Micros | None
    attempt: Micros | None
    stopping: Micros | None
    spread: int | None
    schedule: Micros | None


class Upkeep:
    """One `tick` does what is due and says how long nothing will be."""

    def __init__(
        self,
        store: Store,
        batches: Batches,
        sessions: Sessions,
        peers: Peers,
        gates: Gates,
        keys: Keys,
        clock: Clock,
        alarm: Alarm,
        ids: Ids,
        retention: Retention,
        audit: Audit,
    ) -> None:
        self._store = store
        self._batches = batches
        self._sessions = sessions
        self._peers = peers
        self._gates = gates
        self._keys = keys
        self._clock = clock
        self._alarm = alarm
        self._ids = ids
        self._retention = retention
        self._audit = audit
        self._failed_at: Micros = 0
        self._present_at: Micros | None = None

    async def tick(self) -> Micros:
        """One look, and a pass over whatever is due; gives the time until the next look is worth it."""
        self._alarm.planned = NEVER  # what becomes due from here on counts for the sleep after this pass
        try:
            ahead = await self._look()
            if await self._pass(ahead):
                return 0
        except Unavailable as error:
            if error.code != "raced":
                self._failed_at = self._clock.now()
            raise
        self._alarm.plan(self._next(ahead))
        longest = SHARED_SLEEP if self._store.shared else LONGEST_SLEEP
        return max(SHORTEST_SLEEP, min(self._alarm.planned - self._clock.now(), longest))

    def stood_still(self) -> None:
        """This server did not run for a while, so that nobody could beat: it is patient, as after an outage."""
        self._failed_at = self._clock.now()

    async def _look(self) -> Ahead:
        """See what is due. If the database was away meanwhile, nobody could beat, at other servers neither."""
        asked = self._clock.now()
        ahead = await self._store.peek(look)
        if (now := self._clock.now()) - asked > SLOW:
            self._failed_at = now
        return ahead

    async def _pass(self, ahead: Ahead) -> bool:
        """Do what is due; whether there may be more of it."""
        now = self._clock.now()
        self._batches.serve(self._gates.due(now))
        more = [
            await self.reap() if _past(ahead.session, now - 1) else False,
            await self.due() if _past(ahead.delay, now) else False,
            await self.expire() if _past(ahead.attempt, now) else False,
            await self.sweep() if ahead.stopping is not None else False,
            await self.spread() if ahead.spread is not None else False,
            await self.fire() if _past(ahead.schedule, now) else False,
            await self._retention.tick(),
        ]
        await self.present()
        await self._keys.tidy()
        await self._audit.tick()
        return any(more)

    def _next(self, ahead: Ahead) -> Micros:
        """When the earliest thing known is due."""
        now = self._clock.now()
        known = (ahead.delay, ahead.attempt, ahead.schedule, self._present_at, self._audit.next_at)
        times = [self._gates.next_at, *(at for at in known if at is not None)]
        if ahead.stopping is not None:
            times.append(ahead.stopping + GRACE if now < ahead.stopping + GRACE else now + SECOND)
        if ahead.session is not None:
            patient = max(self._peers.started, self._away) + LEASE
            # sessions that may not be reaped yet are looked at once a second
            times.append(max(ahead.session, min(patient, now + SECOND)) if now < patient else ahead.session)
        return min(times)

    async def present(self) -> None:
        """Keep the rows of connected runners that hold nothing, all at once; others see by them who is there."""
        now = self._clock.now()
        connected = self._sessions.connected()
        if not connected:
            self._present_at = None
        elif self._present_at is None:
            self._present_at = now + PRESENT
        elif now >= self._present_at:
            self._present_at = now + PRESENT
            await self._batches.submit(Present(connected))

    async def reap(self) -> bool:
        """Take back the leases of sessions that ended.

        A fresh server first gives those it has not heard of a lease length: while it was away nobody could beat. One
        that gets its database back gives it to all.
        """
        now = self._clock.now()
        if now < self._away + LEASE:
            return False
        known = self._sessions.heard() if now < self._peers.started + LEASE else None

        async def find(reader: Reader) -> tuple[list[int], list[Lease]]:
            expired = await reader.ids("expired_sessions", now, SLICE)
            expired = [session for session in expired if known is None or session in known]
            if not expired:
                return [], []
            return expired, [Lease(*row) for row in await reader.rows("reapable", expired, SLICE)]

        expired, leases = await self._store.read(find)
        if leases:
            self._peers.retire({lease.session for lease in leases})  # a stream may be open, but nobody beats
            await self._batches.submit(Lose(leases))
        elif expired:
            for over in (await self._batches.submit(PutAway(self._sessions.of(expired)))).value:
                self._sessions.forget(over)
        return bool(leases)

    @property
    def _away(self) -> Micros:
        """When the database was last found away: somebody was told, or it was waited for."""
        return max(self._failed_at, self._batches.refused_at)

    async def due(self) -> bool:
        """Put delayed tasks into their lanes."""
        now = self._clock.now()
        tasks = await self._store.read(lambda reader: reader.ids("due_tasks", now, SLICE))
        if tasks:
            await self._batches.submit(Due(tasks))
        return bool(tasks)

    async def expire(self) -> bool:
        """End attempts, waits and tasks that took too long."""
        now = self._clock.now()
        tasks = await self._store.read(lambda reader: reader.ids("overdue_tasks", now, SLICE))
        if tasks:
            await self._batches.submit(Expire(tasks))
        return bool(tasks)

    async def sweep(self) -> bool:
        """Cancel the tasks of stopping runs, slice by slice."""
        swept = False
        for run_id in await self._store.read(lambda reader: reader.ids("stopping_runs", SLICE)):
            swept |= await self._sweep(run_id)
        return swept

    async def _sweep(self, run_id: int) -> bool:
        (run,) = await self._store.read(lambda reader: reader.runs([run_id]))
        over = self._clock.now() >= (run.cancel_at or 0) + GRACE
        most = TaskState.LEASED if over else TaskState.READY

        async def find(reader: Reader) -> tuple[list[int], list[int], list[int]]:
            tasks = await reader.ids("sweepable", run_id, int(most), SLICE)
            spreads = await reader.ids("sweepable_spreads", run_id, ROWS)
            return tasks, spreads, await reader.ids("running_children", run_id, SLICE)

        tasks, spreads, children = await self._store.read(find)
        self._peers.nudge(await self._store.read(lambda reader: reader.ids("leases_of_run", run_id)))
        if tasks or spreads or children or not run.open:
            await self._batches.submit(Sweep(run_id, tasks, spreads, children))
        return bool(tasks or spreads or children)

    async def spread(self) -> bool:
        """Make tasks that wide fan-outs have put off: a few rows, each in a transaction of its own."""
        rows = await self._store.read(lambda reader: reader.rows("ready_spreads", ROWS))
        for run, row in rows:
            await self._batches.submit(Spread(run, row))
        return bool(rows)

    async def fire(self) -> bool:
        """Start what schedules are due to start, each schedule in a transaction of its own."""
        now = self._clock.now()
        due = await self._store.read(lambda reader: reader.ids("due_schedules", now, ROWS))
        if not due:
            return False
        from stoker.engine.firing import FireSchedule

        for schedule in due:
            running = await self._store.read(partial(_running, schedule))
            await self._batches.submit(FireSchedule(schedule, running, self._ids))
        return True


async def look(reader: Reader) -> Ahead:
    """See what time will do next."""
    return Ahead._make(*await reader.rows("ahead"))


async def _running(schedule: int, reader: Reader) -> list[int]:
    return await reader.ids("schedule_running", schedule)


def _past(at: Micros | None, now: Micros) -> bool:
    return at is not None and at <= now
