"""Schedules on the engine: firings, overlap, catching up, runs by hand, and what cannot be started."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.plant import NS, START, Hand, Plant, encoded, meet, node, run_input
from stoker.core.duration import SECOND
from stoker.core.schedule_views import FiringView, RunNowRequest, ScheduleSpec, ScheduleView
from stoker.engine.firing import FireSchedule
from stoker.engine.ports import CommitUnknown
from stoker.errors import Conflict, Invalid, NotFound, StokerError

QUARTER = 900
FIRST = START // SECOND // QUARTER * QUARTER + QUARTER  # the first quarter of an hour after the start


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


async def put(plant: Plant, name: str = "nightly", **options: Any) -> ScheduleView:
    options.setdefault("graph", "sample")
    if "cron" not in options:
        options.setdefault("every", "15m")
    return await plant.engine.schedules.put(NS, name, ScheduleSpec(**options))


async def firings(plant: Plant, name: str = "nightly") -> list[FiringView]:
    """Oldest first."""
    page = await plant.engine.schedules.firings(NS, name, limit=1_000, after=None)
    return page.items[::-1]


async def outcomes(plant: Plant, name: str = "nightly") -> list[str]:
    return [firing.outcome for firing in await firings(plant, name)]


async def until(plant: Plant, seconds: float) -> None:
    """Let time pass up to a moment."""
    await plant.pass_time(seconds - plant.clock.now() / SECOND)


async def worked(hand: Hand) -> None:
    """All that is there, done."""
    while tasks := await hand.claim(10):
        for task in tasks:
            await hand.complete(task)


async def test_a_schedule_starts_the_newest_version_with_what_it_was_given(plant: Plant) -> None:
    await plant.push(node("a", bind={"day": run_input("day"), "x": run_input("x")}), inputs=["day", "x"])
    view = await put(
        plant,
        cron="30 6 * * *",
        zone="Europe/Berlin",
        inputs={"x": encoded(7)},
        logical_time_as="day",
        tags={"team": "blue"},
        priority=8,
    )
    assert (view.created, view.paused, len(view.next)) == (True, False, 5)
    assert view.next[0] == datetime(2023, 11, 15, 5, 30, tzinfo=UTC)
    await plant.push(node("a", bind={"day": run_input("day")}), node("b"), inputs=["day", "x"])
    await until(plant, view.next[0].timestamp() + 3)
    (firing,) = await firings(plant)
    assert (firing.at, firing.outcome, firing.extra) == (view.next[0], "fired", False)
    assert firing.run is not None
    run = await plant.run(firing.run)
    assert (run.version, run.priority, run.tags) == (2, 8, {"team": "blue"})
    assert (run.schedule, run.scheduled_at) == ("nightly", view.next[0])
    (listed,) = (await plant.engine.views.runs(NS, limit=5, after=None)).items
    assert (listed.schedule, listed.scheduled_at) == ("nightly", view.next[0])
    given = [msgspec.json.decode(bytes(task.input)) for task in await plant.hand().claim(5)]
    assert {"day": "2023-11-15T06:30:00+01:00"} in given
    assert (await plant.engine.schedules.get(NS, "nightly")).next[0] == view.next[1]


async def test_a_pinned_version_stays(plant: Plant) -> None:
    await plant.push(node("a"))
    await put(plant, version=1)
    await plant.push(node("a"), node("b"))
    await until(plant, FIRST)
    (firing,) = await firings(plant)
    assert firing.run is not None
    assert (await plant.run(firing.run)).version == 1


async def test_the_tick_sleeps_until_a_schedule_is_due(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.tick()
    await put(plant, start=moment(START / SECOND + 5))
    assert await plant.tick() <= 5 * SECOND


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("allow", ["fired", "fired", "fired"]),
        ("skip", ["fired", "skipped", "skipped"]),
        ("queue", ["fired", "queued", "skipped"]),
    ],
)
async def test_overlap(plant: Plant, overlap: str, expected: list[str]) -> None:
    await plant.push(node("a"))
    await put(plant, overlap=overlap)
    for number in range(3):
        await until(plant, FIRST + number * QUARTER)
    assert await outcomes(plant) == expected


async def test_the_end_of_a_run_fires_what_is_queued_behind_it_in_the_same_transaction(plant: Plant) -> None:
    await plant.push(node("a"))
    await put(plant, overlap="queue")
    for number in range(3):
        await until(plant, FIRST + number * QUARTER)
    first, queued, skipped = await firings(plant)
    assert skipped.reason == f"run {first.run} still runs, and one firing is queued behind it"
    assert queued.reason == f"run {first.run} still runs"
    hand = plant.hand()
    (task,) = await hand.claim()
    with plant.counting() as transactions:
        await hand.complete(task)
    assert transactions() == 1
    _, fired, _ = await firings(plant)
    assert (fired.outcome, fired.at) == ("fired", queued.at)
    assert fired.run is not None
    run = await plant.run(fired.run)
    assert (run.state, run.scheduled_at) == ("RUNNING", queued.at)
    await worked(hand)
    await until(plant, FIRST + 3 * QUARTER)
    assert await outcomes(plant) == ["fired", "fired", "skipped", "fired"]


async def test_a_cancelled_run_lets_the_queued_one_begin(plant: Plant) -> None:
    await plant.push(node("a"))
    await put(plant, overlap="queue")
    await until(plant, FIRST)
    await until(plant, FIRST + QUARTER)
    first, _ = await firings(plant)
    assert first.run is not None
    await plant.engine.runs.cancel(NS, first.run)
    await plant.tick()
    assert await outcomes(plant) == ["fired", "fired"]


async def test_what_is_queued_while_paused_is_skipped(plant: Plant) -> None:
    await plant.push(node("a"))
    await put(plant, overlap="queue")
    await until(plant, FIRST)
    await until(plant, FIRST + QUARTER)
    await plant.engine.schedules.pause(NS, "nightly", paused=True)
    await worked(plant.hand())
    _, second = await firings(plant)
    assert (second.outcome, second.reason, second.run) == ("skipped", "the schedule is paused", None)


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [("none", ["missed"]), ("latest", ["missed", "fired"]), ("all", ["fired"] * 7)],
)
async def test_after_a_week_away(plant: Plant, catch_up: str, expected: list[str]) -> None:
    await plant.push(node("a"))
    await put(plant, cron="0 6 * * *", zone="America/New_York", catch_up=catch_up, overlap="allow")
    plant.clock.advance(7 * 86_400)
    await plant.restart()
    plant.clock.advance(120)
    await plant.tick()
    found = await firings(plant)
    assert [firing.outcome for firing in found] == expected
    assert len({firing.at for firing in found}) == len(found)
    if found[0].outcome == "missed":
        assert found[0].until is not None
        assert found[0].until - found[0].at == timedelta(days=6 if catch_up == "none" else 5)
        assert f"(catch-up: {catch_up}" in found[0].reason
    await plant.tick()
    assert await outcomes(plant) == expected


async def test_a_firing_that_cannot_start_is_recorded_and_the_schedule_goes_on(plant: Plant) -> None:
    await plant.push(node("a"), inputs=[])
    await put(plant)
    await plant.push(node("a", bind={"x": run_input("x")}), inputs=["x"])
    await until(plant, FIRST)
    (failed,) = await firings(plant)
    assert (failed.outcome, failed.run) == ("failed", None)
    assert "inputs.x: it is required" in failed.reason
    await plant.push(node("a"), inputs=[])
    await until(plant, FIRST + QUARTER)
    assert await outcomes(plant) == ["failed", "fired"]
    assert (await plant.engine.schedules.explain(NS, "nightly")).because[0].startswith("it is due next at 2023-11-14T")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"zone": "Mars/Olympus"}, "no time zone 'Mars/Olympus'"),
        ({"zone": "../etc/passwd"}, "no time zone"),
        ({"zone": "Europe"}, "no time zone"),
        ({"zone": "New York"}, "such as America/New_York"),
        ({"zone": "Europa/Berlin"}, "such as Europe/Berlin"),
        ({"cron": "0 0 30 2 *"}, "'0 0 30 2 *' cannot be meant: bad day-of-month"),
        ({"cron": "* * * *"}, "4 fields, not 5"),
        ({"cron": "* * * * *", "every": "1m"}, "either `cron` or `every`"),
        ({"every": None}, "either `cron` or `every`"),
        ({"every": "soon"}, "Write 90s"),
        ({"every": "0.5s"}, "shorter than 1 s"),
        ({"start": moment(10), "end": moment(9)}, "before the start"),
        ({"graph": "nothing"}, "has not got a graph 'nothing'"),
        ({"version": 9}, "has not got version 9"),
        ({"inputs": {"y": encoded(1)}}, "no such input"),
        ({"logical_time_as": "y"}, "no such input"),
        ({"logical_time_as": "x", "inputs": {"x": encoded(1)}}, "is given a value too"),
        ({"priority": 10}, "between 0 and 9"),
        ({"tags": {"": "x"}}, "tag"),
    ],
)
async def test_what_cannot_be_meant_is_refused_when_it_is_made(plant: Plant, wrong: dict[str, Any], says: str) -> None:
    await plant.push(node("a"), inputs=[])
    with pytest.raises(StokerError) as caught:
        await put(plant, **wrong)
    assert says in str(caught.value)
    assert (await plant.engine.schedules.list(NS, limit=5, after=None)).items == []


@pytest.mark.parametrize(("name", "says"), [("a/b", "holds a slash"), ("", "at least one"), ("a\nb", "control")])
async def test_a_name_that_no_path_can_hold_is_refused(plant: Plant, name: str, says: str) -> None:
    await plant.push(node("a"))
    with pytest.raises(Invalid, match=says):
        await put(plant, name)


async def test_pausing_and_resuming_catches_nothing_up(plant: Plant) -> None:
    await plant.push(node("a"))
    await put(plant, catch_up="all", overlap="allow")
    paused = await plant.engine.schedules.pause(NS, "nightly", paused=True)
    assert (paused.paused, paused.next) == (True, [])
    told = await plant.engine.schedules.explain(NS, "nightly")
    assert (told.state, told.because[0]) == ("PAUSED", "it is paused")
    await until(plant, FIRST + 5 * QUARTER + 1)
    assert await outcomes(plant) == []
    again = await plant.engine.schedules.pause(NS, "nightly", paused=False)
    assert again.next[0] == moment(FIRST + 6 * QUARTER)
    await until(plant, FIRST + 6 * QUARTER)
    assert await outcomes(plant) == ["fired"]


async def test_a_change_that_leaves_its_times_loses_none_and_keeps_it_paused(plant: Plant) -> None:
    await plant.push(node("a"), inputs=["x"], name="other")
    await plant.push(node("a"))
    await put(plant)
    plant.clock.advance(2 * QUARTER)  # something is due that no tick has seen
    changed = await put(plant, priority=9)
    assert (changed.created, changed.spec.priority) == (False, 9)
    await plant.tick()
    assert await outcomes(plant) == ["missed", "fired"]
    await put(plant, paused=True)
    assert (await put(plant, priority=1)).paused
    assert not (await put(plant, paused=False)).paused
    later = await put(plant, every="1h")
    assert later.next[0].timestamp() % 3600 == 0


async def test_run_now_is_an_extra_run_with_a_key_of_its_own(plant: Plant) -> None:
    await plant.push(node("a", bind={"at": run_input("at")}), inputs=["at"])
    await put(plant, logical_time_as="at", paused=True)
    run = await plant.engine.schedules.run(NS, "nightly", RunNowRequest(idempotency_key="k"))
    plant.clock.advance(5)
    again = await plant.engine.schedules.run(NS, "nightly", RunNowRequest(idempotency_key="k"))
    assert (again.id, run.created, again.created) == (run.id, True, False)
    other = await plant.engine.schedules.run(NS, "nightly", RunNowRequest())
    twin = await plant.engine.schedules.run(NS, "nightly", RunNowRequest())
    assert len({run.id, other.id, twin.id}) == 3
    assert [firing.extra for firing in await firings(plant)] == [True, True, True]
    assert (await plant.run(run.id)).scheduled_at == moment(START / SECOND)
    await put(plant, "twin", logical_time_as="at")
    with pytest.raises(Conflict, match="which this schedule did not start"):
        await plant.engine.schedules.run(NS, "twin", RunNowRequest(idempotency_key="k"))


async def test_a_run_by_hand_that_does_not_fit_is_refused(plant: Plant) -> None:
    await plant.push(node("a"))
    await put(plant)
    await plant.push(node("a", bind={"x": run_input("x")}), inputs=["x"])
    with pytest.raises(Invalid, match="it is required"):
        await plant.engine.schedules.run(NS, "nightly", RunNowRequest())
    assert await firings(plant) == []


async def test_a_run_by_hand_keeps_the_next_time_from_overlapping(plant: Plant) -> None:
    await plant.push(node("a"))
    await put(plant, overlap="queue")
    run = await plant.engine.schedules.run(NS, "nightly", RunNowRequest())
    await until(plant, FIRST)
    told = await plant.engine.schedules.explain(NS, "nightly")
    assert "is queued until the run before it has ended" in told.because[1]
    assert (await firings(plant))[-1].reason == f"run {run.id} still runs"


async def test_explain_says_what_was_skipped_and_why(plant: Plant) -> None:
    await plant.push(node("a"))
    await put(plant, end=moment(FIRST + QUARTER))
    assert (await plant.engine.schedules.explain(NS, "nightly")).because[1] == "it has not been due yet"
    await until(plant, FIRST)
    await until(plant, FIRST + QUARTER)
    told = await plant.engine.schedules.explain(NS, "nightly")
    assert told.state == "OVER"
    (first, _) = await firings(plant)
    assert told.because[1].endswith(f"was skipped, because run {first.run} still runs")


async def test_a_deleted_schedule_is_gone_and_its_runs_go_on(plant: Plant) -> None:
    await plant.push(node("a"))
    await put(plant, overlap="queue")
    await until(plant, FIRST)
    await until(plant, FIRST + QUARTER)
    (first, _) = await firings(plant)
    await plant.engine.schedules.delete(NS, "nightly")
    assert first.run is not None
    await worked(plant.hand())
    run = await plant.run(first.run)
    assert (run.state, run.schedule, run.scheduled_at) == ("SUCCEEDED", None, moment(FIRST))
    assert len((await plant.engine.views.runs(NS, limit=5, after=None)).items) == 1
    for missing in (
        plant.engine.schedules.get(NS, "nightly"),
        plant.engine.schedules.delete(NS, "nightly"),
        plant.engine.schedules.run(NS, "nightly", RunNowRequest()),
    ):
        with pytest.raises(NotFound, match="has no schedule 'nightly'"):
            await missing


async def test_what_runs_by_now_is_locked_before_anything_is_queued_behind_it(plant: Plant) -> None:
    """A server that looked before a run began does nothing: that run could end before what is queued can be seen."""
    await plant.push(node("a"))
    await put(plant, overlap="queue")
    await plant.engine.schedules.run(NS, "nightly", RunNowRequest())
    plant.clock.time = FIRST * SECOND
    ((id_,),) = await plant.sql("SELECT id FROM schedule")
    await plant.engine.batches.submit(FireSchedule(id_, (), plant.engine._ids))
    assert await outcomes(plant) == ["fired"]
    await plant.tick()
    assert await outcomes(plant) == ["fired", "queued"]


async def test_when_the_clock_goes_back_nothing_fires_twice(plant: Plant) -> None:
    await plant.push(node("a"))
    await put(plant, overlap="allow")
    await until(plant, FIRST + 1)
    plant.clock.advance(-2 * QUARTER)
    await plant.tick()
    await until(plant, FIRST + 2)
    assert await outcomes(plant) == ["fired"]
    await until(plant, FIRST + QUARTER)
    assert await outcomes(plant) == ["fired", "fired"]


async def test_a_time_that_comes_up_again_by_a_clock_that_went_back_and_a_change_fires_once(plant: Plant) -> None:
    await plant.push(node("a"))
    await put(plant, overlap="allow")
    await until(plant, FIRST + QUARTER)
    plant.clock.advance(-2 * QUARTER)
    changed = await put(plant, overlap="allow", cron="*/15 * * * *", catch_up="all")
    assert changed.next[0] == moment(FIRST)
    await until(plant, FIRST + 2 * QUARTER)
    found = await firings(plant)
    assert [firing.at for firing in found if firing.run] == [moment(FIRST + number * QUARTER) for number in range(1, 3)]
    assert [firing.outcome for firing in found] == ["missed", "fired", "fired"]


async def test_lists_are_paged_and_belong_to_a_namespace(plant: Plant) -> None:
    await plant.push(node("a"))
    for name in ("c", "a", "b"):
        await put(plant, name)
    page = await plant.engine.schedules.list(NS, limit=2, after=None)
    rest = await plant.engine.schedules.list(NS, limit=2, after=page.after)
    assert [view.name for view in page.items + rest.items] == ["a", "b", "c"]
    assert [len(view.next) for view in page.items] == [1, 1]
    assert rest.after is None
    await until(plant, FIRST)
    await until(plant, FIRST + QUARTER)
    newest = await plant.engine.schedules.firings(NS, "a", limit=1, after=None)
    oldest = await plant.engine.schedules.firings(NS, "a", limit=1, after=newest.after)
    assert [firing.at for firing in newest.items + oldest.items] == [moment(FIRST + QUARTER), moment(FIRST)]
    await plant.engine._namespaces.made("other")
    with pytest.raises(NotFound):
        await plant.engine.schedules.get("other", "a")


async def test_a_firing_whose_commit_is_unknown_happens_once(plant: Plant) -> None:
    await plant.push(node("a"))
    await put(plant)
    lost = [True]

    async def after_the_commit(real: Any, work: Any) -> Any:
        answer = await real(work)
        if lost and plant.clock.now() >= FIRST * SECOND:
            lost.clear()
            raise CommitUnknown("cut")
        return answer

    plant.seam(after_the_commit)
    await until(plant, FIRST)
    assert not lost
    assert await outcomes(plant) == ["fired"]
    assert len((await plant.engine.views.runs(NS, limit=5, after=None)).items) == 1


async def test_ticks_of_one_server_that_race_fire_once(plant: Plant) -> None:
    await plant.push(node("a"))
    await put(plant, overlap="allow")
    for number in range(3):
        plant.clock.time = (FIRST + number * QUARTER) * SECOND
        await asyncio.gather(*(plant.engine.upkeep.fire() for _ in range(5)))
    assert await outcomes(plant) == ["fired"] * 3


async def test_three_servers_whose_ticks_race_fire_each_time_once(database: str, tmp_path: Path) -> None:
    plants = [await Plant(tmp_path / "data", seed=seed, database=database).start() for seed in range(3)]
    try:
        await meet(*plants)
        await plants[0].push(node("a"))
        await put(plants[0], overlap="queue")
        hand = plants[1].hand()
        for number in range(12):
            for plant in plants:
                plant.clock.time = (FIRST + number * QUARTER) * SECOND
            tasks = await hand.claim() if number % 3 == 2 else []
            ends = [hand.complete(task) for task in tasks]
            await asyncio.gather(*(plant.engine.upkeep.fire() for plant in plants), *ends)
            for plant in plants:
                await plant.tick()
        found = await firings(plants[0])
        assert [firing.at for firing in found] == [moment(FIRST + number * QUARTER) for number in range(12)]
        runs = [firing.run for firing in found if firing.run is not None]
        assert len(set(runs)) == len(runs) >= 3
        states = [(await plants[0].run(run)).state for run in runs]
        assert states.count("RUNNING") == 1
        assert len((await plants[0].engine.views.runs(NS, limit=50, after=None)).items) == len(runs)
    finally:
        for plant in plants:
            await plant.stop()
