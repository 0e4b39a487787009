"""What tasks were given and gave, long after: what retries and re-runs changed since is not part of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from engine.plant import NS, Plant, after, completion, encoded, failure, join, node, run_input
from stoker.core.graph import Element, Expand, OnChange, Ref, RunInput
from stoker.core.protocol import Item as Given
from stoker.core.protocol import Output
from stoker.core.views import PublishRequest
from stoker.errors import Conflict, NotFound


async def read(stream: AsyncIterator[bytes]) -> Any:
    return msgspec.json.decode(b"".join([part async for part in stream]))


async def given(plant: Plant, task: int, attempt: int | None = None) -> Any:
    return await read(await plant.engine.recorded.input(NS, task, attempt))


async def gave(plant: Plant, task: int) -> Any:
    return await read(await plant.engine.recorded.items(NS, task))


FANNED = (
    node("s", bind={"n": run_input("n")}),
    node("m", after("s", ()), bind={"x": Element(of="s")}, tolerated=True),
    node("j", join("m"), bind={"all": Ref(node="m", many=True)}),
)


async def test_the_input_of_a_task_is_what_its_runner_got(plant: Plant) -> None:
    await plant.push(
        *FANNED, node("e", join("j"), expand=Expand(over=Ref(node="j")), bind={"y": Element(of="e")}), inputs=["n"]
    )
    run, hand = await plant.trigger(inputs={"n": 3}), plant.hand()
    values: list[Any] = [["a", "b" * 2000], "A", "B", ["p", "q"], 1, 2]
    seen = {}
    while values:
        (task,) = await hand.claim()
        seen[task.task] = msgspec.json.decode(bytes(task.input))
        await hand.complete(task, values.pop(0))
    assert (await plant.run(run)).state == "SUCCEEDED"
    assert {task: await given(plant, task) for task in seen} == seen
    assert list(seen.values())[3:] == [{"all": ["A", "B"]}, {"y": "p"}, {"y": "q"}]


async def test_a_task_that_nobody_has_claimed_shows_what_it_will_get_and_has_given_nothing(plant: Plant) -> None:
    await plant.push(node("a", bind={"n": run_input("n")}), inputs=["n"])
    run = await plant.trigger(inputs={"n": 3})
    (task,) = await plant.tasks(run)
    assert (await given(plant, task.id), await gave(plant, task.id)) == ({"n": 3}, [])
    with pytest.raises(NotFound, match="has no attempt 1"):
        await plant.engine.recorded.input(NS, task.id, 1)
    await plant.engine._namespaces.made("other")
    with pytest.raises(NotFound, match="has no task"):
        await plant.engine.recorded.items("other", task.id)


async def test_an_item_that_a_retry_gave_later_was_not_in_the_list_of_the_join(plant: Plant) -> None:
    """The join fired without it and stays as it is: what it was given must not grow."""
    await plant.push(*FANNED, inputs=["n"])
    await plant.trigger(inputs={"n": 1})
    hand = plant.hand()
    await hand.complete(*await hand.claim(), [1, 2])
    first, second = await hand.claim(2)
    await hand.report(completion(first, "one"), failure(second))
    (joined,) = await hand.claim()
    plant.clock.advance(5)
    await plant.engine.runs.retry_task(NS, second.task)
    await hand.complete(*await hand.claim(), "two")
    assert await given(plant, joined.task) == {"all": ["one"]}
    await hand.fail(joined)
    plant.clock.advance(5)
    await plant.engine.runs.retry_task(NS, joined.task)
    (again,) = await hand.claim()
    assert msgspec.json.decode(bytes(again.input)) == {"all": ["one", "two"]}
    assert await given(plant, joined.task) == {"all": ["one", "two"]}
    assert await given(plant, joined.task, 1) == {"all": ["one"]}


@pytest.mark.parametrize("pause", [0, 5])
async def test_what_a_rerun_replaced_keeps_its_own_inputs_and_items(plant: Plant, pause: float) -> None:
    last = node("k", join("j"), bind={"j": Ref(node="j")})
    await plant.push(*FANNED, last, inputs=["n"])
    run, hand = await plant.trigger(inputs={"n": 1}), plant.hand()
    await hand.complete(*await hand.claim(), [1, 2])
    first, second = await hand.claim(2)
    await hand.report(completion(first, "one"), failure(second))
    olds = []
    for value in ("old j", "old k"):
        olds += await hand.claim()
        await hand.complete(olds[-1], value)
    plant.clock.advance(pause)
    await plant.engine.runs.retry_task(NS, second.task, rerun_below=True)
    for value in ("two", "new j", "new k"):
        plant.clock.advance(pause)
        (task,) = await hand.claim()
        await hand.complete(task, value)
    (j,), (k,) = await plant.tasks(run, "j"), await plant.tasks(run, "k")
    assert (await given(plant, j.id), await gave(plant, j.id)) == ({"all": ["one", "two"]}, ["new j"])
    assert (await given(plant, k.id), await gave(plant, k.id)) == ({"j": "new j"}, ["new k"])
    assert [await gave(plant, old.task) for old in olds] == [["old j"], ["old k"]]
    assert await given(plant, olds[1].task) == {"j": "old j"}
    if pause:  # what came in the very same microsecond as the claim cannot be told from what was there
        assert await given(plant, olds[0].task) == {"all": ["one"]}


async def test_each_firing_of_a_live_node_keeps_what_it_read_and_gave(plant: Plant) -> None:
    nodes = (
        node("a", OnChange(of=("x",)), bind={"x": RunInput(name="x")}),
        node("b", OnChange(of=("a",)), bind={"a": Ref(node="a", optional=True)}),
    )
    await plant.push(*nodes, inputs=("x",), mode="live")
    run, hand = await plant.trigger(inputs={"x": 1}), plant.hand()
    seen = {}
    for x in (2, 3, 4):
        for _ in range(2):
            (task,) = await hand.claim()
            seen[task.task] = msgspec.json.decode(bytes(task.input))
            number = Output(task=task.task, attempt=1, number=1, item=Given(value=encoded(x * 5)))
            await hand.report(number, completion(task, x * 10))
            plant.clock.advance(1)
        await plant.engine.live.publish(NS, run, "x", PublishRequest(value=encoded(x)))
        plant.clock.advance(1)
    assert [each for each in seen.values() if "a" in each] == [{"a": 20}, {"a": 30}, {"a": 40}]
    assert {task: await given(plant, task) for task in seen} == seen
    assert [await gave(plant, task) for task in seen][:2] == [[10, 20], [10, 20]]


async def test_inputs_that_cannot_be_bound_say_so(plant: Plant) -> None:
    await plant.push(node("a"), node("b", after("a"), bind={"x": Ref(node="a", path=("deep",))}))
    run, hand = await plant.trigger(), plant.hand()
    await hand.complete(*await hand.claim(), {"shallow": 1})
    (task,) = await plant.tasks(run, "b")
    with pytest.raises(Conflict, match="cannot be bound"):
        await given(plant, task.id)


async def test_each_of_several_generations_keeps_its_own(plant: Plant) -> None:
    await plant.push(*FANNED, node("k", join("j"), bind={"j": Ref(node="j")}), inputs=["n"])
    await plant.trigger(inputs={"n": 1})
    hand = plant.hand()
    await hand.complete(*await hand.claim(), [1, 2, 3])
    first, *bad = await hand.claim(3)
    await hand.report(completion(first, "m0"), *[failure(task) for task in bad])
    made: dict[str, int] = {}
    for number, values in enumerate((["j0", "k0"], ["m1", "j1", "k1"], ["m2", "j2", "k2"])):
        if number:
            await plant.engine.runs.retry_task(NS, bad[number - 1].task, rerun_below=True)
        for value in values:
            plant.clock.advance(5)
            (task,) = await hand.claim()
            made[value] = task.task
            await hand.complete(task, value)
    for number in range(3):
        assert await given(plant, made[f"k{number}"]) == {"j": f"j{number}"}
        assert await given(plant, made[f"j{number}"]) == {"all": [f"m{each}" for each in range(number + 1)]}
        assert await gave(plant, made[f"j{number}"]) == [f"j{number}"]
