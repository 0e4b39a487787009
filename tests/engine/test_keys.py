"""Limits by a value: each value has slots and starts of its own, however many values there are."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from engine.gating import limited
from engine.plant import NS, Hand, Plant, after, completion, failure, node, run_input
from stoker.core.graph import Element, NodeSpec
from stoker.core.key import SEPARATOR
from stoker.engine import heads, known
from stoker.errors import Conflict

DAY = 24 * 3_600.0


def per_tenant(name: str = "a", most: int | None = 1, **options: Any) -> NodeSpec:
    return limited(name, key="tenant", most=most, by=("who",), bind={"who": run_input("who")}, **options)


async def push(plant: Plant, *nodes: NodeSpec, **more: Any) -> None:
    await plant.push(*(nodes or (per_tenant(),)), inputs=["who"], **more)


async def start(plant: Plant, *tenants: object, graph: str = "sample") -> list[int]:
    return [await plant.trigger(graph, {"who": tenant}) for tenant in tenants]


async def tenants(plant: Plant) -> dict[str, int]:
    """How many tasks are being run, by tenant."""
    rows = await plant.sql(
        "SELECT g.name, COUNT(*) FROM task AS t JOIN gate AS g ON g.id = t.gate WHERE t.state = 2 GROUP BY g.name"
    )
    return {name.partition(SEPARATOR)[2]: count for name, count in rows}


async def elements(plant: Plant, *values: object, most: int = 1) -> int:
    """One run with a task per value."""
    await plant.push(
        node("s", kind="many"),
        limited("a", after("s", ()), key="tenant", most=most, by=("who",), bind={"who": Element(of="s")}),
    )
    run = await plant.trigger()
    hand = plant.hand(kinds=("many",))
    (source,) = await hand.claim()
    await hand.complete(source, items=[list(values)])
    return run


async def test_each_value_has_slots_of_its_own(plant: Plant) -> None:
    await push(plant, per_tenant(most=2))
    await start(plant, "blue", "blue", "blue", "red", 42, "42", 42)
    hand = plant.hand()
    assert len(await hand.claim(9)) == 5
    assert await tenants(plant) == {"blue": 2, "red": 1, "42": 2}
    assert await hand.claim(9) == []


async def test_tasks_of_several_graphs_and_kinds_share_the_limit_of_a_value(plant: Plant) -> None:
    await push(plant, per_tenant(most=2), name="first")
    await push(plant, per_tenant("b", most=2, kind="many"), name="second")
    for graph in ("first", "second") * 2:
        await start(plant, "blue", "red", graph=graph)
    assert len(await plant.hand().claim(9)) == 4
    assert await tenants(plant) == {"blue": 2, "red": 2}


async def test_a_limit_and_one_by_a_value_with_the_same_key_are_two(plant: Plant) -> None:
    await push(plant, per_tenant(), limited("b", key="tenant", most=1), limited("c", key="tenant:blue", most=1))
    await start(plant, "blue")
    assert sorted(task.node for task in await plant.hand().claim(9)) == ["a", "b", "c"]


async def test_elements_of_a_wide_fan_out_stand_under_their_own_limits(plant: Plant) -> None:
    await elements(plant, *(number % 7 for number in range(2_500)))
    hand = plant.hand(kinds=("one",))
    assert len(await hand.claim(50)) == 7
    await plant.tick()  # the rest of the fan-out is made
    rows = await plant.sql("SELECT COUNT(*) FROM task WHERE state = 1 AND gate IS NULL")
    assert rows == [(0,)]
    await hand.report(*(completion(task) for task in list(hand.held.values())))
    assert len(await hand.claim(50)) == 7


async def test_the_queue_decides_between_values_and_work_without_limits(plant: Plant) -> None:
    await push(plant, per_tenant(most=9), name="gated")
    await plant.push(node("b"), name="free")
    order = ["red", None, "blue", "red", None, "blue"]
    for tenant in order:
        await (start(plant, tenant, graph="gated") if tenant else plant.trigger("free"))
        plant.clock.advance(0.001)
    found = [task.node for task in await plant.hand().claim(6)]
    assert found == ["a" if tenant else "b" for tenant in order]


async def test_a_value_with_few_tasks_is_not_starved_by_one_with_many_and_no_slot(plant: Plant) -> None:
    await push(plant)
    await start(plant, *["big"] * 30, "small")
    hand = plant.hand()
    assert len(await hand.claim(2)) == 2
    assert await tenants(plant) == {"big": 1, "small": 1}


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, "", "x" * 201])
async def test_a_task_without_a_key_fails_and_says_why(plant: Plant, value: object) -> None:
    await push(plant, per_tenant(), node("b", after("a")))
    (run,) = await start(plant, value)
    assert (await plant.run(run)).state == "FAILED"
    (task,) = await plant.tasks(run, "a")
    assert (task.state, task.code) == ("FAILED", "binding")
    because = (await plant.engine.views.explain_task(NS, task.id)).because
    assert any("the limit 'tenant' is by the input 'who'" in each for each in because), because
    with pytest.raises(Conflict):
        await plant.engine.runs.retry_task(NS, task.id)
    with pytest.raises(Conflict):
        await plant.engine.runs.retry(NS, run)


async def test_of_a_fan_out_only_those_without_a_key_fail(plant: Plant) -> None:
    run = await elements(plant, "blue", None, "red")
    states = [task.state for task in await plant.tasks(run, "a")]
    assert states == ["READY", "FAILED", "READY"]
    hand = plant.hand()
    for task in await hand.claim(9):
        await hand.complete(task)
    assert (await plant.run(run)).state == "FAILED"


@pytest.mark.parametrize("end", [completion, failure])
async def test_whoever_waits_gets_the_place_of_a_lease_that_ends(plant: Plant, end: Any) -> None:
    await push(plant)
    await start(plant, "blue", "blue")
    hand, other = plant.hand(), plant.hand("other")
    (held,) = await hand.claim()
    stream = other.waiting()
    await other.armed()
    await hand.report(end(held))
    assert (await asyncio.wait_for(stream, 10)).tasks


async def test_a_task_with_a_new_value_wakes_who_waits(plant: Plant) -> None:
    await push(plant)
    await start(plant, "blue", "blue")
    hand, other = plant.hand(), plant.hand("other")
    await hand.claim()
    stream = other.waiting()
    await other.armed()
    await start(plant, "red")
    assert (await asyncio.wait_for(stream, 10)).tasks
    assert await tenants(plant) == {"blue": 1, "red": 1}


async def test_a_raised_limit_goes_for_every_value(plant: Plant) -> None:
    await push(plant)
    await start(plant, *["blue", "red"] * 3)
    hand = plant.hand()
    assert len(await hand.claim(9)) == 2
    stream = hand.waiting(9)
    await hand.armed()
    await push(plant, per_tenant(most=3), name="other")
    await asyncio.wait_for(stream, 10)
    while await hand.claim(9):
        pass
    assert await tenants(plant) == {"blue": 3, "red": 3}


async def test_each_value_has_a_rate_of_its_own_and_the_next_start_is_not_missed(plant: Plant) -> None:
    await push(plant, per_tenant(most=None, rate="1/s"))
    await start(plant, "blue", "blue", "red", "red")
    hand, other = plant.hand(), plant.hand("other")
    assert len(await hand.claim(9)) == 2
    stream = other.waiting(2)
    await other.armed()
    assert not stream.done()
    await plant.pass_time(1)
    assert len((await asyncio.wait_for(stream, 10)).tasks) == 2


async def test_a_server_that_was_just_started_finds_out_when_the_next_start_is(plant: Plant) -> None:
    await push(plant, per_tenant(most=None, rate="1/s"))
    await start(plant, "blue", "blue")
    assert len(await plant.hand().claim(9)) == 1
    await plant.restart()
    other = plant.hand("other")
    stream = other.waiting()
    await other.armed()
    assert not stream.done()
    await plant.pass_time(1)
    assert (await asyncio.wait_for(stream, 10)).tasks


async def test_a_revived_task_needs_a_slot_of_its_value(plant: Plant) -> None:
    await push(plant)
    await start(plant, "blue")
    hand, other = plant.hand(), plant.hand("other")
    await hand.claim()
    await plant.pass_time(21)
    await start(plant, "blue")
    assert len(await other.claim(1)) == 1
    (stop,) = (await hand.beat()).stop
    assert stop.reason == "stale"
    assert await tenants(plant) == {"blue": 1}


async def test_explain_names_the_value(plant: Plant) -> None:
    await push(plant)
    _, late = await start(plant, 42, 42)
    hand = plant.hand()
    await hand.claim()
    (task,) = await plant.tasks(late)
    because = (await plant.engine.views.explain_task(NS, task.id)).because
    assert "the limit 'tenant:42' is full: 1 of 1 is being run" in because


async def failed(plant: Plant, hand: Hand, tenant: str) -> int:
    """A task that FAILED, whose value nobody has used for longer than it is remembered."""
    (run,) = await start(plant, tenant)
    (task,) = await hand.claim()
    await hand.fail(task, retryable=False)
    assert (await plant.run(run)).state == "FAILED"
    return task.task


async def names(plant: Plant) -> set[str]:
    rows = await plant.sql("SELECT name FROM gate WHERE template IS NOT NULL")
    return {name.partition(SEPARATOR)[2] for (name,) in rows}


async def test_values_that_are_not_used_for_a_day_are_forgotten_unless_they_have_tasks(plant: Plant) -> None:
    await push(plant)
    hand = plant.hand()
    await failed(plant, hand, "old")
    await start(plant, "waits")
    await plant.pass_time(DAY - 3_600)
    await start(plant, "new")
    await plant.pass_time(3_600 * 2)
    assert await names(plant) == {"waits", "new"}
    assert len(await plant.hand("late").claim(9)) == 2


async def test_delayed_and_held_tasks_keep_their_value(plant: Plant) -> None:
    await push(plant, per_tenant(retry={"base": 5 * DAY}))
    hand = plant.hand()
    await start(plant, "delayed")
    (task,) = await hand.claim()
    await hand.fail(task)
    await plant.pass_time(2 * DAY)
    assert await names(plant) == {"delayed"}


async def test_a_task_that_is_retried_by_hand_stands_under_its_value_again(plant: Plant) -> None:
    await push(plant)
    hand = plant.hand()
    task = await failed(plant, hand, "blue")
    await plant.pass_time(2 * DAY)
    assert await names(plant) == set()
    await start(plant, "other")  # may be given the number of the gate that is gone
    (other,) = await hand.claim()
    await plant.engine.runs.retry_task(NS, task)
    await start(plant, "blue")
    (again,) = await hand.claim(9)
    assert again.task == task
    assert await tenants(plant) == {"other": 1, "blue": 1}
    await hand.report(completion(other), completion(again))
    assert len(await hand.claim(9)) == 1


async def test_a_known_value_is_written_down_as_used_before_it_could_be_forgotten(plant: Plant) -> None:
    await push(plant)
    hand = plant.hand()
    for _ in range(5):
        await start(plant, "blue")
        (task,) = await hand.claim()
        await hand.complete(task)
        ((used,),) = await plant.sql("SELECT used_at FROM gate WHERE template IS NOT NULL")
        assert plant.clock.now() - used <= known.FRESH
        await plant.pass_time(8 * 3_600)


# --- many values ---


async def test_the_claim_looks_at_so_many_values_at_most_and_comes_to_all(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More values than one claim looks at; most of them have no slot."""
    monkeypatch.setattr(heads, "WINDOW", 8)
    monkeypatch.setattr(heads, "LEAST", 8)
    monkeypatch.setattr(heads, "LOOKS", 2)
    many = 100
    await elements(plant, *range(many), *range(many))
    hand = plant.hand(kinds=("one",))
    got: Counter[str] = Counter()
    for _ in range(3 * many):
        got.update(str(task.task) for task in await hand.claim(4))
        await hand.beat()
        await plant.pass_time(0.1)
        if len(got) == many:
            break
    assert len(got) == many
    assert await tenants(plant) == {str(number): 1 for number in range(many)}
    other = plant.hand("other", kinds=("one",))
    stream = other.waiting()
    await other.armed()
    await hand.complete(max(hand.held.values(), key=lambda task: task.task))
    assert (await asyncio.wait_for(stream, 10)).tasks  # wherever the look has come to


async def test_ten_thousand_values_cost_a_claim_no_more_statements_than_one(plant: Plant) -> None:
    await elements(plant, *range(10_000))
    await plant.tick()
    ((lanes,),) = await plant.sql("SELECT COUNT(*) FROM lane WHERE keyed = 1")
    assert lanes == 1
    costs = []
    hand = plant.hand(kinds=("one",))
    await hand.claim(1)
    for want in (1, 100):
        before = plant.engine.store.statements
        assert len(await hand.claim(want)) == want
        costs.append(plant.engine.store.statements - before)
    assert max(costs) <= 8 + 2 * heads.LOOKS


async def test_tasks_without_limits_cost_nothing_more_beside_lanes_by_value(plant: Plant) -> None:
    await plant.push(node("b"), name="free")
    hand = plant.hand()
    costs = []
    for _ in range(2):
        for _ in range(3):
            await plant.trigger("free")
        await hand.claim(1)
        before = plant.engine.store.statements
        (task,) = await hand.claim(1)
        await hand.complete(task)
        costs.append(plant.engine.store.statements - before)
        await push(plant, per_tenant(kind="many"), name="other")
        hand = plant.hand("plain", kinds=("one",))
    assert costs[0] == costs[1]
