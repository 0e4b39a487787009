"""Child runs: started with the task that waits for them, settling it with their end, cancelled and retried with it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.plant import NS, Hand, Plant, after, completion, join, node, run_input
from stoker.core.graph import (
    SUBGRAPH_KIND,
    Each,
    Edge,
    Element,
    Expand,
    GraphSpec,
    InputSpec,
    KindSpec,
    Ref,
    Subgraph,
    Value,
)
from stoker.core.protocol import Release
from stoker.core.views import PushRequest, RunView, TaskView
from stoker.engine.ports import Tx
from stoker.engine.transaction import Batch, Verb
from stoker.errors import Conflict, Invalid

NUMBER = InputSpec(schema={"type": "integer"})


def child(name: str, fire: Any = None, *, graph: str = "inner", version: int | None = None, **options: Any) -> Any:
    return node(name, fire, kind=SUBGRAPH_KIND, subgraph=Subgraph(graph=graph, version=version), **options)


class CancelTask(Verb):
    """Ask for the cancel of one task."""

    def __init__(self, task: int) -> None:
        self.tasks = (task,)

    async def decide(self, tx: Tx, batch: Batch) -> None:
        batch.fold.cancel(batch.fold.tasks[self.tasks[0]])


async def pushed(plant: Plant, name: str, *nodes: Any, inputs: dict[str, InputSpec] | None = None, **more: Any) -> int:
    spec = GraphSpec(name=name, nodes=nodes, inputs=inputs or {}, **more)
    return (await plant.engine.catalog.push(NS, PushRequest(graph=spec, kinds=(KindSpec(name="one"),)))).version


async def inner(plant: Plant, **more: Any) -> int:
    """A graph of one node, whose result is what that gives."""
    work = node("work", bind={"n": run_input("n")})
    return await pushed(plant, "inner", work, inputs={"n": NUMBER}, result=Ref(node="work"), **more)


async def children(plant: Plant, run: int) -> list[RunView]:
    page = await plant.engine.views.runs(NS, filter=f"root={run}", state=None, graph=None, limit=1_000, after=None)
    return sorted(page.items, key=lambda view: view.id)


async def only(plant: Plant, run: int, name: str) -> TaskView:
    (task,) = await plant.tasks(run, name)
    return await plant.task(task.id)


async def outer(plant: Plant, *more: Any, n: object = 3, **options: Any) -> int:
    await inner(plant)
    await pushed(plant, "outer", child("sub", bind={"n": Value(value=n)}), *more, **options)
    return await plant.trigger("outer")


async def test_the_result_of_a_child_run_is_the_item_of_its_task(plant: Plant) -> None:
    run = await outer(plant, node("next", after("sub"), bind={"x": Ref(node="sub")}), result=Ref(node="next"))
    task = await only(plant, run, "sub")
    (below,) = await children(plant, run)
    assert (task.state, task.attempt, task.session, task.child) == ("LEASED", 1, None, below.id)
    assert (below.graph, below.version, below.state, below.root, below.parent) == ("inner", 1, "RUNNING", run, task.id)
    hand = plant.hand()
    (work,) = await hand.claim()
    assert (work.run, msgspec.json.decode(bytes(work.input))) == (below.id, {"n": 3})
    await hand.complete(work, {"found": 9})
    assert (await plant.task(task.id)).state == "SUCCEEDED"
    (following,) = await hand.claim()
    assert msgspec.json.decode(bytes(following.input)) == {"x": {"found": 9}}
    await hand.complete(following, "done")
    assert await plant.result(run) == "done"
    assert await plant.result(below.id) == {"found": 9}
    listed = await plant.engine.views.runs(NS, filter="", state=None, graph=None, limit=10, after=None)
    assert [view.id for view in listed.items] == [run]


async def test_the_end_of_both_runs_is_one_transaction(plant: Plant) -> None:
    run = await outer(plant, result=Ref(node="sub"))
    hand = plant.hand()
    (work,) = await hand.claim()
    with plant.counting() as transactions:
        await hand.complete(work, 7)
    assert transactions() == 1
    assert await plant.result(run) == 7


async def test_a_run_stays_with_the_version_that_was_pushed_before_its_graph(plant: Plant) -> None:
    await outer(plant)
    assert await pushed(plant, "inner", node("other"), inputs={"n": NUMBER}) == 2
    run = await plant.trigger("outer")
    assert [(view.graph, view.version) for view in await children(plant, run)] == [("inner", 1)]
    assert await pushed(plant, "outer", child("sub", bind={"n": Value(value=3)})) == 2
    assert await pushed(plant, "outer", child("sub", bind={"n": Value(value=3)}, version=1)) == 3
    view = await plant.engine.catalog.graph(NS, "outer", 2)
    assert view.spec is not None
    assert view.spec.nodes[0].subgraph == Subgraph(graph="inner", version=2)


async def test_what_the_inner_graph_does_not_take_fails_the_task(plant: Plant) -> None:
    await inner(plant)
    await pushed(plant, "outer", node("a"), child("sub", after("a"), bind={"n": Ref(node="a")}), node("b"))
    run = await plant.trigger("outer")
    hand = plant.hand()
    first = {task.node: task for task in await hand.claim(2)}
    await hand.complete(first["b"])
    await hand.complete(first["a"], "no number")
    task = await only(plant, run, "sub")
    assert (task.state, task.code, task.child) == ("FAILED", "invalid_input", None)
    assert "inputs.n" in task.message
    assert (await plant.run(run)).state == "FAILED"
    assert await children(plant, run) == []


async def test_a_child_run_that_fails_fails_its_task_and_says_where(plant: Plant) -> None:
    run = await outer(plant, node("next", join("sub")))
    hand = plant.hand()
    (work,) = await hand.claim()
    (below,) = await children(plant, run)
    await hand.fail(work, "the tank is empty")
    task = await only(plant, run, "sub")
    assert (task.state, task.code) == ("FAILED", "run_failed")
    assert task.message == f"run {below.id} of 'inner' FAILED: task {work.task} (work): error: the tank is empty"
    assert await plant.states(run, "next") == ["SKIPPED"]
    assert ((await plant.run(run)).state, (await plant.run(below.id)).state) == ("FAILED", "FAILED")


async def test_a_retry_of_the_root_retries_the_child_in_place(plant: Plant) -> None:
    run = await outer(plant, node("next", join("sub"), bind={"x": Ref(node="sub")}), result=Ref(node="next"))
    hand = plant.hand()
    (work,) = await hand.claim()
    await hand.fail(work)
    (below,) = await children(plant, run)
    with pytest.raises(Conflict, match=f"child run of run {run}"):
        await plant.engine.runs.retry(NS, below.id)
    assert (await plant.engine.runs.retry(NS, run)).retried == 1
    task = await only(plant, run, "sub")
    assert (task.state, task.attempt, task.child) == ("LEASED", 2, below.id)
    assert [view.state for view in await children(plant, run)] == ["RUNNING"]
    (work,) = await hand.claim()
    assert (work.run, work.attempt) == (below.id, 2)
    await hand.complete(work, 5)
    (joined,) = await hand.claim()
    assert msgspec.json.decode(bytes(joined.input)) == {"x": 5}
    await hand.complete(joined, 6)
    assert await plant.result(run) == 6


async def test_a_retry_starts_the_child_that_could_not_be_started(plant: Plant) -> None:
    await inner(plant)
    await pushed(plant, "outer", node("a"), child("sub", after("a"), bind={"n": Ref(node="a")}))
    run = await plant.trigger("outer")
    hand = plant.hand()
    await hand.complete((await hand.claim())[0], "no number")
    await plant.engine.runs.retry(NS, run)
    assert ((await only(plant, run, "sub")).attempt, (await plant.run(run)).state) == (2, "FAILED")


async def test_a_cancel_reaches_the_children_and_their_ends_settle_the_tasks(plant: Plant) -> None:
    await inner(plant)
    nodes = [child("sub", expand=Expand(over=Value(value=[1, 2, 3])), bind={"n": Element(of="sub")})]
    await pushed(plant, "outer", *nodes)
    run = await plant.trigger("outer")
    hand = plant.hand()
    (work,) = await hand.claim()
    await plant.engine.runs.cancel(NS, run)
    await plant.tick()
    assert sorted(view.state for view in await children(plant, run)) == ["CANCELLED", "CANCELLED", "RUNNING"]
    assert sorted(await plant.states(run, "sub")) == ["CANCELLED", "CANCELLED", "LEASED"]
    await hand.beat()
    assert [stop.task for stop in hand.stops] == [work.task]
    await hand.report(Release(task=work.task, attempt=work.attempt))
    await plant.tick()
    assert (await plant.run(run)).state == "CANCELLED"
    assert set(await plant.states(run, "sub")) == {"CANCELLED"}
    assert (await plant.engine.runs.retry(NS, run)).retried == 3
    await _work_off(plant, hand)
    assert (await plant.run(run)).state == "SUCCEEDED"
    assert [view.state for view in await children(plant, run)] == ["SUCCEEDED"] * 3


async def test_a_child_that_completes_while_its_root_stops_is_kept_for_the_retry(plant: Plant) -> None:
    run = await outer(plant, node("next", after("sub")))
    hand = plant.hand()
    (work,) = await hand.claim()
    await plant.engine.runs.cancel(NS, run)
    await hand.complete(work, 4)
    await plant.tick()
    assert (await plant.run(run)).state == "CANCELLED"
    await plant.engine.runs.retry(NS, run)
    await _work_off(plant, hand)
    assert (await plant.run(run)).state == "SUCCEEDED"
    assert (await only(plant, run, "next")).state == "SUCCEEDED"


async def test_a_child_that_is_cancelled_alone_cancels_its_task(plant: Plant) -> None:
    run = await outer(plant, node("next", join("sub")))
    (below,) = await children(plant, run)
    await plant.engine.runs.cancel(NS, below.id)
    await plant.tick()
    assert (await only(plant, run, "sub")).state == "CANCELLED"
    assert await plant.states(run, "next") == ["SKIPPED"]
    assert (await plant.run(run)).state == "FAILED"


async def test_many_children_are_started_in_slices_and_gathered(plant: Plant) -> None:
    await pushed(plant, "inner", node("work", bind={"n": run_input("n")}), inputs={"n": NUMBER}, result=run_input("n"))
    subs = child("sub", expand=Expand(over=run_input("ns")), bind={"n": Element(of="sub")})
    all_ = node("all", join("sub"), bind={"all": Ref(node="sub", many=True)})
    await pushed(plant, "outer", subs, all_, inputs={"ns": InputSpec()})
    run = await plant.trigger("outer", {"ns": list(range(250))})
    assert len(await children(plant, run)) == 100
    await plant.tick()
    assert len(await children(plant, run)) == 250
    hand = plant.hand()
    done = 0
    while found := await hand.claim(100):
        if found[0].node == "all":
            assert msgspec.json.decode(bytes(found[0].input)) == {"all": list(range(250))}
            await hand.complete(found[0])
        else:
            await hand.report(*[completion(task) for task in found])
            done += len(found)
    assert done == 250
    assert (await plant.run(run)).state == "SUCCEEDED"


async def test_trees_are_settled_from_the_bottom_and_go_sixteen_deep(plant: Plant) -> None:
    await inner(plant)
    below = "inner"
    for depth in range(2, 17):
        sub = child("sub", graph=below, bind={"n": run_input("n")})
        await pushed(plant, f"g{depth}", sub, inputs={"n": NUMBER}, result=Ref(node="sub"))
        below = f"g{depth}"
    with pytest.raises(Invalid, match="more than 16 runs"):
        await pushed(plant, "g17", child("sub", graph="g16", bind={"n": Value(value=1)}))
    run = await plant.trigger("g16", {"n": 8})
    views = await children(plant, run)
    assert (len(views), {view.root for view in views}) == (15, {run})
    hand = plant.hand()
    (work,) = await hand.claim()
    await hand.complete(work, 64)
    assert await plant.result(run) == 64
    assert {view.state for view in await children(plant, run)} == {"SUCCEEDED"}


async def test_a_child_without_tasks_ends_in_the_transaction_that_starts_it(plant: Plant) -> None:
    items = node("each", kind="stoker.item", expand=Expand(over=run_input("ns")), bind={"item": Element(of="each")})
    await pushed(plant, "inner", items, inputs={"ns": InputSpec()}, result=Ref(node="each", many=True))
    await pushed(plant, "outer", child("sub", bind={"ns": Value(value=[1, 2])}), result=Ref(node="sub"))
    run = await plant.trigger("outer")
    assert await plant.result(run) == [1, 2]


async def test_a_cancelled_task_stops_its_child_first(plant: Plant) -> None:
    run = await outer(plant)
    (below,) = await children(plant, run)
    task = await only(plant, run, "sub")
    await plant.engine.batches.submit(CancelTask(task.id))
    await plant.tick()
    assert (await plant.run(below.id)).state == "CANCELLED"
    assert (await plant.task(task.id)).state == "CANCELLED"


async def test_explain_leads_to_the_child(plant: Plant) -> None:
    run = await outer(plant)
    (below,) = await children(plant, run)
    told = await plant.engine.views.explain_task(NS, (await only(plant, run, "sub")).id)
    assert told.because == [f"run {below.id} of 'inner', its child run, goes on"]
    assert f"run:{below.id}" in told.remedy
    assert (await plant.engine.views.explain_run(NS, run)).because == ["1 child run of 'sub' goes on"]


@pytest.mark.parametrize(
    ("sub", "code"),
    [
        (child("sub", graph="nowhere"), "unknown_graph"),
        (child("sub", version=7, bind={"n": Value(value=1)}), "unknown_graph"),
        (child("sub", graph="outer"), "recursion"),
        (child("sub", graph="around"), "recursion"),
        (child("sub"), "missing_input"),
        (child("sub", bind={"n": Value(value="x")}), "schema_mismatch"),
        (child("sub", bind={"n": Value(value=1), "m": Value(value=1)}), "unknown_input"),
        (child("sub", bind={"n": Value(value=1)}, timeout="1s"), "bad_option"),
    ],
)
async def test_what_cannot_be_run_as_a_child_is_refused_at_the_push(plant: Plant, sub: Any, code: str) -> None:
    await inner(plant)
    await pushed(plant, "outer", node("a"))
    await pushed(plant, "around", child("sub", graph="outer"))
    with pytest.raises(Invalid) as caught:
        await pushed(plant, "outer", sub)
    assert [problem.code for problem in caught.value.problems] == [code]


async def _work_off(plant: Plant, hand: Hand) -> None:
    """Do whatever there is to do."""
    await plant.tick()
    while found := await hand.claim(10):
        for task in found:
            await hand.complete(task)
        await plant.tick()


async def test_the_end_of_a_child_tells_the_conditions_behind_it(plant: Plant) -> None:
    """They may read inputs and store of a run that nothing else of the batch belongs to."""
    await inner(plant)
    ways = [
        node("yes", Each(way=Edge(node="sub", when="item == inputs.n && store.on"))),
        node("no", Each(way=Edge(node="sub", when="item != inputs.n"))),
    ]
    await pushed(plant, "outer", child("sub", bind={"n": run_input("n")}), *ways, inputs={"n": NUMBER})
    run = await plant.trigger("outer", {"n": 5}, store={"on": msgspec.Raw(b"true")})
    hand = plant.hand()
    await hand.complete((await hand.claim())[0], 5)
    assert await plant.states(run) == ["SUCCEEDED", "READY", "SKIPPED"]
