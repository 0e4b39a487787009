"""Where a run stands in a trace is kept with it, and goes to whoever runs its tasks."""

from __future__ import annotations

from engine.plant import NS, Plant, after, completion, node

GIVEN = f"00-{7:032x}-{9:016x}-01"


async def test_a_trace_goes_along_with_every_assignment_of_the_run_and_of_no_other(plant: Plant) -> None:
    await plant.push(node("a"), node("b", after("a")))
    request = plant.request({})
    ((traced,), (plain,)) = (
        await plant.engine.runs.trigger(NS, [request], GIVEN),
        await plant.engine.runs.trigger(NS, [request]),
    )
    hand = plant.hand(capacity=4)
    found = await hand.claim(2)
    assert {task.run: task.traceparent for task in found} == {traced.id: GIVEN, plain.id: ""}
    await plant.restart()
    answer = await hand.exchange(*(completion(task) for task in found), want=2)
    rest = answer.tasks or await hand.claim(2)
    assert {(task.node, task.run): task.traceparent for task in rest} == {
        ("b", traced.id): GIVEN,
        ("b", plain.id): "",
    }
    assert (await plant.run(traced.id)).trace == GIVEN[3:35]
    assert (await plant.run(plain.id)).trace is None
