"""All verbs of a batch are folded on one picture, also those that load more of it while they are decided."""

from __future__ import annotations

import asyncio

from engine.plant import Plant, after, join, node
from stoker.core.graph import Element, Ref


async def test_a_lease_released_in_a_batch_does_not_undo_what_the_batch_counted_in_a_join(plant: Plant) -> None:
    await plant.push(
        node("a"),
        node("b", after("a", ()), bind={"x": Element(of="a")}),
        node("c", join("b", anchor="a"), bind={"xs": Ref(node="b", many=True)}),
        result=Ref(node="c"),
    )
    run = await plant.trigger()
    first, second = plant.hand("first"), plant.hand("second")
    (a,) = await first.claim()
    await first.complete(a, [1, 2])
    (left,) = await first.claim()
    (right,) = await second.claim()
    second.drop()  # it was read, and is not listed any more: the beat releases it
    with plant.counting() as transactions:
        await asyncio.gather(first.complete(left), second.beat())
    assert transactions() == 1
    (again,) = [task for task in await second.claim(want=9) if task.task == right.task]
    await second.complete(again)
    (c,) = [task for task in await second.claim(want=9) if task.node == "c"]
    assert bytes(c.input) == b'{"xs":[1,1]}'
    await second.complete(c, "done")
    assert await plant.result(run) == "done"
