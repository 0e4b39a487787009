"""Loops: iteration after iteration with the state that the last one left, until a condition says so."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.plant import NS, Hand, Plant, after, completion, join, node, run_input
from stoker.core.graph import (
    ITEM_KIND,
    LOOP_KIND,
    Element,
    Expand,
    Iteration,
    Join,
    Loop,
    ObjectOf,
    Ref,
    Retry,
    RunInput,
)
from stoker.core.protocol import Assignment, Prune
from stoker.errors import Conflict, Invalid


def loop(
    name: str,
    *body: Any,
    last: str,
    state: Any = None,
    fire: Any = None,
    expand: Any = None,
    next_: Any = None,
    **how: Any,
) -> tuple[Any, ...]:
    """A loop around these nodes, whose `last` gives the next state."""
    how = how or {"until": "item.done"}
    options = {"expand": expand} if expand is not None else {}
    return (
        node(
            name,
            fire,
            kind=LOOP_KIND,
            bind={"state": state or RunInput(name="s")},
            loop=Loop(next=f"{name}.next", **how),
            **options,
        ),
        node(f"{name}.state", Iteration(of=name), kind=ITEM_KIND),
        *body,
        node(
            f"{name}.next",
            Join(anchor=f"{name}.state", of=(last,), policy="all_done"),
            kind=ITEM_KIND,
            bind={"state": next_ or Ref(node=last)},
        ),
    )


def body(name: str = "step", of: str = "refine", **options: Any) -> Any:
    return node(name, after(f"{of}.state"), bind={"s": Ref(node=f"{of}.state")}, **options)


async def started(plant: Plant, *nodes: Any, s: object = 0, **more: Any) -> int:
    await plant.push(*nodes, inputs=["s"], **more)
    return await plant.trigger(inputs={"s": s})


def state(task: Assignment) -> Any:
    return msgspec.json.decode(bytes(task.input))["s"]


async def turn(hand: Hand, done: int) -> Assignment:
    """One iteration of a step that counts up to `done`."""
    (task,) = await hand.claim()
    found = state(task)
    number = found["n"] if isinstance(found, dict) else found
    await hand.complete(task, {"n": number + 1, "done": number + 1 >= done})
    return task


async def test_a_loop_goes_on_with_the_state_that_the_last_iteration_left(plant: Plant) -> None:
    following = node("report", after("refine"), bind={"x": Ref(node="refine")})
    nodes = loop("refine", body(), last="step")
    run = await started(plant, *nodes, following, result=Ref(node="refine", path=("n",)))
    hand = plant.hand()
    branches = [(await turn(hand, 3)).branch for _ in range(3)]
    assert branches == ["refine#1", "refine#2", "refine#3"]
    (held,) = await plant.tasks(run, "refine")
    assert (held.state, held.attempt, held.session) == ("SUCCEEDED", 1, None)
    (task,) = await hand.claim()
    assert msgspec.json.decode(bytes(task.input)) == {"x": {"n": 3, "done": True}}
    await hand.complete(task)
    assert await plant.result(run) == 3
    assert (await plant.run(run)).state == "SUCCEEDED"


async def test_an_iteration_and_what_follows_it_are_one_transaction(plant: Plant) -> None:
    await started(plant, *loop("refine", body(), last="step"))
    hand = plant.hand()
    await turn(hand, 3)
    with plant.counting() as transactions:
        await turn(hand, 3)
    assert transactions() == 2  # the claim, the report
    assert [task.branch for task in await hand.claim()] == ["refine#3"]


@pytest.mark.parametrize(
    ("how", "turns"),
    [
        ({"while": "!item.done"}, 4),
        ({"until": "index == 2"}, 2),
        ({"until": "item.n > 100", "max_iterations": 3}, 3),
        ({"until": "true"}, 1),
    ],
)
async def test_the_condition_or_the_most_iterations_end_it(plant: Plant, how: dict[str, Any], turns: int) -> None:
    how = {"while_" if key == "while" else key: value for key, value in how.items()}
    run = await started(plant, *loop("refine", body(), last="step", **how), result=Ref(node="refine", path=("n",)))
    hand = plant.hand()
    for _ in range(turns):
        await turn(hand, 4)
    assert await plant.result(run) == turns


async def test_an_iteration_may_fan_out_and_join(plant: Plant) -> None:
    """Its tasks are members of no join outside; the loop is."""
    parts = node("part", after("refine.state", ("xs",)), bind={"x": Element(of="refine.state")})
    merge = node("merge", join("part", anchor="refine.state"), bind={"xs": Ref(node="part", many=True)})
    nodes = loop(
        "refine",
        parts,
        merge,
        last="merge",
        until="size(item.xs) < 2",
        next_=ObjectOf(fields={"xs": Ref(node="merge")}),
    )
    other = node("other")
    both = node("both", join("refine", "other"), bind={"x": Ref(node="refine"), "o": Ref(node="other")})
    run = await started(plant, *nodes, other, both, s={"xs": [1, 2, 3, 4]})
    hand = plant.hand()
    seen: list[Any] = []
    while found := await hand.claim(10):
        for task in found:
            given = msgspec.json.decode(bytes(task.input))
            match task.node:
                case "merge":
                    xs = given["xs"]
                    seen.append(xs)
                    await hand.complete(task, [a + b for a, b in zip(xs[::2], xs[1::2], strict=True)])
                case "both":
                    assert given == {"x": {"xs": [10]}, "o": 1}
                    await hand.complete(task)
                case "part":
                    await hand.complete(task, given["x"])
                case _:
                    await hand.complete(task)
    assert seen == [[1, 2, 3, 4], [3, 7]]
    assert (await plant.run(run)).state == "SUCCEEDED"


async def test_each_element_has_a_loop_of_its_own(plant: Plant) -> None:
    wide = {"expand": Expand(over=run_input("s")), "state": Element(of="refine")}
    nodes = loop("refine", body(), last="step", until="item.n >= item.most", **wide)
    all_ = node("all", join("refine"), bind={"all": Ref(node="refine", path=("n",), many=True)})
    run = await started(plant, *nodes, all_, s=[{"n": 0, "most": most} for most in (1, 3, 2)])
    hand = plant.hand()
    branches = []
    while found := await hand.claim(10):
        if found[0].node == "all":
            assert msgspec.json.decode(bytes(found[0].input)) == {"all": [1, 3, 2]}
            await hand.complete(found[0])
            continue
        for task in found:
            branches.append(task.branch)
            given = state(task)
            await hand.complete(task, {**given, "n": given["n"] + 1})
    assert sorted(branches) == [
        *("refine[0]/refine#1", "refine[1]/refine#1", "refine[1]/refine#2", "refine[1]/refine#3"),
        *("refine[2]/refine#1", "refine[2]/refine#2"),
    ]
    assert (await plant.run(run)).state == "SUCCEEDED"


async def test_a_loop_in_a_loop(plant: Plant) -> None:
    inner = loop(
        "inner",
        body("step", "inner"),
        last="step",
        state=Ref(node="outer.state"),
        fire=after("outer.state"),
        until="item.n % 3 == 0",
    )
    nodes = loop("outer", *inner, last="inner", until="item.n >= 6")
    run = await started(plant, *nodes, result=Ref(node="outer"))
    hand = plant.hand()
    branches = [(await turn(hand, 99)).branch for _ in range(6)]
    assert branches == [f"outer#{o}/inner#{i}" for o in (1, 2) for i in (1, 2, 3)]
    assert await plant.result(run) == {"n": 6, "done": False}


async def test_a_failure_in_the_body_fails_the_loop_and_a_retry_goes_on_in_that_iteration(plant: Plant) -> None:
    report = node("report", join("refine"), bind={"x": Ref(node="refine")})
    run = await started(plant, *loop("refine", body(retry=Retry(attempts=2, base=0)), last="step"), report)
    hand = plant.hand()
    await turn(hand, 3)
    for _ in range(2):
        (task,) = await hand.claim()
        await hand.fail(task, "no")
    (held,) = await plant.tasks(run, "refine")
    assert (held.state, held.code) == ("FAILED", "iteration_failed")
    assert (await plant.task(held.id)).message == "iteration 2 ended without a next state"
    assert (await plant.states(run, "report"), (await plant.run(run)).state) == (["SKIPPED"], "FAILED")
    with pytest.raises(Conflict, match="a loop goes on"):
        await plant.engine.runs.retry_task(NS, held.id)
    await plant.engine.runs.retry(NS, run)
    assert ((await plant.task(held.id)).state, (await plant.task(held.id)).attempt) == ("LEASED", 2)
    assert (await turn(hand, 3)).branch == "refine#2"
    assert (await turn(hand, 3)).branch == "refine#3"
    (task,) = await hand.claim()
    assert task.node == "report"
    await hand.complete(task)
    assert (await plant.run(run)).state == "SUCCEEDED"


async def test_a_pruned_body_prunes_the_loop(plant: Plant) -> None:
    run = await started(plant, *loop("refine", body(), last="step"), node("report", after("refine")))
    hand = plant.hand()
    (task,) = await hand.claim()
    await hand.report(Prune(task=task.task, attempt=task.attempt))
    assert await plant.states(run, "refine") == ["PRUNED"]
    assert await plant.states(run, "report") == []
    assert (await plant.run(run)).state == "SUCCEEDED"


@pytest.mark.parametrize(
    ("until", "gives", "says"),
    [("item.done", {"n": 1}, "condition 'item.done' cannot be told"), ("item.done", {"done": 7}, "not true or false")],
)
async def test_a_condition_that_cannot_be_told_fails_the_loop(plant: Plant, until: str, gives: Any, says: str) -> None:
    run = await started(plant, *loop("refine", body(), last="step", until=until))
    hand = plant.hand()
    (task,) = await hand.claim()
    await hand.complete(task, gives)
    (held,) = await plant.tasks(run, "refine")
    assert (held.state, (await plant.run(run)).state) == ("FAILED", "FAILED")
    assert says in (await plant.task(held.id)).message
    with pytest.raises(Conflict, match="no failed or cancelled task"):
        await plant.engine.runs.retry(NS, run)


async def test_a_cancelled_loop_goes_on_where_it_stopped(plant: Plant) -> None:
    run = await started(plant, *loop("refine", body(), last="step"), result=Ref(node="refine", path=("n",)))
    hand = plant.hand()
    await turn(hand, 3)
    await plant.engine.runs.cancel(NS, run)
    await plant.tick()
    assert (await plant.run(run)).state == "CANCELLED"
    assert await plant.states(run, "refine") == ["CANCELLED"]
    await plant.engine.runs.retry(NS, run)
    assert [(await turn(hand, 3)).branch for _ in range(2)] == ["refine#2", "refine#3"]
    assert await plant.result(run) == 3


async def test_an_iteration_that_ends_while_the_run_stops_is_followed_after_the_retry(plant: Plant) -> None:
    run = await started(plant, *loop("refine", body(), last="step"), result=Ref(node="refine", path=("n",)))
    hand = plant.hand()
    (task,) = await hand.claim()
    await plant.engine.runs.cancel(NS, run)
    await hand.complete(task, {"n": 1, "done": False})
    await plant.tick()
    assert (await plant.run(run)).state == "CANCELLED"
    await plant.engine.runs.retry(NS, run)
    assert (await turn(hand, 2)).branch == "refine#2"
    assert await plant.result(run) == 2


async def test_a_loop_goes_round_a_thousand_times(plant: Plant) -> None:
    run = await started(
        plant, *loop("refine", body(), last="step", until="item.done"), result=Ref(node="refine", path=("n",))
    )
    hand = plant.hand()
    (task,) = await hand.claim()
    for number in range(1, 1001):
        answer = await hand.exchange(completion(task, {"n": number, "done": number == 1000}), want=1)
        if number < 1000:
            (task,) = answer.tasks
    assert await plant.result(run) == 1000


async def test_a_server_that_is_killed_between_iterations_goes_on(plant: Plant) -> None:
    run = await started(plant, *loop("refine", body(), last="step"), result=Ref(node="refine", path=("n",)))
    await turn(plant.hand(), 2)
    await plant.crash()
    await turn(plant.hand(), 2)
    assert await plant.result(run) == 2


async def test_explain_says_which_iteration_goes_on(plant: Plant) -> None:
    run = await started(plant, *loop("refine", body(), last="step"))
    await turn(plant.hand(), 3)
    (held,) = await plant.tasks(run, "refine")
    assert (await plant.engine.views.explain_task(NS, held.id)).because == ["iteration 2 of at most 1000 goes on"]


STEP = body()
SOUND = loop("refine", STEP, last="step")
LED_OUT = (node("d", after("step")), node("j", join("refine", "step")))
SELF = node("step", after("refine.state"), bind={"x": Ref(node="refine")})
BROKEN: list[tuple[tuple[Any, ...], str]] = [
    (loop("refine", STEP, last="step", until="item.done", while_="item.go"), "one of the two"),
    (loop("refine", STEP, last="step", max_iterations=5), "one of the two"),
    (loop("refine", STEP, last="step", until="item."), "cannot be used"),
    (loop("refine", STEP, last="step", until="inputs.s > 1"), "reads more than"),
    (loop("refine", STEP, last="step", until="item.x", max_iterations=0), "max_iterations"),
    ((*SOUND, *LED_OUT), "out of which no edge"),
    ((*SOUND, node("d", after("refine"), bind={"x": Ref(node="step")})), "cannot be read here"),
    (loop("refine", SELF, last="step"), "cannot be read here"),
    ((node("a"), node("s", Iteration(of="a"), kind=ITEM_KIND)), "which is not a loop"),
    (SOUND[:1], "one node fires for each iteration"),
    (SOUND[:3], "is no join"),
]


@pytest.mark.parametrize(("nodes", "says"), BROKEN, ids=range(len(BROKEN)))
async def test_a_loop_that_lacks_a_part_is_refused_at_the_push(plant: Plant, nodes: tuple[Any, ...], says: str) -> None:
    with pytest.raises(Invalid) as caught:
        await plant.push(*nodes, inputs=["s"])
    assert says in str(caught.value)
