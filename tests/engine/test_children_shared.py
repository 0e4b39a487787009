"""Child runs of one tree on two servers: the row of the root is the lock of them all."""

from __future__ import annotations

import asyncio

from engine.plant import NS, Plant, completion, join, node, run_input
from stoker.core.graph import SUBGRAPH_KIND, Element, Expand, GraphSpec, InputSpec, KindSpec, Ref, Subgraph
from stoker.core.views import PushRequest

CHILDREN = 12


async def pushed(plant: Plant, spec: GraphSpec) -> None:
    await plant.engine.catalog.push(NS, PushRequest(graph=spec, kinds=(KindSpec(name="one"),)))


async def test_children_that_end_on_two_servers_at_once_are_all_counted(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    work = node("work", bind={"n": run_input("n")})
    inputs = {"n": InputSpec()}
    await pushed(here, GraphSpec(name="inner", nodes=(work,), inputs=inputs, result=Ref(node="work")))
    sub = node(
        "sub",
        kind=SUBGRAPH_KIND,
        subgraph=Subgraph(graph="inner"),
        expand=Expand(over=run_input("n")),
        bind={"n": Element(of="sub")},
    )
    all_ = node("all", join("sub"), bind={"all": Ref(node="sub", many=True)})
    await pushed(here, GraphSpec(name="outer", nodes=(sub, all_), inputs=inputs, result=Ref(node="all")))
    for _ in range(3):
        run = await here.trigger("outer", {"n": list(range(CHILDREN))})
        hands = [here.hand("a"), there.hand("b")]
        given = [await hand.claim(CHILDREN // 2) for hand in hands]
        assert sum(map(len, given)) == CHILDREN
        await asyncio.gather(
            *(hand.report(completion(task, 1)) for hand, tasks in zip(hands, given, strict=True) for task in tasks)
        )
        (joined,) = await hands[0].claim()
        await hands[0].complete(joined, "done")
        assert await here.result(run) == "done"
        assert [row[:2] for row in await here.sql("SELECT open, failed FROM run WHERE id = ?", run)] == [(0, 0)]


async def test_a_cancel_on_one_server_meets_ends_on_another(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    await pushed(here, GraphSpec(name="inner", nodes=(node("work"),), result=Ref(node="work")))
    nodes = tuple(node(f"sub{n}", kind=SUBGRAPH_KIND, subgraph=Subgraph(graph="inner")) for n in range(6))
    await pushed(here, GraphSpec(name="outer", nodes=nodes))
    for _ in range(3):
        run = await here.trigger("outer")
        hand = there.hand("b")
        tasks = await hand.claim(6)
        ends = [hand.report(completion(task, 1)) for task in tasks[:3]]
        await asyncio.gather(here.engine.runs.cancel(NS, run), *ends)
        await asyncio.gather(here.tick(), there.tick())
        await hand.report(*(completion(task, 1) for task in tasks[3:]))
        await here.tick()
        assert (await here.run(run)).state in ("CANCELLED", "SUCCEEDED")
        left = await here.sql("SELECT COUNT(*) FROM task WHERE state <= 2")
        assert left == [(0,)]
