"""What a run gives: with failures that do not matter, and why there is no result where there is none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.plant import Plant, after, completion, failure, join, node
from stoker.core.graph import Each, Edge, Element, Join, ListOf, NodeSpec, Ref
from stoker.core.protocol import Assignment, Prune, Report
from stoker.errors import NoResult

Outcome = Callable[[Assignment], Report]


def pruned(task: Assignment) -> Report:
    return Prune(task=task.task, attempt=task.attempt, reason="nothing to do")


async def ended(plant: Plant, outcomes: dict[str, Outcome], *nodes: NodeSpec, result: str = "z") -> int:
    """A run in which these nodes end so, and all others well; its result is that of one node."""
    await plant.push(*nodes, result=ListOf(items=(Ref(node=result),)))
    run, hand = await plant.trigger(), plant.hand()
    while tasks := await hand.claim(10):
        await hand.report(*(outcomes.get(task.node, completion)(task) for task in tasks))
    return run


async def without_result(plant: Plant, run: int) -> str:
    assert (await plant.run(run)).state == "SUCCEEDED"
    with pytest.raises(NoResult) as caught:
        await plant.result(run)
    assert f"stoker explain run:{run}" in caught.value.remedy
    return caught.value.message.removeprefix(f"run {run} SUCCEEDED without a result: ")


async def test_a_result_that_was_pruned_names_the_task_and_its_reason(plant: Plant) -> None:
    told = await without_result(plant, await ended(plant, {"z": pruned}, node("a"), node("z", after("a"))))
    assert told == "'z' has no item: task 2 (z, PRUNED): nothing to do."


async def test_a_result_below_what_was_pruned_names_that(plant: Plant) -> None:
    nodes = node("a"), node("b", after("a")), node("z", after("b"))
    told = await without_result(plant, await ended(plant, {"a": pruned}, *nodes))
    assert told == "nothing of 'z' was made: task 1 (a, PRUNED): nothing to do."


async def test_a_result_whose_join_was_skipped_names_what_skipped_it(plant: Plant) -> None:
    nodes = (
        node("a"),
        node("b", after("a", ()), bind={"n": Element(of="a")}),
        node("y", join("b")),
        node("z", join("y")),
    )
    outcomes: dict[str, Outcome] = {"a": lambda task: completion(task, [1, 2]), "b": pruned}
    told = await without_result(plant, await ended(plant, outcomes, *nodes))
    assert told.startswith("'z' has no item: task ")
    assert "(z, SKIPPED), because of task 2 (b at a[0], PRUNED): nothing to do." in told


async def test_a_tolerated_failure_is_told_where_it_leaves_no_result(plant: Plant) -> None:
    told = await without_result(
        plant, await ended(plant, {"z": failure}, node("a"), node("z", after("a"), tolerated=True))
    )
    assert told == "'z' has no item: task 2 (z, FAILED): no."


async def test_a_join_that_lacks_an_input_names_the_task_that_was_to_give_it(plant: Plant) -> None:
    nodes = (
        node("a", tolerated=True),
        node("b"),
        node("z", join("a", "b"), bind={"x": Ref(node="a"), "y": Ref(node="b")}),
    )
    told = await without_result(plant, await ended(plant, {"a": failure}, *nodes))
    assert "(z, SKIPPED), because of task 1 (a, FAILED): no." in told


async def test_a_condition_that_kept_the_result_away_is_named(plant: Plant) -> None:
    away = Each(way=Edge(node="a", when="item > 1"))
    told = await without_result(plant, await ended(plant, {}, node("a"), node("z", away)))
    assert told == "'z' has no item: task 2 (z, SKIPPED), because of a condition that does not hold."


async def test_a_result_that_has_no_such_part_says_so(plant: Plant) -> None:
    await plant.push(node("a"), result=Ref(node="a", path=("total",)))
    run, hand = await plant.trigger(), plant.hand()
    await hand.complete(*await hand.claim(), {"sum": 1})
    assert await without_result(plant, run) == "there is nothing at $.total."


async def test_a_tolerated_failure_counts_as_pruned_for_joins_and_fails_no_run(plant: Plant) -> None:
    nodes = (
        node("a"),
        node("b", after("a", ()), tolerated=True),
        node("z", Join(anchor="a", of=("b",)), bind={"all": Ref(node="b", many=True)}),
    )
    failing = iter([failure, completion, failure])
    outcomes: dict[str, Outcome] = {
        "a": lambda task: completion(task, [1, 2, 3]),
        "b": lambda task: next(failing)(task),
        "z": lambda task: completion(task, "joined"),
    }
    run = await ended(plant, outcomes, *nodes)
    view = await plant.run(run)
    assert (view.state, view.causes) == ("SUCCEEDED", [])
    assert {count.node: (count.failed, count.succeeded) for count in view.nodes}["b"] == (2, 1)
    assert await plant.result(run) == ["joined"]


async def test_a_join_of_nothing_but_tolerated_failures_is_skipped_as_pruned(plant: Plant) -> None:
    nodes = node("a", tolerated=True), node("b", tolerated=True), node("z", join("a", "b"))
    run = await ended(plant, {"a": failure, "b": failure}, *nodes)
    (z,) = await plant.tasks(run, "z")
    assert (z.state, z.code) == ("SKIPPED", "pruned")
    assert "because of task 1 (a, FAILED): no." in await without_result(plant, run)
