"""Small tests, each of one guard that nothing smaller than the state machine stood behind."""

from __future__ import annotations

import pytest

from engine.plant import NS, Plant, failure, join, node
from stoker.core.protocol import Log, Requeue
from stoker.engine.upkeep import Due
from stoker.errors import Conflict


async def test_the_nth_loss_is_the_last(plant: Plant) -> None:
    await plant.push(node("a", max_losses=2))
    run = await plant.trigger()
    for state in ("READY", "FAILED"):
        await plant.hand().claim()
        await plant.pass_time(21)
        assert await plant.states(run) == [state]


async def test_a_delayed_task_is_not_offered_before_its_time_whoever_looks(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim()
    await hand.report(Requeue(task=task.task, attempt=task.attempt, after_s=2))
    await plant.engine.batches.submit(Due([task.task]))
    assert await hand.claim() == []
    await plant.pass_time(2)
    assert len(await hand.claim()) == 1


async def test_a_run_that_stops_at_a_failure_decides_no_join_by_it(plant: Plant) -> None:
    await plant.push(node("a"), node("b", join("a", policy="all_done")), on_failure="stop")
    run = await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim()
    await hand.report(failure(task), want=1)
    await plant.tick()
    assert await plant.states(run) == ["FAILED"]
    assert (await plant.run(run)).state == "FAILED"


async def test_a_running_run_is_not_retried_though_tasks_of_it_failed(plant: Plant) -> None:
    await plant.push(node("a"), node("b"))
    run = await plant.trigger()
    hand = plant.hand()
    await hand.fail(*await hand.claim())
    with pytest.raises(Conflict, match="still running"):
        await plant.engine.runs.retry(NS, run)


async def test_a_chunk_of_a_log_that_is_said_twice_is_kept_once(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim()
    for _ in range(2):
        (receipt,) = await hand.report(Log(task=task.task, attempt=task.attempt, seq=0, text="x"))
        hand.held[task.task, task.attempt] = task
        assert receipt.status == "accepted"
    assert await plant.sql("SELECT seq, text FROM log") == [(0, "x")]
