"""What waiting runners cost: counted, not timed."""

from __future__ import annotations

import asyncio

import pytest

from engine.plant import Hand, Plant, node, until
from stoker.core.duration import SECOND
from stoker.core.protocol import ClaimAnswer

HANDED = 3  # statements of a trigger whose task is handed to a waiter: the run, the count of them all, and the task


async def waiting(plant: Plant, runners: int) -> list[asyncio.Task[ClaimAnswer]]:
    """So many runners with an open claim each, which have looked in vain."""
    hands = [plant.hand(f"hand{number}") for number in range(runners)]
    streams = [hand.waiting() for hand in hands]
    for hand in hands:
        await hand.armed()
    dispatcher = plant.engine.dispatcher
    await until(lambda: bool(dispatcher.waited_for()) and set(dispatcher.waited_for()) <= dispatcher._dry.keys())
    await plant.settled()
    return streams


async def dismissed(plant: Plant, streams: list[asyncio.Task[ClaimAnswer]]) -> None:
    plant.engine.dispatcher.end_all()
    await asyncio.gather(*streams)


@pytest.mark.parametrize("runners", [1, 50, 500])
async def test_a_task_reaches_one_of_many_waiting_runners_for_the_price_of_one(plant: Plant, runners: int) -> None:
    await plant.push(node("a"))
    await plant.trigger()  # ids, versions and statements are there from here on
    warm = plant.hand("warm")
    await warm.complete((await warm.claim())[0])
    streams = await waiting(plant, runners)
    statements = plant.engine.store.statements
    with plant.counting() as transactions:
        await plant.trigger()
        done, _ = await asyncio.wait(streams, return_when=asyncio.FIRST_COMPLETED, timeout=10)
    assert [len(stream.result().tasks) for stream in done] == [1]
    assert transactions() == 1
    assert plant.engine.store.statements - statements <= HANDED
    await dismissed(plant, streams)


async def test_fifty_tasks_reach_fifty_waiting_runners_in_one_transaction(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    warm = plant.hand("warm")
    await warm.complete((await warm.claim())[0])
    streams = await waiting(plant, 50)
    statements = plant.engine.store.statements
    with plant.counting() as transactions:
        await plant.engine.runs.trigger("default", [plant.request({})] * 50)
        answers = await asyncio.wait_for(asyncio.gather(*streams), 10)
    assert [len(answer.tasks) for answer in answers] == [1] * 50
    assert transactions() == 1
    assert plant.engine.store.statements - statements <= HANDED


async def test_fifty_idle_runners_cost_less_than_one_statement_a_second(plant: Plant) -> None:
    """Ten minutes with ticks whenever they are due, and every runner asking anew twice a minute."""
    await plant.push(node("a"))
    streams = await waiting(plant, 50)
    hands = [plant.hand(f"again{number}") for number in range(50)]
    for hand in hands:
        await hand.claim(0)
    await plant.pass_time(60)
    await plant.engine.peers.tick()
    statements = plant.engine.store.statements
    began = plant.clock.now()
    asked = [began]
    due = {"upkeep": began, "peers": began}
    while plant.clock.now() < began + 600 * SECOND:
        await _due(plant, hands, due, asked)
        nxt = min(*due.values(), asked[0] + 30 * SECOND)
        plant.clock.time = max(nxt, plant.clock.time + 1)
    used = plant.engine.store.statements - statements
    assert 0 < used <= (480 if plant.engine.store.shared else 120), f"{used} statements in 600 s"
    await dismissed(plant, streams)


async def _due(plant: Plant, hands: list[Hand], due: dict[str, int], asked: list[int]) -> None:
    now = plant.clock.now()
    if now >= due["upkeep"]:
        due["upkeep"] = now + await plant.engine.upkeep.tick()
    if now >= due["peers"]:
        due["peers"] = now + await plant.engine.peers.tick()
    if now >= asked[0] + 30 * SECOND:
        asked[0] = now
        await asyncio.gather(*(hand.claim(1) for hand in hands))
    await plant.settled()
