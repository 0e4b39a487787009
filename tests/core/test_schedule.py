"""When schedules fire: both changes of the clocks in two zones, the ends of months, outages, overlap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.core.duration import SECOND, Micros
from stoker.core.schedule import (
    LATE,
    MOST_CAUGHT_UP,
    Skip,
    Timing,
    cron_fault,
    due,
    first_times,
    next_time,
    overlapping,
)

BERLIN, NEW_YORK, LORD_HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")
DAY: Micros = 86_400 * SECOND
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def at(text: str) -> Micros:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


def shown(times: list[Micros]) -> list[str]:
    return [f"{datetime.fromtimestamp(time // SECOND, UTC):%Y-%m-%dT%H:%M}" for time in times]


def cron(text: str, zone: ZoneInfo = BERLIN, **bounds: Micros) -> Timing:
    return Timing(cron=text, zone=zone, **bounds)


def following(text: str, zone: ZoneInfo, after: str, count: int) -> list[str]:
    return shown(first_times(cron(text, zone), at(after), count))


@pytest.mark.parametrize(
    ("zone", "after", "expected"),
    [
        # 02:30 does not exist: the next instant that does, 03:00 summer time
        (BERLIN, "2026-03-28T00:00", ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]),
        (NEW_YORK, "2026-03-07T00:00", ["2026-03-07T07:30", "2026-03-08T07:00", "2026-03-09T06:30"]),
        # 02:30 (Berlin) occurs twice, and counts once; in New York it is 01:30 that does
        (BERLIN, "2026-10-24T00:00", ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]),
    ],
)
def test_a_fixed_hour_fires_once_on_the_days_the_clocks_change(zone: ZoneInfo, after: str, expected: list[str]) -> None:
    assert following("30 2 * * *", zone, after, 3) == expected


def test_a_fixed_hour_that_occurs_twice_in_new_york_fires_once() -> None:
    expected = ["2026-10-31T05:30", "2026-11-01T05:30", "2026-11-02T06:30"]
    assert following("30 1 * * *", NEW_YORK, "2026-10-31T00:00", 3) == expected


def test_a_fixed_hour_fires_at_each_of_its_minutes_and_seconds_once() -> None:
    twice = ["2026-11-01T05:00", "2026-11-01T05:30", "2026-11-02T06:00"]
    assert following("*/30 1 * * *", NEW_YORK, "2026-11-01T00:00", 3) == twice
    never = ["2026-03-08T07:00", "2026-03-09T06:00"]
    assert following("*/30 2 * * *", NEW_YORK, "2026-03-08T00:00", 2) == never
    half_past = first_times(cron("30 0 1 * * *", NEW_YORK), at("2026-11-01T00:00"), 2)
    assert [time % (86_400 * SECOND) // SECOND for time in half_past] == [5 * 3_600 + 30, 6 * 3_600 + 30]


def test_any_hour_follows_real_time_when_it_occurs_twice() -> None:
    found = ["2026-11-01T05:00", "2026-11-01T05:30", "2026-11-01T06:00", "2026-11-01T06:30", "2026-11-01T07:00"]
    assert following("*/30 * * * *", NEW_YORK, "2026-11-01T04:30", 5) == found


@pytest.mark.parametrize("after", ["2026-10-25T01:00", "2026-10-25T01:10", "2026-10-25T01:29"])
def test_looked_at_in_the_second_of_two_equal_hours_it_has_fired(after: str) -> None:
    """Begun there, the library would give 02:30 of the hour before, which is in the past."""
    assert following("30 2 * * *", BERLIN, after, 1) == ["2026-10-26T01:30"]


def test_times_that_fall_into_one_instant_fire_once() -> None:
    found = following("0,30 2,3 * * *", BERLIN, "2026-03-29T00:00", 3)
    assert found == ["2026-03-29T01:00", "2026-03-29T01:30", "2026-03-30T00:00"]


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
def test_an_hourly_expression_follows_the_time_that_really_passes(day: str, hours: int) -> None:
    first = datetime.fromisoformat(day).replace(tzinfo=BERLIN)
    last = (first.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=BERLIN)
    timing = cron("0 * * * *", end=round(last.timestamp()) * SECOND - 1)
    found = first_times(timing, round(first.timestamp()) * SECOND - 1, 100)
    assert len(found) == hours
    assert {later - earlier for earlier, later in pairwise(found)} == {3_600 * SECOND}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 0 29 2 *", ["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("0 0 31 * *", ["2026-01-31T00:00", "2026-03-31T00:00", "2026-05-31T00:00"]),
        ("0 0 L * *", ["2026-01-31T00:00", "2026-02-28T00:00", "2026-03-31T00:00"]),
        ("0 9 * * MON#1", ["2026-01-05T09:00", "2026-02-02T09:00"]),
        ("0 9 LW * *", ["2026-01-30T09:00", "2026-02-27T09:00"]),
    ],
)
def test_leap_days_and_ends_of_months(text: str, expected: list[str]) -> None:
    assert following(text, ZoneInfo("UTC"), "2026-01-01T00:00", len(expected)) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0 0 30 2 *", "day-of-month"),
        ("0 0 31 4,6 *", "day-of-month"),
        ("* * * *", "4 fields, not 5"),
        ("0 0 0 0 * * *", "7 fields, not 5"),
        ("60 * * * *", "bad minute"),
        ("@daily", "1 fields"),
        ("", "0 fields"),
        ("*/0 * * * *", "bad minute"),
        ("0 0 * * FOO", "bad day-of-week"),
        ("1" * 300 + " * * * *", "limit is 200"),
    ],
)
def test_an_expression_that_cannot_be_meant_is_told(text: str, says: str) -> None:
    assert says in (cron_fault(text, NOW) or "")


def test_intervals_stand_at_the_quarters_of_the_hour_or_count_from_the_start() -> None:
    every = Timing(every=15 * 60 * SECOND, zone=BERLIN)
    assert shown(first_times(every, at("2026-01-01T10:07"), 2)) == ["2026-01-01T10:15", "2026-01-01T10:30"]
    started = Timing(every=15 * 60 * SECOND, zone=BERLIN, start=at("2026-01-01T12:05"))
    assert shown(first_times(started, at("2026-01-01T10:07"), 2)) == ["2026-01-01T12:05", "2026-01-01T12:20"]
    assert next_time(started, at("2026-01-01T12:05")) == at("2026-01-01T12:20")


def test_the_start_and_the_end_are_within() -> None:
    timing = cron("0 12 * * *", ZoneInfo("UTC"), start=at("2026-01-02T12:00"), end=at("2026-01-03T12:00"))
    assert shown(first_times(timing, at("2026-01-01T00:00"), 9)) == ["2026-01-02T12:00", "2026-01-03T12:00"]


WEEK = cron("0 6 * * *", ZoneInfo("UTC"))
FIRST, BACK = at("2026-01-05T06:00"), at("2026-01-12T05:00")


@pytest.mark.parametrize(
    ("policy", "fired", "missed"),
    [("none", 0, "2026-01-11T06:00"), ("latest", 1, "2026-01-10T06:00"), ("all", 7, None)],
)
def test_after_a_week_away_a_schedule_catches_up_as_it_says(policy: Any, fired: int, missed: str | None) -> None:
    found = due(WEEK, FIRST, BACK, policy)
    expected = [FIRST + day * DAY for day in range(7)]
    assert found.fire == (expected[-fired:] if fired else [])
    assert found.missed == ((FIRST, at(missed)) if missed else None)
    assert found.next_at == at("2026-01-12T06:00")


def test_all_is_capped_at_the_newest_hundred() -> None:
    every = Timing(every=SECOND, zone=BERLIN)
    found = due(every, SECOND, 1_000_000 * SECOND, "all")
    assert len(found.fire) == MOST_CAUGHT_UP
    assert found.fire[-1] == 1_000_000 * SECOND
    assert found.missed == (SECOND, found.fire[0] - SECOND)


@pytest.mark.parametrize(("late", "fires"), [(0, True), (LATE, True), (LATE + 1, False)])
def test_what_comes_a_little_late_is_on_time_without_any_catching_up(late: Micros, fires: bool) -> None:
    found = due(WEEK, FIRST, FIRST + late, "none")
    assert (found.fire, found.missed) == (([FIRST], None) if fires else ([], (FIRST, FIRST)))


def test_when_the_clock_goes_back_nothing_is_due_again() -> None:
    after = due(WEEK, FIRST, FIRST, "all")
    assert after.next_at is not None
    assert due(WEEK, after.next_at, FIRST - DAY, "all") == ([], None, after.next_at)


def test_after_its_last_time_a_schedule_is_over() -> None:
    assert due(cron("0 6 * * *", ZoneInfo("UTC"), end=FIRST), FIRST, BACK, "latest") == ([FIRST], None, None)


@pytest.mark.parametrize(
    ("policy", "running", "queued", "expected"),
    [
        ("allow", 7, False, "start"),
        ("skip", None, False, "start"),
        ("queue", None, False, "start"),
        ("skip", 7, False, Skip("run 7 still runs")),
        ("queue", 7, False, "queue"),
        ("queue", 7, True, Skip("run 7 still runs, and one firing is queued behind it")),
    ],
)
def test_overlap(policy: Any, running: int | None, queued: bool, expected: object) -> None:
    assert overlapping(policy, running, queued) == expected


CRONS = st.sampled_from(["30 2 * * *", "0,30 2,3 * * *", "*/15 * * * *", "15 1 * * SUN", "0 0 L * *", "5 */2 * * *"])
ZONES = st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, ZoneInfo("UTC")])


@settings(deadline=None)
@given(CRONS, ZONES, st.integers(0, 40 * 365 * 86_400), st.integers(1, 12))
def test_times_rise_and_do_not_depend_on_where_one_begins(text: str, zone: ZoneInfo, after: int, cut: int) -> None:
    timing = cron(text, zone)
    found = first_times(timing, after * SECOND, 12)
    assert all(earlier < later for earlier, later in pairwise([after * SECOND, *found]))
    assert first_times(timing, found[cut - 1], 12 - cut) == found[cut:]


@settings(deadline=None)
@given(CRONS, ZONES, st.integers(0, 365 * 86_400), st.sampled_from(["none", "latest", "all"]), st.integers(1, 99))
def test_what_is_due_in_one_look_or_in_two_is_the_same_all_told(
    text: str, zone: ZoneInfo, after: int, policy: Any, cut: int
) -> None:
    """With `all`, and fewer than its cap, no time is lost or doubled wherever the looks fall."""
    timing = cron(text, zone)
    found = first_times(timing, after * SECOND, MOST_CAUGHT_UP)
    assert due(timing, found[0], found[-1], "all").fire == found
    first = due(timing, found[0], found[cut - 1], "all")
    assert first.fire == found[:cut]
    seen = due(timing, found[0], found[-1], policy)
    assert seen.next_at is not None
    assert seen.next_at > found[-1]
