"""Schedules in the middle of a transaction: their rows, the runs they start, and what waits for the end of one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from stoker.core.decide import Fold
from stoker.core.duration import SECOND, Micros, micros
from stoker.core.model import Run
from stoker.core.picture import Want
from stoker.core.schedule import Timing
from stoker.core.schedule_views import Outcome, ScheduleSpec
from stoker.core.views import TriggerRequest
from stoker.engine.ids import Ids
from stoker.engine.ports import Reader, Row, Tx
from stoker.engine.start import start_of
from stoker.engine.tools import Tools
from stoker.engine.versions import Version, Versions
from stoker.errors import NotFound, Rejected

_decode = msgspec.json.Decoder(ScheduleSpec).decode


class Schedule(NamedTuple):
    """A row, as it was read. `next_at` None: paused, or over."""

    id: int
    namespace: int
    name: str
    spec: ScheduleSpec
    paused: bool
    created_at: Micros
    next_at: Micros | None

    @classmethod
    def of(cls, row: Row) -> Schedule:
        id_, namespace, name, spec, paused, created_at, next_at = row
        return cls(id_, namespace, name, _decode(spec), bool(paused), created_at, next_at)

    @property
    def timing(self) -> Timing:
        return at_zone(self.spec)


class Firing(NamedTuple):
    """What became of one time. `extra`: 0, or the run that was asked for by hand."""

    schedule: int
    at: Micros
    extra: int
    outcome: Outcome
    done_at: Micros
    run: int | None = None
    behind: int | None = None
    until: Micros | None = None
    reason: str = ""


def timing_of(spec: ScheduleSpec, zone: tzinfo) -> Timing:
    return Timing(
        zone=zone,
        cron=spec.cron,
        every=None if spec.every is None else micros(spec.every),
        start=None if spec.start is None else at_of(spec.start),
        end=None if spec.end is None else at_of(spec.end),
    )


def at_zone(spec: ScheduleSpec) -> Timing:
    """The times of a schedule whose zone is one."""
    return timing_of(spec, ZoneInfo(spec.zone))


def at_of(moment: datetime) -> Micros:
    return round(moment.timestamp() * SECOND)


def local(spec: ScheduleSpec, at: Micros) -> str:
    """A moment as people read it in the schedule's zone."""
    return datetime.fromtimestamp(at // SECOND, ZoneInfo(spec.zone)).isoformat()


def request_of(spec: ScheduleSpec, at: Micros, key: str | None = None) -> TriggerRequest:
    """What a run at this logical time is triggered with."""
    inputs = dict(spec.inputs)
    if spec.logical_time_as is not None:
        inputs[spec.logical_time_as] = msgspec.Raw(msgspec.json.encode(local(spec, at)))
    return TriggerRequest(
        graph=spec.graph,
        version=spec.version,
        inputs=inputs,
        store=spec.store,
        tags=spec.tags,
        priority=spec.priority,
        weight=spec.weight,
        idempotency_key=key,
    )


async def version_of(reader: Reader, versions: Versions, schedule: Schedule) -> Version:
    """The graph version that a firing starts: the pinned one, or the newest."""
    graph, number = schedule.spec.graph, schedule.spec.version
    if number is None:
        rows = await reader.rows("latest_version", schedule.namespace, graph)
    else:
        rows = await reader.rows("version_by_number", schedule.namespace, graph, number)
    if not rows:
        which = f"a graph {graph!r}" if number is None else f"version {number} of the graph {graph!r}"
        raise NotFound(f"there is no longer {which}", code="no_graph", place="graph")
    return await versions.get(reader, rows[0][0])


async def begin(tx: Tx, fold: Fold, versions: Versions, schedule: Schedule, at: Micros, id_: int) -> Run:
    """Start a run of a schedule. Rejected says why it cannot be; then nothing was folded."""
    request = request_of(schedule.spec, at)
    start = start_of(await version_of(tx, versions, schedule), request)
    run = Run(
        id=id_,
        namespace=schedule.namespace,
        version=start.version.id,
        priority=request.priority,
        weight=request.weight,
        created_at=fold.now,
        schedule=schedule.id,
        scheduled_at=at,
    )
    fold.trigger(run, start.version.graph, start.inputs, start.store)
    if request.tags:
        fold.new_tags[run.id] = request.tags
    return run


async def fire(tx: Tx, fold: Fold, versions: Versions, schedule: Schedule, at: Micros, ids: Ids) -> Firing:
    """Start the run of one logical time; if that cannot be, say why."""
    try:
        run = await begin(tx, fold, versions, schedule, at, ids.draw("run"))
    except Rejected as error:
        return Firing(schedule.id, at, 0, "failed", fold.now, reason=_why(error))
    return Firing(schedule.id, at, 0, "fired", fold.now, run=run.id)


async def put_firing(tx: Tx, firing: Firing) -> None:
    await tx.execute("insert_firing", *firing)


class Scheduled:
    """Answers what a fold wants of schedules."""

    def __init__(self, tools: Tools, tx: Tx) -> None:
        self._tools = tools
        self._tx = tx

    async def ended(self, fold: Fold, wants: Sequence[Want]) -> None:
        """These runs have ended: what is queued behind them is fired."""
        for id_, at in await self._tx.rows("queued_behind", sorted(want.run for want in wants)):
            for row in await self._tx.rows("lock_schedule", id_):
                firing = await self._next(fold, Schedule.of(row), at)
                await self._tx.execute(
                    "settle_firing", firing.outcome, fold.now, firing.run, firing.reason, firing.schedule, at
                )

    async def _next(self, fold: Fold, schedule: Schedule, at: Micros) -> Firing:
        if schedule.paused:
            return Firing(schedule.id, at, 0, "skipped", fold.now, reason="the schedule is paused")
        return await fire(self._tx, fold, self._tools.versions, schedule, at, self._tools.ids)


def _why(error: Rejected) -> str:
    return "; ".join([error.message, *(f"{problem.place}: {problem.message}" for problem in error.problems)])
