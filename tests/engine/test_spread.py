"""Wide fan-out in slices on the whole engine: what callers see does not depend on how much of it has been made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.plant import NS, Hand, ManualClock, Plant, after, completion, join, node
from stoker.bootstrap.engine import opened
from stoker.core import unlock
from stoker.core.graph import ITEM_KIND, Ref
from stoker.core.views import NodeCounts
from stoker.engine import upkeep
from stoker.engine.upkeep import Spread
from stoker.errors import Unavailable

WIDE = 9  # children; with slices of two: two tasks and four rows
ALL = {"all": Ref(node="b", many=True)}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unlock, "SLICE", 2)
    monkeypatch.setattr(upkeep, "ROWS", 1)


async def fanned(plant: Plant, *, compares: bool = True) -> tuple[int, Hand]:
    """A run whose first node has settled with WIDE elements."""
    await plant.push(
        node("a"),
        node("b", after("a", ())),
        node("c", join("b", anchor="a"), bind=ALL),
        result=Ref(node="c"),
    )
    run = await plant.trigger()
    hand = plant.hand(capacity=100)
    hand.closed = not compares
    (task,) = await hand.claim()
    await hand.complete(task, list(range(WIDE)))
    return run, hand


async def rows(plant: Plant) -> list[tuple[int, int]]:
    """The spread rows: how many tasks, and their state."""
    return await plant.sql("SELECT tasks, state FROM spread ORDER BY id")


async def counts(plant: Plant, run: int) -> NodeCounts:
    return next(each for each in (await plant.run(run)).nodes if each.node == "b")


async def finished(plant: Plant, run: int, hand: Hand) -> str:
    """Do everything that there is to do."""
    while not await plant.tick() or await hand.claim(100) or hand.held:
        await hand.report(*(completion(task, task.task) for task in list(hand.held.values())))
    return (await plant.run(run)).state


async def test_a_wide_fan_out_is_made_in_slices_and_looks_whole_all_the_time(plant: Plant) -> None:
    run, hand = await fanned(plant)
    for left in ([2, 2, 2, 1], [2, 2, 1], [2, 1], [1], []):
        assert [tasks for tasks, _ in await rows(plant)] == left
        assert len(await plant.tasks(run, "b")) == WIDE - sum(left)
        assert (await counts(plant, run)).ready == WIDE
        assert (await plant.run(run)).tasks == WIDE + 1
        assert await plant.engine.upkeep.spread() == bool(left)
    tasks = [task.task for task in await hand.claim(100)]
    assert await finished(plant, run, hand) == "SUCCEEDED"
    assert [task.branch for task in await plant.tasks(run, "b")] == [f"a[{number}]" for number in range(WIDE)]
    assert (await counts(plant, run)).succeeded == WIDE
    assert len(tasks) == WIDE


async def test_the_first_tasks_are_run_before_the_last_slice_is_made(plant: Plant) -> None:
    run, hand = await fanned(plant)
    for task in await hand.claim(100):
        await hand.complete(task)
    assert len(await rows(plant)) == 4
    assert ((await counts(plant, run)).succeeded, (await counts(plant, run)).ready) == (2, WIDE - 2)
    assert await plant.states(run, "c") == []
    assert await finished(plant, run, hand) == "SUCCEEDED"


async def test_a_join_gets_what_every_slice_gave_in_order(plant: Plant) -> None:
    _, hand = await fanned(plant)
    await plant.tick()
    for task in reversed(await hand.claim(100)):
        await hand.complete(task, task.branch)
    (task,) = await hand.claim()
    assert bytes(task.input) == b'{"all":[%s]}' % b",".join(b'"a[%d]"' % number for number in range(WIDE))


async def test_a_waiting_runner_is_woken_by_each_slice(plant: Plant) -> None:
    _, hand = await fanned(plant)
    await hand.claim(100)
    for _ in range(4):
        stream = hand.waiting(2)
        await hand.armed()
        assert await plant.engine.upkeep.spread()
        assert (await stream).tasks


async def test_every_slice_is_a_transaction_and_other_calls_go_between(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fanned(plant)
    monkeypatch.setattr(upkeep, "ROWS", 3)
    with plant.counting() as transactions:
        assert await plant.engine.upkeep.spread()
        assert transactions() == 3
    await fanned(plant)
    monkeypatch.setattr(upkeep, "ROWS", 5)
    spreading = asyncio.create_task(plant.engine.upkeep.spread())
    await plant.trigger()
    assert not spreading.done()
    assert await spreading
    assert await rows(plant) == []


async def test_a_fan_out_of_one_slice_makes_no_row(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unlock, "SLICE", WIDE)
    run, _ = await fanned(plant)
    assert (len(await plant.tasks(run, "b")), await rows(plant)) == (WIDE, [])
    assert not await plant.engine.upkeep.spread()


async def test_slices_need_nobody_to_tick(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    async with opened(tmp_path, durable=False) as engine:
        plant.engine, plant.clock = engine, engine.clock  # type: ignore[assignment]
        run, hand = await fanned(plant, compares=False)  # the clock runs here: no promise is kept to the microsecond
        done = 0
        while done < WIDE:
            for task in (await asyncio.wait_for(hand.waiting(100), 10)).tasks:
                done += (await hand.complete(task)).status == "accepted"
        assert (await counts(plant, run)).succeeded == WIDE


# --- cancel and retry ---


async def cancelled(plant: Plant) -> tuple[int, Hand]:
    """A run cancelled when one slice was done, one made, and the others not."""
    run, hand = await fanned(plant)
    for task in await hand.claim(100):
        await hand.complete(task)
    await plant.engine.upkeep.spread()
    await plant.engine.runs.cancel(NS, run)
    return run, hand


async def test_a_cancel_ends_what_was_not_made_yet_too(plant: Plant) -> None:
    run, hand = await cancelled(plant)
    assert not await plant.engine.upkeep.spread()
    assert (await plant.run(run)).state == "RUNNING"
    await plant.tick()
    view, found = await plant.run(run), await counts(plant, run)
    assert (view.state, view.tasks) == ("CANCELLED", WIDE + 1)
    assert (found.ready, found.succeeded, found.cancelled) == (0, 2, WIDE - 2)
    assert await rows(plant) == [(2, 6), (2, 6), (1, 6)]
    assert await plant.sql("SELECT open, failed FROM run") == [(0, WIDE - 2)]
    assert await hand.claim(100) == []


async def test_a_retry_of_a_cancelled_run_makes_what_was_not_made(plant: Plant) -> None:
    run, hand = await cancelled(plant)
    await plant.tick()
    answer = await plant.engine.runs.retry(NS, run)
    assert (answer.retried, plant.engine.alarm.planned) == (WIDE - 2, 0)
    found = await counts(plant, run)
    assert (found.ready, found.succeeded, found.cancelled) == (WIDE - 2, 2, 0)
    assert await finished(plant, run, hand) == "SUCCEEDED"
    assert await rows(plant) == []
    assert (await counts(plant, run)).succeeded == WIDE


async def test_a_cancel_in_the_batch_of_a_slice_cancels_all(plant: Plant) -> None:
    run, _ = await fanned(plant)
    await asyncio.gather(plant.engine.upkeep.spread(), plant.engine.runs.cancel(NS, run))
    await plant.tick()
    assert ((await plant.run(run)).state, (await counts(plant, run)).cancelled) == ("CANCELLED", WIDE)


# --- what goes wrong ---


async def test_a_server_killed_between_slices_leaves_the_rest_to_the_next(plant: Plant) -> None:
    run, hand = await fanned(plant)
    await plant.engine.upkeep.spread()
    await plant.crash()
    assert (len(await rows(plant)), (await counts(plant, run)).ready) == (3, WIDE)
    assert await finished(plant, run, hand) == "SUCCEEDED"


@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_slice_whose_commit_fails_or_goes_unheard_is_made_once(plant: Plant, side: str) -> None:
    run, hand = await fanned(plant)

    async def broken(real: Callable[[Any], Awaitable[Any]], work: Any) -> Any:
        if side == "after":
            await real(work)
        raise Unavailable("the connection broke")

    real = plant.engine.store.transact
    plant.seam(broken)
    with pytest.raises(Unavailable):
        await plant.engine.upkeep.spread()
    plant.engine.store.transact = real  # type: ignore[method-assign]
    assert len(await plant.tasks(run, "b")) == (4 if side == "after" else 2)
    await plant.tick()
    assert len(await plant.tasks(run, "b")) == WIDE
    assert await finished(plant, run, hand) == "SUCCEEDED"


async def test_a_row_that_two_servers_picked_is_spread_once(plant: Plant) -> None:
    run, _ = await fanned(plant)
    ((row,), *_) = await plant.sql("SELECT id FROM spread ORDER BY id")
    await asyncio.gather(*(plant.engine.batches.submit(Spread(run, row)) for _ in range(3)))
    await plant.engine.batches.submit(Spread(run, row))
    assert (len(await plant.tasks(run, "b")), len(await rows(plant))) == (4, 3)


async def test_a_row_that_was_spread_before_the_sweep_came_to_it_is_left_alone(plant: Plant) -> None:
    run, _ = await fanned(plant)
    ((row,), *_) = await plant.sql("SELECT id FROM spread ORDER BY id")
    await plant.engine.upkeep.spread()
    await plant.engine.runs.cancel(NS, run)
    await plant.engine.batches.submit(upkeep.Sweep(run, [], [row], []))
    assert await plant.sql("SELECT open FROM run") == [(WIDE,)]


async def test_servers_on_one_database_spread_a_fan_out_together(tmp_path: Path, database: str) -> None:
    """Both pick the same rows; one of them dies on the way."""
    clock = ManualClock()
    here = await Plant(tmp_path / "data", database=database, clock=clock).start()
    there = await Plant(tmp_path / "data", database=database, clock=clock, seed=1).start()
    run, _ = await fanned(here)
    await asyncio.gather(here.engine.upkeep.spread(), there.engine.upkeep.spread())
    made = len(await there.tasks(run, "b"))
    assert made in (4, 6)  # the same row, or one each
    assert sum(tasks for tasks, _ in await rows(there)) == WIDE - made
    await here.kill()
    hand = there.hand(capacity=100)
    assert await finished(there, run, hand) == "SUCCEEDED"
    assert (await counts(there, run)).succeeded == WIDE
    await there.stop()


# --- what it says and costs ---


async def test_inline_elements_wait_in_rows_and_keep_their_values(plant: Plant) -> None:
    await plant.push(
        node("a"),
        node("i", after("a", ()), kind=ITEM_KIND),
        node("b", after("i"), bind={"x": Ref(node="i")}),
        node("c", join("b", anchor="i")),
        node("d", join("c")),
    )
    run = await plant.trigger()
    hand = plant.hand(capacity=100)
    (task,) = await hand.claim()
    values = [f"{number}" * 2_000 for number in range(5)]
    await hand.complete(task, values)
    assert len(await rows(plant)) == 2
    await plant.tick()
    tasks = await hand.claim(100)
    assert [bytes(task.input) for task in tasks] == [b'{"x":"%s"}' % value.encode() for value in values]
    assert await finished(plant, run, hand) == "SUCCEEDED"
    assert await plant.states(run, "d") == ["SUCCEEDED"]


async def test_explain_says_how_much_is_still_to_be_made(plant: Plant) -> None:
    run, hand = await fanned(plant)
    found = await plant.engine.views.explain_run(NS, run)
    assert f"{WIDE - 2} more tasks of 'b' are being made, slice by slice" in found.because
    await finished(plant, run, hand)
    found = await plant.engine.views.explain_run(NS, run)
    assert not any("slice" in reason for reason in found.because)


async def test_a_slice_costs_few_statements(plant: Plant) -> None:
    run, _ = await fanned(plant)
    ((row,), *_) = await plant.sql("SELECT id FROM spread ORDER BY id")
    before = plant.engine.store.statements
    await plant.engine.batches.submit(Spread(run, row))
    assert plant.engine.store.statements - before <= 8
