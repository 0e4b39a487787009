"""The database stops, crashes and is killed under a load of triggers, claims and reports through two servers.

Nothing acknowledged is lost, nothing is doubled, and everybody goes on by themselves afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import pytest

from databases import Cluster
from engine.chaos import SEEDS
from engine.plant import NS, Hand, ManualClock, Plant, after, completion, node
from stoker.core.protocol import Assignment
from stoker.core.views import TriggerRequest
from stoker.errors import Unavailable

T = TypeVar("T")
STEP = 40  # acknowledged calls between one blow and the next


@pytest.fixture(scope="module")
def mortal() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
async def plants(mortal: Cluster, tmp_path: Path) -> AsyncIterator[list[Plant]]:
    """Two servers on one database."""
    url, clock = mortal.create(), ManualClock()
    plants = [Plant(tmp_path / "data", database=url, clock=clock, seed=number) for number in range(2)]
    for plant in plants:
        await plant.start()
    await plants[0].push(node("a"), node("b", after("a")))
    yield plants
    for plant in plants:
        await plant.stop()


class Load:
    """Callers that ask again until they are answered, and what they were answered."""

    def __init__(self, plants: list[Plant], dice: Random) -> None:
        self.plants = plants
        self.dice = dice
        self.runs: list[int] = []
        self.keyed: dict[str, set[int]] = {}
        self.accepted: list[tuple[int, int]] = []
        self.unavailable = 0
        self.over = False

    @property
    def acknowledged(self) -> int:
        return len(self.runs) + len(self.accepted)

    async def insist(self, call: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await call()
            except Unavailable:
                self.unavailable += 1

    async def trigger(self) -> None:
        while not self.over:
            plant = self.dice.choice(self.plants)
            key = self.dice.choice((None, f"key{self.dice.randint(0, 20)}"))
            request = TriggerRequest(graph="sample", inputs={}, idempotency_key=key)
            if key is None:
                try:
                    (ref,) = await plant.engine.runs.trigger(NS, [request])
                except Unavailable:  # without a key nobody knows
                    self.unavailable += 1
                    continue
            else:
                (ref,) = await self.insist(lambda: plant.engine.runs.trigger(NS, [request]))  # noqa: B023
                self.keyed.setdefault(key, set()).add(ref.id)
            self.runs.append(ref.id)

    async def work(self, number: int) -> None:
        """A runner with one call in flight at a time."""
        hand = self.plants[number % 2].hand(f"hand{number}")
        hand.closed = True  # its row is not looked at: the database may be away
        while not self.over:
            await self.exchange(hand)

    async def exchange(self, hand: Hand) -> list[Assignment]:
        tasks = await self.insist(lambda: hand.claim(self.dice.randint(1, 4), alone=True))
        reports = [completion(task, {"of": task.task}) for task in tasks]
        receipts = await self.insist(lambda: hand.report(*reports, alone=True)) if reports else []
        assert [receipt.status for receipt in receipts] == ["accepted"] * len(reports)
        self.accepted += [(task.task, task.attempt) for task in tasks]
        return tasks

    async def check(self) -> None:
        """After everything was drained."""
        sql = self.plants[0].sql
        assert all(len(runs) == 1 for runs in self.keyed.values()), self.keyed
        found = {run for (run,) in await sql("SELECT id FROM run")}
        assert set(self.runs) <= found
        assert await sql("SELECT COUNT(*) FROM run_key") == [(len(self.keyed),)]
        assert await sql("SELECT state, COUNT(*) FROM run GROUP BY state") == [(2, len(found))]
        assert await sql("SELECT state, COUNT(*) FROM task GROUP BY state") == [(3, 2 * len(found))]
        assert await sql("SELECT COUNT(*) FROM item") == [(2 * len(found),)]
        assert len({task for task, _ in self.accepted}) == len(self.accepted) == 2 * len(found)
        assert sorted(self.accepted) == await sql("SELECT id, attempt FROM task ORDER BY id")


@pytest.mark.parametrize("seed", range(max(2, SEEDS // 20)))
async def test_a_database_that_restarts_under_load_loses_and_doubles_nothing(
    mortal: Cluster, plants: list[Plant], seed: int
) -> None:
    load = Load(plants, Random(seed))
    blows: list[Callable[[], Any]] = [
        lambda: mortal.restart("fast"),
        lambda: mortal.restart("immediate"),
        lambda: (mortal.kill(), mortal.start()),
    ]
    load.dice.shuffle(blows)
    callers = [asyncio.create_task(load.trigger()) for _ in range(4)]
    callers += [asyncio.create_task(load.work(number)) for number in range(4)]
    for blow in blows:
        await _acknowledged(load, callers)
        await asyncio.to_thread(blow)
    await _acknowledged(load, callers)
    load.over = True
    await asyncio.gather(*callers)
    plants[0].clock.advance(31)  # longer than a server believes that a lane is empty, which it may have missed to hear
    last = plants[0].hand()
    while await load.exchange(last):
        continue
    await load.check()


async def _acknowledged(load: Load, callers: list[asyncio.Task[None]]) -> None:
    """Return when a number of calls more were acknowledged; a caller's error is ours."""
    enough = load.acknowledged + STEP

    def told() -> bool:
        for caller in callers:
            if caller.done():
                caller.result()
        return load.acknowledged >= enough

    async with asyncio.timeout(60):
        while not told():
            await asyncio.sleep(0.001)


async def test_a_waiting_claim_outlives_a_restart(mortal: Cluster, plants: list[Plant]) -> None:
    hand = plants[0].hand()
    hand.closed = True
    waiting = hand.waiting()
    await hand.armed()
    await asyncio.to_thread(mortal.restart, "immediate")
    run = await plants[0].trigger()
    assert [task.run for task in (await asyncio.wait_for(waiting, 10)).tasks] == [run]


async def test_a_server_that_gets_its_database_back_reaps_nobody_for_one_lease_length(
    mortal: Cluster, plants: list[Plant]
) -> None:
    plant = plants[0]
    await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim()
    await plant.pass_time(15)
    await hand.beat()
    await plant.pass_time(15)
    await hand.beat()  # a fresh server's grace is over
    plant.engine.store._pool.patience = 0.1
    mortal.stop()
    with pytest.raises(Unavailable):
        await plant.trigger()
    plant.clock.advance(60)
    with pytest.raises(Unavailable):
        await plant.tick()
    mortal.start()
    plant.engine.store._pool.patience = 10
    await plant.pass_time(19)
    assert (await plant.task(task.task)).state == "LEASED"
    await plant.pass_time(2)
    assert (await plant.task(task.task)).state == "READY"
