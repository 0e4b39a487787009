"""A run may begin later than it is triggered."""

from __future__ import annotations

import pytest

from engine.plant import Plant, node
from stoker.core.graph import Expand, Value
from stoker.errors import Conflict, Invalid


async def test_the_first_tasks_may_be_had_when_the_delay_is_over(plant: Plant) -> None:
    await plant.push(node("a"))
    hand = plant.hand()
    run = await plant.trigger(delay="90s")
    assert await hand.claim() == []
    plant.clock.advance(89)
    await plant.tick()
    assert await hand.claim() == []
    plant.clock.advance(1)
    await plant.tick()
    assert [task.run for task in await hand.claim()] == [run]


async def test_a_delay_that_cannot_be_is_refused(plant: Plant) -> None:
    await plant.push(node("a"))
    with pytest.raises(Invalid, match="a duration"):
        await plant.trigger(delay="soon")
    await plant.push(node("a", expand=Expand(over=Value(value=[1]))), name="wide")
    with pytest.raises(Invalid, match="begins at once"):
        await plant.trigger("wide", delay=1)


async def test_the_same_key_with_another_delay_is_another_request(plant: Plant) -> None:
    await plant.push(node("a"))
    first = await plant.trigger(delay=5, idempotency_key="k")
    assert await plant.trigger(delay=5, idempotency_key="k") == first
    with pytest.raises(Conflict, match="idempotency key"):
        await plant.trigger(delay=6, idempotency_key="k")
