"""Forks on the engine: what is taken over, what runs again, what is otherwise, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.plant import KINDS, NS, Plant, after, completion, encoded, failure, join, node, run_input
from engine.test_again import true
from engine.test_waits import wait
from stoker.core.fork_views import ForkAnswer, ForkEdit, ForkRequest
from stoker.core.graph import (
    Each,
    Edge,
    Element,
    Expand,
    GraphSpec,
    InputSpec,
    Iteration,
    ListOf,
    Loop,
    OnChange,
    Ref,
    RunInput,
    Subgraph,
)
from stoker.core.model import PAYLOAD_INLINE
from stoker.core.protocol import Prune
from stoker.core.views import PushRequest, SettleRequest
from stoker.errors import Conflict, Invalid, NotFound, StokerError

MAPPED = (
    node("s", bind={"n": run_input("n")}),
    node("m", after("s", ()), bind={"x": Element(of="s"), "by": run_input("by")}),
    node("j", join("m"), bind={"all": Ref(node="m", many=True)}),
    node("k", join("j"), bind={"j": Ref(node="j"), "by": run_input("by")}),
    node("z"),
)

# what follows from decisions alone is the same on every database, and is shown on one
on_one = pytest.mark.parametrize("plant", ["sqlite"], indirect=True)


async def fork(plant: Plant, run: int, start: str, branch: str | None = None, **more: Any) -> ForkAnswer:
    answer = await plant.engine.forks.fork(NS, run, ForkRequest(from_=start, branch=branch, **more))
    await true(plant)
    return answer


async def work(plant: Plant, value: Any = lambda name, given: f"{name}!") -> list[str]:
    """Do all there is to do; the places that were done, in order."""
    hand, done = plant.hand(), []
    while tasks := await hand.claim(1):
        given = msgspec.json.decode(bytes(tasks[0].input))
        done.append(tasks[0].node + tasks[0].branch)
        await hand.complete(tasks[0], value(tasks[0].node, given))
    await true(plant)
    return done


def plainly(name: str, given: Any) -> Any:
    match name:
        case "s":
            return [given["n"], given["n"] + 1]
        case "m":
            return given["x"] * given["by"]
        case "j":
            return sum(given["all"])
        case "k":
            return [given["j"], given["by"]]
    return name


async def mapped(plant: Plant) -> int:
    await plant.push(*MAPPED, inputs=["n", "by"], result=Ref(node="k"))
    run = await plant.trigger(inputs={"n": 1, "by": 10}, tags={"team": "blue"}, store={"a": encoded(1)}, weight=3)
    await work(plant, plainly)
    assert await plant.result(run) == [30, 10]
    return run


async def test_a_node_and_what_is_below_run_anew_and_all_else_is_taken_over(plant: Plant) -> None:
    run = await mapped(plant)
    before = await plant.sql("SELECT * FROM task WHERE run = ? ORDER BY id", run)
    dry = await fork(plant, run, "j", dry_run=True)
    assert (dry.run, dry.taken, [(each.node, each.tasks) for each in dry.again]) == (None, 4, [("j", 1), ("k", 1)])
    assert await plant.sql("SELECT COUNT(*) FROM run") == [(1,)]
    answer = await fork(plant, run, "j", tags={"try": "2"})
    assert msgspec.structs.replace(answer, run=None) == dry
    assert answer.run is not None
    view = await plant.run(answer.run)
    assert (view.state, view.tasks, view.weight, view.tags) == ("RUNNING", 5, 3, {"team": "blue", "try": "2"})
    assert view.fork is not None
    assert (view.fork.run, view.fork.node, view.fork.branch) == (run, "j", "")
    assert await work(plant, lambda name, given: plainly(name, given) if name != "j" else 7) == ["j", "k"]
    assert await plant.result(answer.run) == [7, 10]
    assert await plant.result(run) == [30, 10]
    assert await plant.sql("SELECT * FROM task WHERE run = ? ORDER BY id", run) == before
    assert (await plant.run(run)).fork is None
    assert (await plant.engine.store.read(lambda reader: reader.run_stores([answer.run or 0])))[
        answer.run
    ] == b'{"a":1}'


@on_one
async def test_one_task_of_a_mapped_node_runs_anew_and_the_joins_below_it(plant: Plant) -> None:
    run = await mapped(plant)
    answer = await fork(plant, run, "m", "s[1]")
    assert [(each.node, each.tasks) for each in answer.again] == [("m", 1), ("j", 1), ("k", 1)]
    assert await work(plant, lambda name, given: plainly(name, given) + (name == "m") if name != "k" else given) == [
        "ms[1]",
        "j",
        "k",
    ]
    assert await plant.result(answer.run or 0) == {"j": 31, "by": 10}


@on_one
async def test_inputs_may_be_otherwise_for_what_runs_anew(plant: Plant) -> None:
    run = await mapped(plant)
    answer = await fork(plant, run, "k", inputs={"by": encoded(5)})
    assert await work(plant, plainly) == ["k"]
    assert await plant.result(answer.run or 0) == [30, 5]
    again = await fork(plant, answer.run or 0, "m", "s[0]")
    assert await work(plant, plainly) == ["ms[0]", "j", "k"]
    assert await plant.result(again.run or 0) == [25, 5]
    assert answer.unaware == ["m"]
    assert (await fork(plant, run, "m", inputs={"by": encoded(5)})).unaware == []
    for wrong in ({"nope": encoded(1)},):
        with pytest.raises(Invalid, match="not what it takes"):
            await fork(plant, run, "k", inputs=wrong)


async def test_an_item_before_the_start_may_be_otherwise(plant: Plant) -> None:
    run = await mapped(plant)
    edit = ForkEdit(node="s", value=encoded([5, 6, 7]))
    answer = await fork(plant, run, "m", edits=[edit])
    assert await work(plant, plainly) == ["ms[0]", "ms[1]", "ms[2]", "j", "k"]
    assert await plant.result(answer.run or 0) == [180, 10]
    one = await fork(plant, run, "m", "s[1]", edits=[edit])
    assert await work(plant, plainly) == ["ms[1]", "j", "k"]
    assert await plant.result(one.run or 0) == [70, 10]
    part = await fork(plant, run, "j", edits=[ForkEdit(node="m", branch="s[0]", value=encoded(100))])
    assert await work(plant, plainly) == ["j", "k"]
    assert await plant.result(part.run or 0) == [120, 10]


@on_one
async def test_what_else_has_read_an_edited_item_is_named(plant: Plant) -> None:
    await plant.push(node("a"), *(node(name, after("a"), bind={"a": Ref(node="a")}) for name in "bc"))
    run = await plant.trigger()
    await work(plant)
    answer = await fork(plant, run, "b", edits=[ForkEdit(node="a", value=encoded("other"))])
    assert answer.unaware == ["c"]
    assert await work(plant, lambda name, given: given) == ["b"]


@on_one
async def test_edits_that_make_no_sense_are_refused_with_what_would(plant: Plant) -> None:
    run = await mapped(plant)
    for edit, start, message in (
        (ForkEdit(node="z", value=encoded(1)), "m", "What 'm' reads: 's'"),
        (ForkEdit(node="m", value=encoded(1)), "j", r"It has items at 's\[0\]', 's\[1\]'"),
        (ForkEdit(node="s", value=encoded(1), item=1), "m", "has no item 1"),
        (ForkEdit(node="s", value=encoded({"no": "list"})), "m", "is not a list"),
    ):
        with pytest.raises(Invalid, match=message):
            await fork(plant, run, start, edits=[edit])
    with pytest.raises(Invalid, match="no such element any more"):
        await fork(plant, run, "m", "s[1]", edits=[ForkEdit(node="s", value=encoded([1]))])
    assert await plant.sql("SELECT COUNT(*) FROM run") == [(1,)]


async def test_large_items_are_shared_and_not_copied(plant: Plant) -> None:
    await plant.push(node("a"), node("b", after("a"), bind={"a": Ref(node="a")}))
    run, hand = await plant.trigger(), plant.hand()
    large = "x" * (PAYLOAD_INLINE + 1)
    await hand.complete(*await hand.claim(), large)
    await hand.complete(*await hand.claim(), "b")
    answer = await fork(plant, run, "b")
    (task,) = await hand.claim()
    parts = await plant.engine.leases.input(NS, hand.secret, task.task, task.attempt)
    assert len(b"".join([part async for part in parts])) == len(large) + len('{"a":""}')
    rows = await plant.sql("SELECT body, blob FROM item WHERE node = 0 ORDER BY run")
    assert rows[0] == rows[1]
    assert rows[0][0] is None
    edited = await fork(plant, run, "b", edits=[ForkEdit(node="a", value=encoded("y" + large))])
    (((body, blob),)) = await plant.sql("SELECT body, blob FROM item WHERE run = ? AND node = 0", edited.run)
    assert (body, blob == rows[0][1]) == (None, False)
    assert answer.run != edited.run


@on_one
async def test_elements_of_a_nodes_own_list_are_made_anew_or_one_of_them(plant: Plant) -> None:
    over = Expand(over=ListOf(items=(run_input("n"), run_input("by"))))
    e = node("e", after("a"), expand=over, bind={"x": Element(of="e")})
    await plant.push(node("a"), e, node("j", join("e"), bind={"all": Ref(node="e", many=True)}), inputs=["n", "by"])
    run = await plant.trigger(inputs={"n": 1, "by": 2})
    await work(plant, lambda name, given: given)
    await fork(plant, run, "e", inputs={"by": encoded(3)})
    assert await work(plant, lambda name, given: given) == ["ee[0]", "ee[1]", "j"]
    one = await fork(plant, run, "e", "e[1]", inputs={"by": encoded(4)})
    assert await work(plant, lambda name, given: given) == ["ee[1]", "j"]
    page = await plant.tasks(one.run or 0, "j")
    items = await plant.engine.recorded.items(NS, page[0].id)
    assert msgspec.json.decode(b"".join([part async for part in items])) == [{"all": [{"x": 1}, {"x": 4}]}]


@on_one
async def test_a_condition_on_the_way_in_is_told_anew(plant: Plant) -> None:
    b = node("b", Each(way=Edge(node="a", when="item > inputs.n")), bind={"a": Ref(node="a")})
    e = node("e", Each(way=Edge(node="a", when="item > inputs.n")), expand=Expand(over=run_input("by")))
    await plant.push(node("a"), b, e, inputs=["n", "by"])
    run = await plant.trigger(inputs={"n": 1, "by": [1]})
    assert await work(plant, lambda name, given: 5) == ["a", "b", "ee[0]"]
    for start in ("b", "e"):
        await fork(plant, run, start, inputs={"n": encoded(7)})
        assert await work(plant) == []
        await fork(plant, run, start, edits=[ForkEdit(node="a", value=encoded(0))])
        assert await work(plant) == []
        await fork(plant, run, start, inputs={"n": encoded(2)})
        assert len(await work(plant)) == 1


async def test_what_failed_elsewhere_is_taken_over_with_its_story_and_may_be_retried(plant: Plant) -> None:
    await plant.push(node("a"), node("b"), node("c", join("b")), node("p"))
    run, hand = await plant.trigger(), plant.hand()
    for task in await hand.claim(3):
        report = {"a": failure(task, "broken"), "p": Prune(task=task.task, attempt=1, reason="nothing")}
        await hand.report(report.get(task.node) or completion(task))
    await work(plant)
    assert (await plant.run(run)).state == "FAILED"
    answer = await fork(plant, run, "b")
    assert await work(plant) == ["b", "c"]
    view = await plant.run(answer.run or 0)
    assert (view.state, view.causes[0].message) == ("FAILED", "broken")
    (pruned,) = await plant.tasks(answer.run or 0, "p")
    assert (await plant.task(pruned.id)).message == "nothing"
    await plant.engine.runs.retry(NS, answer.run or 0)
    assert await work(plant) == ["a"]
    assert (await plant.run(answer.run or 0)).state == "SUCCEEDED"
    assert (await plant.run(run)).state == "FAILED"


@on_one
async def test_waits_and_child_runs_start_anew_where_they_are_below(plant: Plant) -> None:
    inner = GraphSpec(
        name="inner", nodes=(node("i", bind={"x": run_input("x")}),), inputs={"x": InputSpec()}, result=Ref(node="i")
    )
    sub = node("c", after("w"), kind="stoker.subgraph", subgraph=Subgraph(graph="inner"), bind={"x": Ref(node="w")})
    outer = GraphSpec(name="sample", nodes=(node("a"), wait("w", after("a")), sub), result=Ref(node="c"))
    await plant.engine.catalog.push(NS, PushRequest(graph=inner, kinds=KINDS))
    await plant.engine.catalog.push(NS, PushRequest(graph=outer))
    run = await plant.trigger()
    await work(plant)
    await settle(plant, run, "yes")
    assert await work(plant, lambda name, given: given["x"]) == ["i"]
    answer = await fork(plant, run, "w")
    await settle(plant, answer.run or 0, "no")
    assert await work(plant, lambda name, given: given["x"]) == ["i"]
    assert [await plant.result(each) for each in (run, answer.run or 0)] == ["yes", "no"]
    below = await fork(plant, run, "c")
    assert await work(plant, lambda name, given: given["x"] * 2) == ["i"]
    assert await plant.result(below.run or 0) == "yesyes"


async def settle(plant: Plant, run: int, value: object) -> None:
    (task,) = (await plant.engine.waits.open(NS, run=run, limit=5, after=None)).items
    await plant.engine.waits.settle(NS, task.id, SettleRequest(value=encoded(value)))


LOOPED = (
    node("l", kind="stoker.loop", loop=Loop(next="n", until="item > 2"), bind={"state": run_input("n")}),
    node("t", Iteration(of="l"), kind="stoker.item"),
    node("b", after("t"), bind={"x": Ref(node="t")}),
    node("n", join("b", anchor="t", policy="all_done"), kind="stoker.item", bind={"state": Ref(node="b")}),
    node("z", after("l"), bind={"x": Ref(node="l")}),
)


@on_one
async def test_a_loop_starts_anew_as_a_whole(plant: Plant) -> None:
    await plant.push(*LOOPED, inputs=["n"], result=Ref(node="z"))
    run = await plant.trigger(inputs={"n": 1})
    one = {"value": lambda name, given: given["x"] + 1}
    assert await work(plant, **one) == ["bl#1", "bl#2", "z"]
    with pytest.raises(Conflict, match="Fork from 'l'"):
        await fork(plant, run, "b")
    answer = await fork(plant, run, "l", inputs={"n": encoded(2)})
    assert await work(plant, **one) == ["bl#1", "z"]
    assert await plant.result(answer.run or 0) == 4
    assert (await fork(plant, run, "z", dry_run=True)).taken > 4


@on_one
async def test_what_cannot_be_forked_is_refused_with_a_remedy(plant: Plant) -> None:
    await plant.push(node("a"), node("b", after("a")), node("c", after("b")), node("d"))
    run, hand = await plant.trigger(), plant.hand()
    for start, branch, code in (("a", None, "still_running"), ("x", None, "still_running")):
        assert await refused(plant, run, start, branch) == code
    first, other = await hand.claim(2)
    await hand.complete(first)
    await plant.engine.runs.cancel(NS, run)
    await hand.complete(other)  # it was done before it heard of the cancel: what it unlocks is withheld
    await plant.tick()
    assert (await plant.run(run)).state == "CANCELLED"
    assert await refused(plant, run, "x") == "no_node"
    assert await refused(plant, run, "a", "s[1]") == "no_task"
    assert await refused(plant, run, "d") == "run_was_stopped"  # without b, which was cut off
    assert (await fork(plant, run, "a", dry_run=True)).taken == 1
    failing = await plant.trigger()
    for task in await hand.claim(2):
        await hand.report(failure(task) if task.node == "a" else completion(task))
    assert await refused(plant, failing, "c") == "not_reached"
    with pytest.raises(NotFound):
        await plant.engine.forks.fork(NS, 999, ForkRequest(from_="a"))
    await plant.push(
        node("x", OnChange(of=("i",)), bind={"i": RunInput(name="i")}), name="live", inputs=["i"], mode="live"
    )
    alive = await plant.trigger("live", inputs={"i": 1})
    assert await refused(plant, alive, "x") == "live_run"


async def refused(plant: Plant, run: int, start: str, branch: str | None = None) -> str:
    with pytest.raises(StokerError) as caught:
        await fork(plant, run, start, branch)
    assert caught.value.remedy
    return caught.value.code
