"""What was seen by a look has changed by the time it is acted on: the verb checks again."""

from __future__ import annotations

from engine.plant import Plant, node
from stoker.engine.exchange import Shorten
from stoker.engine.ports import Lease
from stoker.engine.sessions import digest
from stoker.engine.upkeep import Lose


async def test_a_lease_that_has_gone_to_another_session_meanwhile_is_not_lost(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    gone, other = plant.hand("gone"), plant.hand("other")
    (first,) = await gone.claim()
    plant.clock.advance(21)
    await plant.engine.upkeep.reap()
    (second,) = await other.claim()
    seen = Lease(first.task, first.attempt, gone.session, 1)
    await plant.engine.batches.submit(Lose([seen]))
    found = await plant.task(first.task)
    assert (found.state, found.attempt, found.losses) == ("LEASED", second.attempt, 1)


async def test_a_runner_that_is_back_before_its_closed_stream_is_acted_on_keeps_its_lease(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    hand = plant.hand()
    await hand.claim()
    waiting = hand.waiting()
    await hand.armed()
    before = await hand.until()
    await plant.engine.batches.submit(Shorten(plant.engine.sessions._known[digest(hand.secret)]))
    assert await hand.until() == before
    waiting.cancel()
