"""Firing schedules: what is due, and what is asked for by hand; each in a transaction with the runs that it starts."""

from __future__ import annotations

from collections.abc import Sequence

from stoker.core.duration import Micros
from stoker.core.schedule import MOST_CAUGHT_UP, Due, Skip, due, overlapping
from stoker.core.views import RunRef
from stoker.engine.acting import Note
from stoker.engine.ids import Ids
from stoker.engine.ports import Tx
from stoker.engine.scheduled import Firing, Schedule, begin, fire, local, put_firing
from stoker.engine.transaction import Batch, Verb
from stoker.errors import Conflict, NotFound


class FireSchedule(Verb):
    """What a schedule is due to start. `running`: the run of it that goes on, if any.

    That one's lock keeps it from ending meanwhile, so that what is queued behind it is found at its end. Alone in its
    batch: it locks a schedule, and other verbs may have locked tasks, which come later.
    """

    solo = True

    def __init__(self, schedule: int, running: Sequence[int], ids: Ids) -> None:
        self._schedule = schedule
        self._ids = ids
        self.runs = tuple(running)

    async def decide(self, tx: Tx, batch: Batch) -> None:
        """Another server may have been faster, or another run of it may run by now: then the next look sees that."""
        for row in await tx.rows("lock_schedule", self._schedule):
            schedule = Schedule.of(row)
            running = await tx.ids("schedule_running", schedule.id)
            if schedule.next_at is None or not {*running} <= {*self.runs}:
                return
            now = batch.fold.now
            todo = due(schedule.timing, schedule.next_at, now, schedule.spec.catch_up)
            await tx.execute("schedule_next", todo.next_at, schedule.id)
            done = await self._done(tx, schedule, todo)
            if todo.missed is not None and todo.missed[0] not in done:
                await put_firing(tx, _missed(schedule, *todo.missed, now))
            times = [at for at in todo.fire if at not in done]
            await self._fire(tx, batch, schedule, times, running[0] if running else None)

    @staticmethod
    async def _done(tx: Tx, schedule: Schedule, todo: Due) -> set[int]:
        """Times that are due once more, since a clock went back and then its times were changed."""
        times = [*todo.fire, *(todo.missed or ())]
        return {*await tx.ids("fired_among", schedule.id, times)} if times else set()

    async def _fire(
        self, tx: Tx, batch: Batch, schedule: Schedule, times: Sequence[Micros], running: int | None
    ) -> None:
        queued = bool(await tx.rows("schedule_queued", schedule.id))
        for at in times:
            match overlapping(schedule.spec.overlap, running, queued):
                case Skip(reason):
                    firing = Firing(schedule.id, at, 0, "skipped", batch.fold.now, reason=reason)
                case "queue":
                    reason = f"run {running} still runs"
                    firing = Firing(schedule.id, at, 0, "queued", batch.fold.now, behind=running, reason=reason)
                    queued = True
                case _:
                    firing = await fire(tx, batch.fold, batch.versions, schedule, at, self._ids)
                    running = firing.run or running
            await put_firing(tx, firing)


class RunNow(Verb):
    """An extra run of a schedule, whatever runs and whether it is paused. Its logical time is now."""

    solo = True  # as above

    def __init__(self, schedule: int, name: str, key: str | None, ids: Ids) -> None:
        self._schedule = schedule
        self._name = name
        self._key = key
        self._ids = ids
        self._made = 0

    async def decide(self, tx: Tx, batch: Batch) -> RunRef:
        """Repeated after a commit of unknown outcome, it takes the same id: if a run has that, it was committed."""
        if not self.replays:
            self._made = 0
        if self._made and await tx.runs([self._made]):
            return RunRef(id=self._made)
        rows = await tx.rows("lock_schedule", self._schedule)
        if not rows:
            raise NotFound(f"the schedule {self._name!r} was just deleted.", code="no_schedule")
        schedule, now = Schedule.of(rows[0]), batch.fold.now
        digest = f"schedule:{schedule.id}".encode()
        if self._key is not None:
            for run, kept in await tx.execute("run_key", schedule.namespace, self._key):
                return _again(run, kept == digest, self._key)
        id_ = self._made or self._ids.draw("run")
        await begin(tx, batch.fold, batch.versions, schedule, now, id_)
        self._made = id_
        if self._key is not None:
            await tx.execute("insert_run_key", schedule.namespace, self._key, id_, digest)
        await put_firing(tx, Firing(schedule.id, now, id_, "fired", now, run=id_))
        return RunRef(id=id_)

    def note(self, answer: RunRef) -> Note | None:
        return Note([f"schedule:{self._name}", f"run:{answer.id}"]) if answer.created else None


def _missed(schedule: Schedule, first: Micros, last: Micros, now: Micros) -> Firing:
    until = "" if first == last else f", nor those up to {local(schedule.spec, last)}"
    cap = f", at most {MOST_CAUGHT_UP}" if schedule.spec.catch_up == "all" else ""
    reason = f"no server fired it in time{until} (catch-up: {schedule.spec.catch_up}{cap})"
    return Firing(schedule.id, first, 0, "missed", now, until=last, reason=reason)


def _again(run: int, same: bool, key: str) -> RunRef:
    if same:
        return RunRef(id=run, created=False)
    raise Conflict(
        f"the idempotency key {key!r} was used by run {run}, which this schedule did not start.",
        code="idempotency_mismatch",
        place="idempotency_key",
        remedy="Use a new key for a new run.",
    )
