"""Limits are answered early, by an error that names them, and leave nothing behind: each at its real size."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.plant import KINDS, NS, Plant, after, completion, encoded, join, node, run_input
from stoker.core.check_nodes import MAX_NODES
from stoker.core.graph import ITEM_KIND, Expand, GraphSpec, NodeSpec
from stoker.core.model import MAX_ITEMS, MAX_TASKS
from stoker.core.protocol import Complete, Item
from stoker.core.values import MAX_DEPTH
from stoker.core.views import PushRequest
from stoker.errors import Invalid

WIDE = msgspec.Raw(b"[" + b",".join([b"0"] * MAX_ITEMS) + b"]")  # as many elements as one task may have
TABLES = ("task", "item", "join_row", "spread", "node_count", "run")


async def rows(plant: Plant) -> dict[str, int]:
    """How many there are in each table that a refused call might have written to."""
    return {name: (await plant.sql(f"SELECT COUNT(*) FROM {name}"))[0][0] for name in TABLES}


def of(task: Any, *items: msgspec.Raw) -> Complete:
    return Complete(task=task.task, attempt=task.attempt, items=[Item(value=item) for item in items])


async def full(plant: Plant, *last: NodeSpec) -> tuple[int, Any, Any]:
    """A run that has all the tasks that it may have but MAX_ITEMS, a hand, and its last task that can fan out."""
    await plant.push(node("s", kind="many"), node("e", after("s")), node("leaf", after("e", ())), *last)
    run = await plant.trigger()
    hand = plant.hand(capacity=100)
    (source,) = await hand.claim()
    await hand.report(completion(source, items=list(range(MAX_TASKS // MAX_ITEMS))))
    *wide, task = await hand.claim(MAX_TASKS // MAX_ITEMS)
    for one in wide:
        (receipt,) = await hand.report(of(one, WIDE))
        assert receipt.status == "accepted"
    assert (await plant.run(run)).tasks == 1 + MAX_TASKS // MAX_ITEMS + (len(wide)) * MAX_ITEMS
    return run, hand, task


async def test_a_run_has_at_most_a_million_tasks(plant: Plant) -> None:
    """One more fan-out of a hundred thousand would be too many; a smaller one is not."""
    _, hand, task = await full(plant)
    before = await rows(plant)
    (receipt,) = await hand.report(of(task, WIDE))
    assert receipt.status == "invalid"
    assert receipt.message == "the run would have more than 1000000 tasks"
    assert await rows(plant) == before
    found = await plant.task(task.task)
    assert (found.state, found.code) == ("FAILED", "limit")


async def test_a_run_that_is_almost_full_takes_what_has_room(plant: Plant) -> None:
    _, hand, task = await full(plant)
    (receipt,) = await hand.report(of(task, encoded([0] * 99_000)))
    assert receipt.status == "accepted"


async def test_a_list_that_a_node_expands_itself_is_bounded_as_well(plant: Plant) -> None:
    await plant.push(node("a", expand=Expand(over=run_input("xs"))), inputs=["xs"])
    run = await plant.trigger(inputs={"xs": [0] * (MAX_ITEMS + 1)})
    view = await plant.run(run)
    assert view.state == "FAILED"
    assert view.causes[0].code == "limit"
    assert view.causes[0].message == (
        "its expand would make 100001 tasks; the limits are 100000 at once and 1000000 in a run"
    )
    assert view.tasks == 1
    assert (await rows(plant))["spread"] == 0


@pytest.mark.parametrize("below", [node("leaf", after("s")), node("leaf", after("s", ()), kind=ITEM_KIND), None])
async def test_a_report_has_at_most_a_hundred_thousand_items(plant: Plant, below: NodeSpec | None) -> None:
    await plant.push(node("s", kind="many"), *([below] if below else []))
    await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim()
    before = await rows(plant)
    (receipt,) = await hand.report(of(task, *[msgspec.Raw(b"0")] * (MAX_ITEMS + 1)))
    assert receipt.status == "invalid"
    assert receipt.message == "a report has at most 100000 items, not 100001"
    assert await rows(plant) == before


async def test_elements_of_all_items_together_make_at_most_so_many_tasks(plant: Plant) -> None:
    await plant.push(node("s", kind="many"), node("leaf", after("s", ())), node("end", join("leaf", anchor="s")))
    await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim()
    before = await rows(plant)
    (receipt,) = await hand.report(of(task, WIDE, encoded([0])))
    assert receipt.status == "invalid"
    assert receipt.message == "it would make 100001 tasks at once; the limit is 100000"
    assert await rows(plant) == before


async def test_a_graph_has_at_most_five_thousand_nodes(plant: Plant) -> None:
    chain = [node("n0"), *(node(f"n{number}", after(f"n{number - 1}")) for number in range(1, MAX_NODES + 1))]
    with pytest.raises(Invalid) as refused:
        await plant.push(*chain)
    (problem,) = refused.value.problems
    assert "5000" in problem.message
    assert await plant.sql("SELECT COUNT(*) FROM version") == [(0,)]
    await plant.engine.catalog.push(NS, PushRequest(graph=GraphSpec(name="g", nodes=tuple(chain[:-1])), kinds=KINDS))


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1])
async def test_an_output_nests_at_most_64_levels(plant: Plant, depth: int) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim()
    before = await rows(plant)
    (receipt,) = await hand.report(of(task, msgspec.Raw(b"[" * depth + b"]" * depth)))
    if depth <= MAX_DEPTH:
        assert receipt.status == "accepted"
        return
    assert receipt.status == "invalid"
    assert "deeper than 64 levels" in receipt.message
    assert await rows(plant) == before
