"""Conditions on edges, on both databases: routing, wide fan-outs, what they read, retries, restarts."""

from __future__ import annotations

import pytest

from core.player import slices_of
from engine.plant import NS, Plant, node
from stoker.core.graph import Each, Edge, Element, Join, Ref
from stoker.errors import Conflict, Invalid


def if_(name: str, when: str, expand: tuple[str | int, ...] | None = None) -> Each:
    return Each(way=Edge(node=name, expand=expand, when=when))


ROUTES = (
    node("a"),
    node("big", if_("a", "item.rows > 100")),
    node("small", if_("a", "item.rows <= 100")),
    node(
        "end",
        Join(anchor="a", of=("big", "small")),
        bind={"big": Ref(node="big", optional=True), "small": Ref(node="small", default="none")},
    ),
)


async def states(plant: Plant, run: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for task in await plant.tasks(run):
        found.setdefault(task.node, []).append(f"{task.state} {task.code}".strip())
    return found


async def test_the_way_that_is_true_is_taken_and_both_meet_again(plant: Plant) -> None:
    await plant.push(*ROUTES)
    run, hand = await plant.trigger(), plant.hand()
    (a,) = await hand.claim()
    await hand.complete(a, {"rows": 500})
    (big,) = await hand.claim(5)
    await hand.complete(big, "heavy")
    (end,) = await hand.claim(5)
    assert bytes(end.input) == b'{"big":"heavy","small":"none"}'
    await hand.complete(end)
    assert await states(plant, run) == {
        "a": ["SUCCEEDED"],
        "big": ["SUCCEEDED"],
        "small": ["SKIPPED condition"],
        "end": ["SUCCEEDED"],
    }
    assert (await plant.run(run)).state == "SUCCEEDED"


async def test_a_condition_that_cannot_be_told_fails_the_run_and_is_explained(plant: Plant) -> None:
    await plant.push(*ROUTES)
    run, hand = await plant.trigger(), plant.hand()
    (a,) = await hand.claim()
    assert (await hand.complete(a, {"cols": 1})).status == "accepted"
    view = await plant.run(run)
    assert (view.state, [cause.node for cause in view.causes]) == ("FAILED", ["big", "small"])
    cause = view.causes[0]
    assert cause.code == "condition"
    assert "'item.rows > 100' on the edge from 'a' cannot be told: there is no 'rows'" in cause.message
    because = (await plant.engine.views.explain_task(NS, cause.task)).because
    assert any("'item.rows > 100'" in line for line in because)
    with pytest.raises(Conflict, match="no failed or cancelled task to retry"):
        await plant.engine.runs.retry(NS, run)


async def test_a_false_edge_is_explained(plant: Plant) -> None:
    await plant.push(node("a"), node("b", if_("a", "false")))
    run, hand = await plant.trigger(), plant.hand()
    await hand.complete((await hand.claim())[0])
    (b,) = await plant.tasks(run, "b")
    because = (await plant.engine.views.explain_task(NS, b.id)).because
    assert because == ["the condition `false` on the edge from 'a' is false"]


async def test_a_wide_fan_out_is_told_slice_by_slice(plant: Plant) -> None:
    """In the slices, too, and after a crash between them."""
    await plant.push(
        node("a"),
        node("b", if_("a", "item % 2 == inputs.rest && index < 17", ())),
        node("j", Join(of=("b",)), bind={"all": Ref(node="b", many=True)}),
        inputs=("rest",),
    )
    run, hand = await plant.trigger(inputs={"rest": 1}), plant.hand()
    with slices_of(4):
        await hand.complete((await hand.claim())[0], list(range(20)))
        assert (await plant.run(run)).tasks == 21
        await plant.crash()
        await plant.tick()
    hand = plant.hand()
    tasks = await hand.claim(100)
    assert sorted(task.branch for task in tasks) == sorted(f"a[{number}]" for number in range(1, 17, 2))
    for task in tasks:
        await hand.complete(task, task.branch)
    (j,) = await hand.claim(5)
    assert len(bytes(j.input).split(b",")) == 8
    await hand.complete(j)
    view = await plant.run(run)
    (b,) = [counts for counts in view.nodes if counts.node == "b"]
    assert (view.state, b.succeeded, b.skipped) == ("SUCCEEDED", 8, 12)


async def test_large_elements_are_told_in_slices_too(plant: Plant) -> None:
    """Larger than what travels with a task."""
    await plant.push(node("a"), node("b", if_("a", "item.n != 3", ()), bind={"x": Element(of="a", path=("n",))}))
    run, hand = await plant.trigger(), plant.hand()
    with slices_of(1):
        await hand.complete((await hand.claim())[0], [{"n": number, "pad": "x" * 2_000} for number in range(5)])
        await plant.tick()
    assert [bytes(task.input) for task in await hand.claim(9)] == [b'{"x":%d}' % number for number in (0, 1, 2, 4)]
    assert (await states(plant, run))["b"].count("SKIPPED condition") == 1


async def test_what_a_condition_looked_at_is_not_taken_for_the_element_of_the_branch(plant: Plant) -> None:
    await plant.push(
        node("a"),
        node("b", Each(way=Edge(node="a", expand=()))),
        node("c", if_("b", "item > 1"), bind={"x": Element(of="a"), "y": Ref(node="b")}),
    )
    await plant.trigger()
    hand = plant.hand()
    await hand.complete((await hand.claim())[0], ["element"])
    await hand.complete((await hand.claim())[0], 5)
    (c,) = await hand.claim()
    assert bytes(c.input) == b'{"x":"element","y":5}'


async def test_items_that_arrive_over_a_plain_edge_are_told_in_slices_too(plant: Plant) -> None:
    await plant.push(
        node("a", kind="many"),
        node("j", Join(anchor="a", of=("a",), when={"a": "item != 3"}), bind={"all": Ref(node="a", many=True)}),
        node("b", if_("a", "item > 2"), bind={"x": Ref(node="a")}),
    )
    run, hand = await plant.trigger(), plant.hand()
    with slices_of(2):
        await hand.complete((await hand.claim())[0], items=[1, 2, 3, 4, 5])
        await plant.tick()
    given = {(task.node, task.branch): bytes(task.input) for task in await hand.claim(10)}
    assert given == {
        ("j", ""): b'{"all":[1,2,4,5]}',
        ("b", "a[2]"): b'{"x":3}',
        ("b", "a[3]"): b'{"x":4}',
        ("b", "a[4]"): b'{"x":5}',
    }
    assert (await plant.run(run)).tasks == 1 + 5 + 5 + 1


async def test_a_cancelled_fan_out_is_told_when_its_run_is_retried(plant: Plant) -> None:
    await plant.push(node("a"), node("b", if_("a", "item > 2", ())))
    run, hand = await plant.trigger(), plant.hand()
    with slices_of(2):
        await hand.complete((await hand.claim())[0], [1, 2, 3, 4, 5])
        await plant.engine.runs.cancel(NS, run)
        await plant.tick()
        assert (await plant.run(run)).state == "CANCELLED"
        await plant.engine.runs.retry(NS, run)
        await plant.tick()
    assert await states(plant, run) == {"a": ["SUCCEEDED"], "b": ["SKIPPED condition"] * 2 + ["READY"] * 3}


async def test_what_a_cancel_withheld_is_told_when_the_run_is_retried(plant: Plant) -> None:
    await plant.push(node("a"), node("b", if_("a", "item > inputs.least")), inputs=("least",))
    run, hand = await plant.trigger(inputs={"least": 3}), plant.hand()
    (a,) = await hand.claim()
    await plant.engine.runs.cancel(NS, run)
    await hand.complete(a, 2)
    await plant.tick()
    await plant.engine.runs.retry(NS, run)
    assert await states(plant, run) == {"a": ["SUCCEEDED"], "b": ["SKIPPED condition"]}
    assert (await plant.run(run)).state == "SUCCEEDED"


async def test_a_graph_with_conditions_that_are_none_is_refused_with_all_of_them(plant: Plant) -> None:
    with pytest.raises(Invalid) as refused:
        await plant.push(node("a"), node("b", if_("a", "item.")), node("c", if_("a", "rows > 1")))
    assert [(one.code, one.place) for one in refused.value.problems] == [
        ("bad_condition", "node 'b', the edge from 'a'"),
        ("bad_condition", "node 'c', the edge from 'a'"),
    ]


async def test_without_conditions_nothing_more_is_read(plant: Plant) -> None:
    """Inputs are loaded for conditions that read them, and for no others."""
    await plant.push(node("a"), node("b", if_("a", "item == 1")), inputs=("x",))
    await plant.push(node("a"), node("b", if_("a", "item == inputs.x")), inputs=("x",))
    known = plant.engine.catalog._versions._known.values()
    assert [version.graph.asks for version in known] == [False, True]
