"""Schedules: made, changed, paused, run by hand, listed with what is next and what was."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from stoker.core.duration import SECOND, Micros, micros
from stoker.core.names import fault
from stoker.core.schedule import SHORTEST, Timing, cron_fault, first_times, next_time
from stoker.core.schedule_views import FiringView, Outcome, RunNowRequest, ScheduleSpec, ScheduleView
from stoker.core.views import Explanation, Page, RunRef
from stoker.engine import single
from stoker.engine.acting import Note
from stoker.engine.alarm import Alarm
from stoker.engine.batch import Batches
from stoker.engine.catalog import Catalog, when
from stoker.engine.firing import RunNow
from stoker.engine.ids import Ids
from stoker.engine.namespaces import Namespaces
from stoker.engine.paging import cursor, key, limited
from stoker.engine.ports import Clock, Reader, Row, Store, Tx
from stoker.engine.scheduled import Schedule, local, request_of, timing_of
from stoker.engine.shown import maybe
from stoker.engine.start import start_of
from stoker.errors import Invalid, NotFound, Problem

SHOWN = 5  # next times, where nobody says how many
MOST_TIMES = 100
_LAST = (2**62, 2**62)


class Schedules:
    """What callers do with schedules."""

    def __init__(
        self,
        store: Store,
        namespaces: Namespaces,
        catalog: Catalog,
        batches: Batches,
        ids: Ids,
        clock: Clock,
        alarm: Alarm,
    ) -> None:
        self._store = store
        self._namespaces = namespaces
        self._catalog = catalog
        self._batches = batches
        self._ids = ids
        self._clock = clock
        self._alarm = alarm

    async def put(self, namespace: str, name: str, spec: ScheduleSpec) -> ScheduleView:
        """Make a schedule, or change it. While its times stay what they were, none of them is lost or done twice.

        Invalid lists what is wrong with its times; NotFound: the graph is not there; Invalid: its inputs do not fit.
        """
        if wrong := fault(name) or ("/" in name and f"the name {name!r} holds a slash, which paths are made of"):
            raise Invalid(wrong, code="bad_name", place="name")
        now = self._clock.now()
        timing = checked(spec, now)
        version = await self._catalog.version(namespace, spec.graph, spec.version)
        start_of(version, request_of(spec, now))
        number = await self._namespaces.existing(namespace)
        kept = msgspec.structs.replace(spec, paused=None)
        body = msgspec.json.encode(kept).decode()

        async def put(tx: Tx) -> tuple[Schedule, bool]:
            found = await tx.rows("schedule_by_name", number, name)
            if not found:
                at = None if spec.paused else next_time(timing, now)
                ((end,),) = await tx.execute("take_ids", "schedule", 1)  # of one that is deleted its runs keep the id
                made = await tx.execute("insert_schedule", end - 1, number, name, body, int(bool(spec.paused)), now, at)
                if made:
                    return Schedule(made[0][0], number, name, kept, bool(spec.paused), now, at), True
                found = await tx.rows("schedule_by_name", number, name)  # somebody else was faster
            (row,) = await tx.rows("lock_schedule", found[0][0])
            was = Schedule.of(row)
            paused = was.paused if spec.paused is None else spec.paused
            goes_on = was.timing == timing and was.next_at is not None
            at = None if paused else was.next_at if goes_on else next_time(timing, now)
            await tx.execute("update_schedule", body, int(paused), at, was.id)
            return was._replace(spec=kept, paused=paused, next_at=at), False

        schedule, created = await single.transact(
            self._store,
            put,
            lambda put: Note([f"schedule:{name}"], {"graph": spec.graph, "created": put[1], "paused": put[0].paused}),
        )
        self._due(schedule.next_at)
        return self._view(schedule, SHOWN, created=created)

    def changed(self) -> None:
        """Look anew at when the next is due: others were put, by `Changes.put_schedules`."""
        self._alarm.at(0)

    async def pause(self, namespace: str, name: str, *, paused: bool) -> ScheduleView:
        """Fire no more, or again: what falls into a pause is not caught up."""

        async def put(tx: Tx, was: Schedule) -> Schedule:
            if was.paused == paused:
                return was
            at = None if paused else next_time(was.timing, self._clock.now())
            await tx.execute("update_schedule", msgspec.json.encode(was.spec).decode(), int(paused), at, was.id)
            return was._replace(paused=paused, next_at=at)

        schedule = await self._change(namespace, name, put)
        self._due(schedule.next_at)
        return self._view(schedule, SHOWN)

    async def delete(self, namespace: str, name: str) -> None:
        """Forget a schedule with its history; its runs stay, and go on."""

        async def put(tx: Tx, was: Schedule) -> Schedule:
            await tx.execute("delete_firings", was.id)
            await tx.execute("delete_schedule", was.id)
            return was

        await self._change(namespace, name, put)

    async def run(self, namespace: str, name: str, request: RunNowRequest) -> RunRef:
        """Start an extra run, whatever runs and whether it is paused. What does not fit is refused here."""
        if request.idempotency_key is not None and (wrong := fault(request.idempotency_key)):
            raise Invalid(wrong, code="bad_name", place="idempotency_key")
        schedule = await self._find(namespace, name)
        ref: RunRef = (await self._batches.submit(RunNow(schedule.id, name, request.idempotency_key, self._ids))).value
        return ref

    async def get(self, namespace: str, name: str, times: int = SHOWN) -> ScheduleView:
        """One schedule with so many of its next times."""
        if not 0 <= times <= MOST_TIMES:
            raise Invalid(
                f"a schedule shows 0 to {MOST_TIMES} of its next times, not {times}.", code="bad_limit", place="times"
            )
        return self._view(await self._find(namespace, name), times)

    async def list(self, namespace: str, *, limit: int, after: str | None) -> Page[ScheduleView]:
        """All schedules by name, each with its next time."""
        number, limit = await self._namespaces.existing(namespace), limited(limit)
        rows = await self._store.read(lambda reader: reader.rows("schedule_page", number, after or "", limit + 1))
        items = [self._view(Schedule.of(row), 1) for row in rows[:limit]]
        return Page(items=items, after=items[-1].name if len(rows) > limit else None)

    async def firings(self, namespace: str, name: str, *, limit: int, after: str | None) -> Page[FiringView]:
        """What became of its times, newest first."""
        limit, before = limited(limit), _LAST if after is None else cursor(after, (int, int))
        schedule = await self._find(namespace, name)
        rows = await self._store.read(lambda reader: reader.rows("firing_page", schedule.id, *before, limit + 1))
        shown = rows[:limit]
        return Page(
            items=[_firing(row) for row in shown],
            after=key(shown[-1][0], shown[-1][1]) if len(rows) > limit else None,
        )

    async def explain(self, namespace: str, name: str) -> Explanation:
        """What a schedule waits for, and what became of its last time."""
        schedule = await self._find(namespace, name)
        (last,) = (await self.firings(namespace, name, limit=1, after=None)).items or (None,)
        state = "PAUSED" if schedule.paused else "ACTIVE" if schedule.next_at is not None else "OVER"
        match state:
            case "PAUSED":
                because, remedy = "it is paused", f"`stoker schedules resume {name}` has it fire again."
            case "OVER":
                because, remedy = "it has no time left: its end has passed", "Give it a later end, or delete it."
            case _:
                assert schedule.next_at is not None
                because, remedy = f"it is due next at {local(schedule.spec, schedule.next_at)}", ""
        return Explanation(
            subject=f"schedule {name!r}",
            state=state,
            because=[because, _told(schedule, last) if last else "it has not been due yet"],
            remedy=remedy,
        )

    # --- steps ---

    async def _find(self, namespace: str, name: str) -> Schedule:
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> Schedule:
            for row in await reader.rows("schedule_by_name", number, name):
                return Schedule.of(row)
            raise NotFound(
                f"the namespace {namespace!r} has no schedule {name!r}.",
                code="no_schedule",
                place=f"schedules/{name}",
                remedy="List them with `stoker schedules list`.",
            )

        return await self._store.read(find)

    async def _change(self, namespace: str, name: str, put: Callable[[Tx, Schedule], Any]) -> Schedule:
        found = await self._find(namespace, name)

        async def change(tx: Tx) -> Schedule:
            for row in await tx.rows("lock_schedule", found.id):
                changed: Schedule = await put(tx, Schedule.of(row))
                return changed
            return found  # deleted meanwhile

        return await single.transact(self._store, change, lambda _: Note([f"schedule:{name}"]))

    def _due(self, at: Micros | None) -> None:
        if at is not None:
            self._alarm.at(at)

    def _view(self, schedule: Schedule, times: int, *, created: bool = False) -> ScheduleView:
        following: list[Micros] = []
        if schedule.next_at is not None and times:
            following = [schedule.next_at, *first_times(schedule.timing, schedule.next_at, times - 1)]
        return ScheduleView(
            name=schedule.name,
            spec=schedule.spec,
            paused=schedule.paused,
            created_at=when(schedule.created_at),
            next=[when(at) for at in following],
            created=created,
        )


def checked(spec: ScheduleSpec, now: Micros) -> Timing:
    """The times of a schedule. Invalid lists all that is wrong with them."""
    problems: list[Problem] = []
    zone = _zone(spec.zone, problems)
    if (spec.cron is None) == (spec.every is None):
        _wrong(problems, "cron", "a schedule has either `cron` or `every`.", "Give one of the two.")
    elif spec.cron is not None and (wrong := cron_fault(spec.cron, when(now))):
        _wrong(problems, "cron", f"{spec.cron[:80]!r} cannot be meant: {wrong}.", _CRON)
    elif spec.every is not None:
        _interval(spec.every, problems)
    if spec.start is not None and spec.end is not None and spec.end < spec.start:
        _wrong(problems, "end", "it lies before the start.", "Swap them, or leave one out.")
    if spec.logical_time_as in spec.inputs:
        _wrong(problems, "logical_time_as", f"the input {spec.logical_time_as!r} is given a value too.", "Give one.")
    if problems:
        raise Invalid("the schedule cannot be kept like this", code="bad_schedule", problems=problems)
    return timing_of(spec, zone)


_CRON = "Write minute, hour, day, month and weekday, such as '30 6 * * MON-FRI'; for less than a minute use `every`."


def _wrong(problems: list[Problem], place: str, message: str, remedy: str) -> None:
    problems.append(Problem(code="bad_schedule", place=place, message=message, remedy=remedy))


def _zone(name: str, problems: list[Problem]) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # no such zone; no name of one; a folder of them
        _wrong(problems, "zone", f"there is no time zone {name[:80]!r}.", f"Use an IANA name, such as {_alike(name)}.")
        return ZoneInfo("UTC")


def _alike(name: str) -> str:
    """Zones that may be meant: of that city, else almost of that name."""
    known = sorted(available_timezones())
    city = name.rpartition("/")[2].strip().replace(" ", "_").lower()
    found = [each for each in known if each.lower().endswith(f"/{city}")] or get_close_matches(name[:80], known, n=2)
    return " or ".join(found[:2]) or "Europe/Berlin or UTC"


def _interval(every: str | float, problems: list[Problem]) -> None:
    try:
        length = micros(every)
    except ValueError as error:
        _wrong(problems, "every", f"{error}.", "Write 90s, 15m or 1h30m.")
        return
    if length < SHORTEST:
        _wrong(
            problems,
            "every",
            f"{every!r} is shorter than {SHORTEST // SECOND} s.",
            "Let one run do more, or have a live run.",
        )


def _firing(row: Row) -> FiringView:
    at, extra, outcome, done_at, run, until, reason = row
    shown: Outcome = outcome
    return FiringView(
        at=when(at),
        outcome=shown,
        done_at=when(done_at),
        run=run,
        reason=reason,
        until=maybe(until),
        extra=bool(extra),
    )


def _told(schedule: Schedule, last: FiringView) -> str:
    at = local(schedule.spec, round(last.at.timestamp() * SECOND))
    match last.outcome:
        case "fired":
            return f"at {at} run {last.run} was started{' by hand' if last.extra else ''}"
        case "queued":
            return f"the firing of {at} is queued until the run before it has ended"
        case _:
            return f"the firing of {at} was {last.outcome}, because {last.reason}"
