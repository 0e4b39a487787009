"""Random graphs of plain steps: what the engine stores is what a plain evaluation of the graph gives."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from core.player import slices_of
from engine.plant import NS, Hand, Plant, completion, failure
from stoker.core.branch import indexes
from stoker.core.graph import KindSpec
from stoker.core.model import SLICE
from stoker.core.protocol import Assignment, Requeue
from stoker.core.views import PushRequest
from stoker.selftest import plain
from stoker.selftest.draw import SEED, plain_graph
from stoker.selftest.evaluate import evaluate

GRAPHS = 25
KINDS = (KindSpec(name=plain.PLAIN), KindSpec(name=plain.PLAINS, items="many"))


async def test_every_item_is_what_plain_evaluation_gives(plant: Plant) -> None:
    hand = plant.hand(kinds=(plain.PLAIN, plain.PLAINS))
    joined = deep = 0
    for seed in range(GRAPHS):
        dice = Random(seed)
        spec = plain_graph(dice, f"graph{seed}")
        with slices_of(dice.choice((1, 3, SLICE))):
            await plant.engine.catalog.push(NS, PushRequest(graph=spec, kinds=KINDS))
            run = await plant.trigger(spec.name, {SEED: ""})
            await work(plant, hand, run, dice)
        assert (await plant.run(run)).state == "SUCCEEDED", f"seed {seed}"
        wanted = {
            (node, way, number): item
            for node, ways in evaluate(spec, {SEED: ""}).items()
            for way, items in ways.items()
            for number, item in enumerate(items)
        }
        assert await stored(plant, run) == wanted, f"seed {seed}"
        joined += sum(bool(node.fire.__struct_config__.tag == "join") for node in spec.nodes)
        deep = max(deep, *(len(way) for _, way, _ in wanted), 0)
    assert joined > GRAPHS
    assert deep >= 3


async def work(plant: Plant, hand: Hand, run: int, dice: Random) -> None:
    """Do what there is, in any order; some attempts fail, some take a step back, some are lost."""
    for _ in range(2_000):
        plant.clock.advance(0.2)
        if dice.random() < 0.03:
            hand.drop()
            plant.clock.advance(21)
        await plant.tick()
        tasks = await hand.claim(dice.randint(1, 30))
        await hand.report(*(outcome(task, dice) for task in dice.sample(tasks, len(tasks))))
        if (await plant.run(run)).state != "RUNNING":
            return
    raise AssertionError("the run does not end")


def outcome(task: Assignment, dice: Random) -> Any:
    match dice.choices(("well", "fail", "requeue"), (90, 6, 4))[0]:
        case "fail":
            return failure(task)
        case "requeue":
            return Requeue(task=task.task, attempt=task.attempt, after_s=0.1)
    given = msgspec.json.decode(bytes(task.input))
    asked = given["name"], given["widths"], given["given"]
    items: list[object] = [*plain.items(*asked)] if task.kind == plain.PLAINS else [plain.item(*asked)]
    return completion(task, items=items)


async def stored(plant: Plant, run: int) -> dict[tuple[str, tuple[int, ...], int], Any]:
    spec, _ = (await plant.sql("SELECT spec, id FROM version WHERE id = (SELECT version FROM run WHERE id = ?)", run))[
        0
    ]
    names = [node["name"] for node in msgspec.json.decode(spec)["nodes"]]
    rows = await plant.sql("SELECT node, branch, item, body FROM item WHERE run = ?", run)
    return {
        (names[node], tuple(indexes(bytes(branch))), item): msgspec.json.decode(bytes(body))
        for node, branch, item, body in rows
    }
