"""Limits by a value with several servers on one database."""

from __future__ import annotations

import asyncio
from random import Random

from engine.plant import Plant
from engine.test_keys import names, push, start, tenants
from engine.test_keys import per_tenant as limited

Servers = tuple[Plant, Plant]


async def test_servers_that_meet_new_values_at_once_agree_on_their_gates(servers: Servers) -> None:
    here = servers[0]
    await push(here, limited(most=2))
    values = [f"tenant {number}" for number in range(20)]
    for _ in range(2):
        await asyncio.gather(*(start(plant, value) for value in values for plant in servers))
    assert await names(here) == set(values)
    gates = await here.sql("SELECT COUNT(*), COUNT(DISTINCT gate) FROM task")
    assert tuple(gates[0]) == (80, 20)
    hands = [plant.hand(str(number)) for number in range(3) for plant in servers]
    for hand in hands:
        await hand.claim(0)
    await asyncio.gather(*(hand.claim(40) for hand in hands))
    assert max((await tenants(here)).values()) <= 2


async def test_two_servers_that_claim_at_once_stay_below_the_limit_of_each_value(servers: Servers) -> None:
    here, there = servers
    await push(here)
    await start(here, *["blue", "red", "green"] * 10)
    hands = [plant.hand(str(number)) for number in range(4) for plant in servers]
    for hand in hands:
        await hand.claim(0)
    dice, done = Random(0), 0
    while done < 30:
        await asyncio.gather(*(hand.claim(2) for hand in hands))
        running = await tenants(here)
        assert max(running.values(), default=0) <= 1
        held = [(hand, task) for hand in hands for task in hand.held.values()]
        ending = dice.sample(held, dice.randint(min(1, len(held)), len(held)))
        done += len(ending)
        await asyncio.gather(*(hand.complete(task) for hand, task in ending))
        await asyncio.gather(*(hand.beat() for hand in hands))
        here.clock.advance(1)
        await asyncio.gather(here.tick(), there.tick())


async def test_a_lease_that_ends_here_wakes_who_waits_there(servers: Servers) -> None:
    here, there = servers
    await push(here)
    await start(here, "blue", "blue")
    hand, other = here.hand(), there.hand("other")
    (held,) = await hand.claim()
    stream = other.waiting()
    await other.armed()
    await hand.complete(held)
    assert (await asyncio.wait_for(stream, 30)).tasks


async def test_a_value_that_one_server_uses_is_not_forgotten_by_the_other(servers: Servers) -> None:
    """What a server remembers of a gate holds, however long ago the other has seen it used."""
    here, there = servers
    await push(here)
    hand = here.hand()
    for _ in range(4):
        await start(here, "blue")
        (task,) = await hand.claim()
        await hand.complete(task)
        for _ in range(7):
            here.clock.advance(3_600)
            await asyncio.gather(here.tick(), there.tick())
    await start(here, "blue")
    assert len(await hand.claim()) == 1
    rows = await here.sql("SELECT COUNT(*) FROM task WHERE gate NOT IN (SELECT id FROM gate) AND state <= 2")
    assert rows[0][0] == 0
