"""Wide and deep: what a task costs does not depend on how many others there are, and the results are exact."""

from __future__ import annotations

import msgspec
import pytest

from engine.plant import Hand, Plant, after, completion, join, node
from engine.test_budget import Meter
from stoker.core.graph import ObjectOf, Ref
from stoker.core.protocol import Assignment

WIDTH = 20  # of each of three levels: 8,000 tasks at the bottom
CHAIN = 1_000
AT_ONCE = 256


async def worked(plant: Plant, run: int, hand: Hand, value: object = 1) -> None:
    """Do all that there is, many at once; `value` of a task, if it is one for all."""
    while True:
        tasks = await hand.claim(AT_ONCE)
        await hand.report(*(completion(task, value) for task in tasks))
        if not tasks and (await plant.run(run)).state != "RUNNING":
            return
        if not tasks:
            await plant.tick()


@pytest.mark.timeout(300)
async def test_three_levels_of_fan_out_are_joined_level_by_level_exactly(plant: Plant) -> None:
    """Every leaf is a number of its own; every sum, at every level, is that of its own leaves."""
    await plant.push(
        node("top"),
        node("mid", after("top", ())),
        node("low", after("mid", ())),
        node("leaf", after("low", ())),
        node("sum3", join("leaf", anchor="low"), bind={"xs": Ref(node="leaf", many=True)}),
        node("sum2", join("sum3", anchor="mid"), bind={"xs": Ref(node="sum3", many=True)}),
        node("sum1", join("sum2", anchor="top"), bind={"xs": Ref(node="sum2", many=True)}),
        result=ObjectOf(fields={"sum": Ref(node="sum1"), "parts": Ref(node="sum2", many=True)}),
    )
    run = await plant.trigger()
    hand = plant.hand(capacity=AT_ONCE)
    while tasks := await hand.claim(AT_ONCE):
        await hand.report(*(completion(task, _made(task)) for task in tasks))
        await plant.tick()
    count = WIDTH**3
    found = await plant.result(run)
    assert found["sum"] == count * (count - 1) // 2
    each = WIDTH**2
    assert found["parts"] == [sum(range(at * each, (at + 1) * each)) for at in range(WIDTH)]
    assert (await plant.run(run)).tasks == 2 + 2 * WIDTH + 2 * WIDTH**2 + count
    rows = await plant.sql("SELECT node, COUNT(*), MIN(arrived), MAX(arrived), MAX(open) FROM join_row GROUP BY node")
    assert sorted(rows) == [(node, WIDTH**level, WIDTH, WIDTH, 0) for node, level in ((4, 2), (5, 1), (6, 0))]


def _made(task: Assignment) -> object:
    if task.node.startswith("sum"):
        return sum(msgspec.json.decode(bytes(task.input))["xs"])
    steps = [int(step.partition("[")[2].rstrip("]")) for step in task.branch.split("/")] if task.branch else []
    if task.node == "leaf":
        first, second, third = steps
        return (first * WIDTH + second) * WIDTH + third
    return [0] * WIDTH


@pytest.mark.timeout(300)
async def test_a_chain_of_a_thousand_steps_is_walked_step_by_step(plant: Plant) -> None:
    """Each step knows the number of the one before it."""
    steps = [node("n0"), *(_step(number) for number in range(1, CHAIN))]
    await plant.push(*steps, result=Ref(node=f"n{CHAIN - 1}"))
    run = await plant.trigger()
    hand = plant.hand()
    hand.closed = True  # its row is not looked at: that would take longer than the steps
    (task,) = await hand.claim()
    meter = Meter(plant)
    for number in range(CHAIN):
        value = 0 if not number else msgspec.json.decode(bytes(task.input))["x"] + 1
        answer = await hand.exchange(completion(task, value), want=1)
        task = answer.tasks[0] if answer.tasks else task
    assert await plant.result(run) == CHAIN - 1
    assert meter.transactions == CHAIN
    assert (await plant.run(run)).tasks == CHAIN


def _step(number: int) -> object:
    above = f"n{number - 1}"
    return node(f"n{number}", after(above), bind={"x": Ref(node=above)})


async def test_a_task_costs_as_much_in_a_wide_fan_out_as_in_a_narrow_one(plant: Plant) -> None:
    """Statements and rows of claiming and settling so many tasks, whatever else stands beside them."""
    costs = []
    for width in (400, 4_000):
        hand = await _fanned(plant, width)
        meter = Meter(plant)
        await meter.rows()
        for _ in range(3):
            await hand.report(*(completion(task) for task in await hand.claim(100)))
        costs.append((meter.statements, meter.transactions, await meter.rows()))
        await plant.engine.runs.cancel("default", 1 + len(costs) - 1)
        await plant.tick()
    narrow, wide = costs
    assert wide[:2] == narrow[:2]
    assert abs(wide[2] - narrow[2]) <= 3


async def _fanned(plant: Plant, width: int) -> Hand:
    """So many tasks READY below one, and a join behind them."""
    await plant.push(node("a"), node("b", after("a", ())), node("c", join("b", anchor="a")))
    await plant.trigger()
    hand = plant.hand(capacity=AT_ONCE)
    (source,) = await hand.claim()
    await hand.report(completion(source, [0] * width))
    await plant.tick()
    await hand.claim(0)
    return hand


async def test_a_settle_that_fans_out_wide_writes_a_slice_and_a_row_a_thousand(plant: Plant) -> None:
    written = []
    for width in (1_000, 11_000):
        await plant.push(node("a"), node("b", after("a", ())), node("c", join("b", anchor="a")))
        await plant.trigger()
        hand = plant.hand()
        (source,) = await hand.claim()
        meter = Meter(plant)
        await meter.rows()
        await hand.report(completion(source, [0] * width))
        written.append((meter.statements, await meter.rows()))
        await plant.engine.runs.cancel("default", len(written))
        await plant.tick()
    narrow, wide = written
    assert wide[0] - narrow[0] <= 1
    assert abs(wide[1] - narrow[1] - 10) <= 2
