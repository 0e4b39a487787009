"""The engine with its own ticks: what is due happens by itself, and is planned for as soon as it is known."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.plant import NS, Plant, node
from stoker.bootstrap.engine import opened


async def test_a_timeout_a_retry_and_a_cancel_need_nobody_to_tick(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    async with opened(tmp_path, durable=False) as engine:
        plant.engine, plant.clock = engine, engine.clock  # type: ignore[assignment]
        await plant.push(node("a", timeout="50ms"))
        run = await plant.trigger()
        hand = plant.hand()
        hand.closed = True  # the clock runs here, so that promises cannot be compared to the microsecond
        await hand.claim(1)
        view = await asyncio.wait_for(engine.runs.wait(NS, run, 10), 11)
        assert (view.state, view.causes[0].code) == ("FAILED", "timeout")
        await plant.push(node("b"))
        run = await plant.trigger()
        await engine.runs.cancel(NS, run)
        assert (await engine.runs.wait(NS, run, 10)).state == "CANCELLED"


async def test_an_idle_engine_makes_no_transaction(tmp_path: Path) -> None:
    plant = await Plant(tmp_path).start()
    await plant.push(node("a"))
    plant.clock.advance(25)
    await plant.tick()
    with plant.counting() as transactions:
        for _ in range(50):
            plant.clock.advance(30)
            await plant.tick()
    assert transactions() == 0
    await plant.stop()


async def test_idle_runners_cost_two_transactions_a_minute_together(tmp_path: Path) -> None:
    plant = await Plant(tmp_path).start()
    await plant.push(node("a"))
    hands = [plant.hand(f"hand{number}") for number in range(50)]
    streams = [hand.waiting(1) for hand in hands]
    for hand in hands:
        await hand.armed()
    await plant.pass_time(25)
    with plant.counting() as transactions:
        for _ in range(600):
            await plant.pass_time(1)
    assert transactions() <= 21
    plant.engine.dispatcher.end_all()
    await asyncio.gather(*streams)
    await plant.stop()
