"""Random live runs, on each store and with two servers on one database; and the race of a claim with a publish."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from engine.live_chaos import LiveChaos
from engine.plant import Plant
from engine.test_live import chain, given, publish, stands
from stoker.engine.ports import CommitUnknown

SEEDS = max(8, int(os.environ.get("STOKER_SEEDS", "0")))


@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_no_change_is_missed(plant: Plant, seed: int) -> None:
    await _play(LiveChaos(seed, [plant]))


@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_no_change_is_missed_where_two_servers_race(servers: tuple[Plant, Plant], seed: int) -> None:
    await _play(LiveChaos(1000 + seed, servers))


async def _play(chaos: LiveChaos) -> None:
    await chaos.start()
    for _ in range(chaos.dice.randint(15, 40)):
        await chaos.round()
    await chaos.finish()
    await chaos.check_end()


class Held:
    """A server's next transaction: held between its last statement and its commit."""

    def __init__(self, plant: Plant) -> None:
        self.done = asyncio.Event()
        self.go_on = asyncio.Event()
        self._once = True
        plant.seam(self._transact)

    async def reached(self) -> None:
        """Return when the transaction has said all it has to."""
        async with asyncio.timeout(20):
            await self.done.wait()

    async def _transact(self, real: Callable[..., Awaitable[Any]], work: Callable[[Any], Awaitable[Any]]) -> Any:
        if not self._once:
            return await real(work)
        self._once = False

        async def held(tx: Any) -> Any:
            answer = await work(tx)
            self.done.set()
            await self.go_on.wait()
            return answer

        return await real(held)


async def waits_for_a_lock(plant: Plant) -> None:
    async with asyncio.timeout(20):
        while not (await plant.sql("SELECT COUNT(*) FROM pg_locks WHERE NOT granted"))[0][0]:
            await asyncio.sleep(0.01)


async def test_a_publish_waits_for_a_claim_and_marks_what_it_took(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    run, _ = await chain(here, {"x": 1})
    hand = there.hand()
    await hand.ask(0)
    held = Held(there)
    claim = asyncio.create_task(hand.claim())
    try:
        await held.reached()
        publishing = asyncio.create_task(publish(here, run, "x", 2))
        await waits_for_a_lock(here)
    finally:
        held.go_on.set()
    (task,) = await claim
    await publishing
    assert given(task) == {"x": 1}
    assert (await stands(here, run, "a")).dirty
    await hand.complete(task)
    assert {each.node: given(each) for each in await hand.claim(10)}["a"] == {"x": 2}


async def test_a_claim_passes_by_what_a_publish_is_changing(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    run, _ = await chain(here, {"x": 1})
    hand = there.hand()
    held = Held(here)
    publishing = asyncio.create_task(publish(here, run, "x", 2))
    try:
        await held.reached()
        assert await hand.claim() == []
    finally:
        held.go_on.set()
    await publishing
    (task,) = await here.hand().claim()
    assert given(task) == {"x": 2}


async def test_an_unheard_publish_that_was_committed_is_not_published_twice(plant: Plant) -> None:

    run, _ = await chain(plant)
    first = await publish(plant, run, "x", 6)  # so that the next one has its ids
    lost = iter([True])

    async def after_the_commit(real: Callable[..., Awaitable[Any]], work: Any) -> Any:
        answer = await real(work)
        if next(lost, False):
            raise CommitUnknown("the connection was lost")
        return answer

    plant.seam(after_the_commit)
    output = await publish(plant, run, "x", 7)
    assert next(lost, False) is False
    assert await plant.sql("SELECT id FROM output ORDER BY number") == [(first.id,), (output.id,)]
    assert msgspec.json.decode(output.value) == 7  # type: ignore[arg-type]  # it is small
