"""What meets in one batch ends as if it had come one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from engine.plant import NS, Plant, completion, join, node
from stoker.core.protocol import ReportRequest
from stoker.engine.again import RetryRun


async def together(plant: Plant, *calls: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Have these calls meet in one batch: they are made while another commit runs."""
    held, go = asyncio.Event(), asyncio.Event()
    real = plant.engine.store.transact

    async def hold(work: Any) -> Any:
        plant.engine.store.transact = real  # type: ignore[method-assign]
        held.set()
        await go.wait()
        return await real(work)

    plant.engine.store.transact = hold  # type: ignore[method-assign]
    first = asyncio.create_task(plant.trigger("other"))
    await held.wait()
    made = []
    for count, call in enumerate(calls, 1):
        made.append(asyncio.ensure_future(call()))
        while len(plant.engine.batches._queue) < count:
            await asyncio.sleep(0)
    go.set()
    await first
    return await asyncio.gather(*made)


@pytest.mark.parametrize("joined", [False, True])
async def test_a_cancel_right_behind_the_last_complete_loses_nothing(plant: Plant, joined: bool) -> None:
    await plant.push(node("x"), name="other")
    nodes = [node("a"), *([node("j", join("a"))] if joined else [])]
    await plant.push(*nodes)
    run, hand = await plant.trigger(), plant.hand()
    (task,) = await hand.claim()
    report = ReportRequest(session=hand.secret, reports=[completion(task)])
    answer, _ = await together(
        plant, lambda: plant.engine.leases.report(NS, report), lambda: plant.engine.runs.cancel(NS, run)
    )
    assert answer.receipts[0].status == "accepted"
    hand.drop()
    await plant.tick()
    if joined:
        assert (await plant.run(run)).state == "CANCELLED"
        await plant.engine.runs.retry(NS, run)
        (last,) = [each for each in await hand.claim(9) if each.node == "j"]
        await hand.complete(last)
    assert (await plant.run(run)).state == "SUCCEEDED"


async def test_a_retry_right_behind_the_sweep_that_ends_its_run_offers_every_task_again(plant: Plant) -> None:
    await plant.push(node("x"), name="other")
    await plant.push(node("a"), node("b"))
    run = await plant.trigger()
    await plant.engine.runs.cancel(NS, run)
    await plant.settled()
    batches = plant.engine.batches
    _, answered = await together(plant, plant.engine.upkeep.sweep, lambda: batches.submit(RetryRun(run)))
    assert answered.value.retried == 2
    assert await plant.states(run) == ["READY", "READY"]
