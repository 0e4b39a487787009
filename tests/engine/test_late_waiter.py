"""A claim that is armed while a commit runs is neither seen by it nor warned by a dry lane."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from engine.plant import Plant, node
from stoker.engine.transaction import Outcome


async def test_a_waiter_armed_during_the_commit_that_makes_a_task_still_gets_it(plant: Plant) -> None:
    await plant.push(node("a"))
    hand = plant.hand()
    assert await hand.claim() == []  # from here on the lane is known to be dry
    waiting: list[Any] = []

    async def arm_before_the_answer(real: Callable[..., Awaitable[Any]], work: Any) -> Any:
        outcome = await real(work)
        if not waiting and isinstance(outcome, Outcome) and outcome.fold.lanes:
            waiting.append(hand.waiting())
            while hand.waiters < 1:
                await asyncio.sleep(0)
        return outcome

    plant.seam(arm_before_the_answer)
    await plant.trigger()
    answer = await waiting[0]
    assert [task.node for task in answer.tasks] == ["a"]
