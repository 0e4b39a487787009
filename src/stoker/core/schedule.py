"""When schedules fire: the times of an expression or an interval, what of them is due, and what overlap does with it.

A *logical time* is the time at which a run was due; it has nothing to do with when a server came round to it. Time
zones are arguments: their rules come from outside.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from itertools import islice
from typing import Literal, NamedTuple

import msgspec
from cronsim import CronSim, CronSimError

from stoker.core.duration import SECOND, Micros

Overlap = Literal["allow", "skip", "queue"]
CatchUp = Literal["none", "latest", "all"]

MOST_CAUGHT_UP = 100  # times of one outage that `all` makes good: the newest
LATE: Micros = 60 * SECOND  # what comes this late is on time, for a schedule that catches nothing up
SHORTEST: Micros = SECOND
LONGEST_CRON = 200
_FIELDS = 5  # or one more in front of them, for seconds
_MINUTE = 60
_SLACK = timedelta(days=2)  # no change of an offset is as long


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """When something happens: by `cron` in a `zone`, or `every` so often. `start` and `end` are both within."""

    zone: tzinfo
    cron: str | None = None
    every: Micros | None = None
    start: Micros | None = None
    end: Micros | None = None


class Due(NamedTuple):
    """What is to be done now. `missed`: the first and the last of the times that are not made good."""

    fire: list[Micros]
    missed: tuple[Micros, Micros] | None
    next_at: Micros | None


class Skip(NamedTuple):
    """A time at which nothing is started."""

    reason: str


def cron_fault(cron: str, now: datetime) -> str | None:
    """What is wrong with an expression; None if nothing is."""
    if len(cron) > LONGEST_CRON:
        return f"it has {len(cron)} characters; the limit is {LONGEST_CRON}"
    if len(cron.split()) not in (_FIELDS, _FIELDS + 1):
        return f"it has {len(cron.split())} fields, not {_FIELDS}, nor {_FIELDS + 1} with seconds in front"
    try:
        if next(CronSim(cron, now), None) is None:
            return "it names a day that never comes"
    except CronSimError as error:
        return f"{error}".lower()
    return None


def next_time(timing: Timing, after: Micros) -> Micros | None:
    """The first time later than this; None if there is none."""
    return next(times(timing, after), None)


def times(timing: Timing, after: Micros) -> Iterator[Micros]:
    """All times later than this, in order."""
    if timing.start is not None:
        after = max(after, timing.start - 1)
    for time in _ticks(timing, after):
        if timing.end is not None and time > timing.end:
            return
        yield time


def due(timing: Timing, next_at: Micros, now: Micros, catch_up: CatchUp) -> Due:
    """What to do about the times from `next_at` up to now."""
    if next_at > now:
        return Due([], None, next_at)
    most = MOST_CAUGHT_UP if catch_up == "all" else 1
    found = _newest(timing, next_at, now, most + 1)
    fire = found[-most:]
    if catch_up == "none":
        fire = [time for time in fire if now - time <= LATE]
    left = found[: len(found) - len(fire)]
    return Due(fire, (next_at, left[-1]) if left else None, next_time(timing, now))


def overlapping(overlap: Overlap, running: int | None, queued: bool) -> Skip | Literal["start", "queue"]:
    """What a schedule does at one of its times while `running`, a run of it, goes on. `queued`: one waits already."""
    if overlap == "allow" or running is None:
        return "start"
    if overlap == "skip":
        return Skip(f"run {running} still runs")
    return Skip(f"run {running} still runs, and one firing is queued behind it") if queued else "queue"


def _newest(timing: Timing, first: Micros, last: Micros, most: int) -> list[Micros]:
    """The newest times of a stretch, whose beginning is one: looked for in ever longer pieces before its end."""
    piece: Micros = 60 * SECOND
    while True:
        begin = max(first - 1, last - piece)
        found = list(_until(timing, begin, last))
        if len(found) >= most or begin < first:
            return found[-most:]
        piece *= 4


def _until(timing: Timing, after: Micros, last: Micros) -> Iterator[Micros]:
    for time in times(timing, after):
        if time > last:
            return
        yield time


def _ticks(timing: Timing, after: Micros) -> Iterator[Micros]:
    return _intervals(timing, after) if timing.cron is None else _crons(timing.cron, timing.zone, after)


def _intervals(timing: Timing, after: Micros) -> Iterator[Micros]:
    """Counted from the start, else from 1970: so `15m` is at the quarters of the hour."""
    assert timing.every is not None
    origin = timing.start or 0
    time = origin + ((after - origin) // timing.every + 1) * timing.every
    while True:
        yield time
        time += timing.every


def _crons(cron: str, zone: tzinfo, after: Micros) -> Iterator[Micros]:
    """With a fixed hour, by the local time: one that does not exist is at the next that does, one that occurs twice is
    once. With any hour, as time goes by."""
    last = after
    for time in _local(cron, zone, after) if _hour_is_fixed(cron) else _real(cron, zone, after):
        if time > last:
            last = time
            yield time


def _hour_is_fixed(cron: str) -> bool:
    return not cron.split()[-4].startswith("*")


def _real(cron: str, zone: tzinfo, after: Micros) -> Iterator[Micros]:
    """Begun inside the hour that occurs twice, the library would give times of its first half again."""
    for found in CronSim(cron, datetime.fromtimestamp(after // SECOND, zone)):
        yield round(found.timestamp()) * SECOND


def _local(cron: str, zone: tzinfo, after: Micros) -> Iterator[Micros]:
    begin = datetime.fromtimestamp(after // SECOND, zone).replace(tzinfo=None) - _SLACK
    for found in CronSim(cron, begin):
        yield _instant(found, zone)


def _instant(local: datetime, zone: tzinfo) -> Micros:
    """The first moment at which clocks show this, else the first at which they show something later."""
    moment = local
    while (at := round(moment.replace(tzinfo=zone).timestamp())) and _shown(at, zone) != moment:
        moment = moment.replace(second=0) + timedelta(seconds=_MINUTE)
    return at * SECOND


def _shown(at: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(at, zone).replace(tzinfo=None)


def first_times(timing: Timing, after: Micros, count: int) -> list[Micros]:
    """The next few times."""
    return list(islice(times(timing, after), count))
