"""Limits with several servers on one database: one bound, whoever claims, and whoever waits is woken everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from engine.gating import Gated, limited
from engine.plant import NS, Plant, completion, elsewhere, node, until

Servers = tuple[Plant, Plant]


@asynccontextmanager
async def locked(plant: Plant) -> AsyncIterator[None]:
    """A transaction of this server that has the first gate and does not come to its end."""
    held, go = asyncio.Event(), asyncio.Event()

    async def hold(tx: Any) -> None:
        await tx.lock_gates([1])
        held.set()
        await go.wait()

    holding = asyncio.create_task(plant.engine.store.transact(hold))
    await held.wait()
    try:
        yield
    finally:
        go.set()
        await holding


async def leases(plant: Plant) -> int:
    ((count,),) = await plant.sql("SELECT COUNT(*) FROM task WHERE state = 2 AND gate IS NOT NULL")
    return int(count)


async def test_two_servers_that_claim_at_once_stay_below_the_limit(servers: Servers) -> None:
    here, there = servers
    await here.push(limited("a", most=3))
    for _ in range(40):
        await here.trigger()
    hands = [plant.hand(f"{number}") for number in range(6) for plant in (here, there)]
    for hand in hands:
        await hand.claim(0)
    dice, done = Random(0), 0
    while done < 40:
        await asyncio.gather(*(hand.claim(2) for hand in hands))
        assert await leases(here) <= 3
        held = [(hand, task) for hand in hands for task in hand.held.values()]
        ending = dice.sample(held, dice.randint(1, len(held)))  # so that some stay while others are claimed
        done += len(ending)
        await asyncio.gather(*(hand.complete(task) for hand, task in ending))
        await asyncio.gather(*(hand.beat() for hand in hands))
        here.clock.advance(1)
        await asyncio.gather(here.tick(), there.tick())


async def test_a_lease_that_ends_here_wakes_who_waits_there(servers: Servers) -> None:
    here, there = servers
    await here.push(limited("a", most=1))
    for _ in range(2):
        await here.trigger()
    hand, other = here.hand(), there.hand("other")
    (held,) = await hand.claim()
    stream = other.waiting()
    await other.armed()
    await hand.complete(held)
    assert (await asyncio.wait_for(stream, 30)).tasks


async def test_a_loss_that_a_server_without_runners_finds_wakes_who_waits_elsewhere(
    servers: Servers,
) -> None:
    """It knows no lane, and names the limit alone."""
    here, there = servers
    await here.push(limited("a", most=1), name="a")
    await here.trigger("a")
    hand = here.hand()
    await hand.claim()
    other = here.hand("other", kinds=("many",))
    await here.push(limited("b", most=1, kind="many"), name="b")
    await here.trigger("b")
    stream = other.waiting()
    await other.armed()
    for _ in range(2):
        here.clock.advance(20.5)
        await there.tick()
    assert (await asyncio.wait_for(stream, 30)).tasks


async def test_a_limit_that_another_server_has_locked_is_looked_at_again(servers: Servers) -> None:
    here, there = servers
    await here.push(limited("a", most=2))
    await here.trigger()
    async with locked(there):
        hand = here.hand()
        stream = hand.waiting()
        await hand.armed()
        assert not stream.done()
        assert here.engine.alarm.planned <= here.clock.now() + 20_000
        await here.pass_time(0.02)  # it is still locked: another look is planned
        assert not stream.done()
    await here.pass_time(0.02)
    assert (await asyncio.wait_for(stream, 30)).tasks


async def test_a_limit_that_is_raised_there_wakes_who_waits_here(servers: Servers) -> None:
    here, there = servers
    await here.push(limited("a", most=1))
    for _ in range(3):
        await here.trigger()
    hand = here.hand()
    await hand.claim()
    stream = hand.waiting(2)
    await hand.armed()
    await there.push(limited("b", most=3), name="other")
    assert len((await asyncio.wait_for(stream, 30)).tasks) == 2


async def test_a_rate_is_one_for_all_servers(servers: Servers) -> None:
    here, there = servers
    await here.push(limited("a", rate="2/s"))
    for _ in range(8):
        await here.trigger()
    hands = [here.hand("here"), there.hand("there")]
    for hand in hands:
        await hand.claim(0)
    starts = []
    for _ in range(50):
        answers = await asyncio.gather(*(hand.claim(8) for hand in hands))
        starts += [here.clock.now() for tasks in answers for _ in tasks]
        here.clock.advance(0.1)
        await asyncio.gather(here.tick(), there.tick())
    assert len(starts) == 8
    assert all(later - earlier >= 500_000 for earlier, later in pairwise(starts))


async def test_waiters_of_both_servers_are_served_by_one_rate(servers: Servers) -> None:
    here, there = servers
    await here.push(limited("a", rate="1/s"))
    hands = [plant.hand(str(number)) for number in range(2) for plant in (here, there)]
    streams = [hand.waiting() for hand in hands]
    for hand in hands:
        await hand.armed()
    for _ in hands:
        await here.trigger()
    await until(lambda: any(stream.done() for stream in streams))
    for _ in range(30):
        here.clock.advance(0.25)
        await asyncio.gather(here.tick(), there.tick())
        await asyncio.gather(*(hand.beat() for hand in hands))
    await asyncio.wait_for(asyncio.gather(*streams), 4)


async def test_a_revive_there_counts_what_is_claimed_here(servers: Servers) -> None:
    here, there = servers
    await here.push(limited("a", most=1))
    await here.trigger()
    hand = here.hand()
    await hand.claim()
    await here.pass_time(21)
    await here.trigger(priority=9)
    assert await here.hand("other").claim()
    (stop,) = (await elsewhere(hand, there).beat()).stop
    assert stop.reason == "stale"
    assert await leases(here) == 1


@pytest.mark.parametrize("seed", range(8))
async def test_the_bound_holds_at_random_over_two_servers(servers: Servers, seed: int) -> None:
    here, there = servers
    await Gated(here, Random(seed), there).play()


async def test_other_work_goes_on_while_a_gate_is_locked(servers: Servers) -> None:
    here, there = servers
    await here.push(limited("a", most=2), node("b"))
    await here.trigger()
    async with locked(there):
        hand = here.hand()
        (task,) = await asyncio.wait_for(hand.claim(2), 4)
        assert task.node == "b"
        assert (await asyncio.wait_for(hand.complete(task), 4)).status == "accepted"
    await here.pass_time(0.02)
    (task,) = await hand.claim(2)
    await hand.report(completion(task))
    page = await here.engine.views.runs(NS, state="RUNNING", graph=None, limit=9, after=None)
    assert not page.items
