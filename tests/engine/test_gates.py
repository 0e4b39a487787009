"""Limits by key: how many tasks run at once and how many start per time, whoever asks, whatever breaks."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from engine.gating import Gated, limited, over
from engine.plant import NS, Hand, Plant, after, completion, failure, node
from stoker.core.duration import SECOND
from stoker.core.graph import Each, Limit
from stoker.core.protocol import Prune, Release, Requeue
from stoker.errors import Invalid


async def test_no_more_tasks_run_at_once_than_the_limit_allows(plant: Plant) -> None:
    await plant.push(limited("a", most=2))
    for _ in range(5):
        await plant.trigger()
    hand = plant.hand()
    assert len(await hand.claim(5)) == 2
    assert await hand.claim(5) == []
    for left in (3, 2, 1, 0):
        first, *_ = hand.held.values()
        answer = await hand.exchange(completion(first), want=5)
        assert len(answer.tasks) == (1 if left else 0)
    assert len(hand.held) == 1


async def test_tasks_of_several_graphs_kinds_and_lanes_share_one_limit(plant: Plant) -> None:
    await plant.push(limited("a", most=3), name="first")
    await plant.push(limited("b", most=3, kind="many"), name="second")
    for graph in ("first", "second") * 3:
        await plant.trigger(graph)
    one, many = plant.hand(kinds=("one",)), plant.hand(kinds=("many",))
    both = [*await one.claim(2), *await many.claim(2), *await one.claim(2)]
    assert len(both) == 3
    held = list(one.held.values())
    await one.report(*map(completion, held))
    assert len(await many.claim(5)) == len(held)


async def test_one_batch_with_several_sorts_of_runners_stays_below_the_limit(plant: Plant) -> None:
    """The claims of one transaction see each other's tasks, though nothing of it is written yet."""
    await plant.push(limited("a", most=3), limited("b", most=3, kind="many"), node("c"))
    for _ in range(4):
        await plant.trigger()
    hands = [plant.hand(kinds=kinds) for kinds in (("one",), ("many",), ("one", "many"))]
    for hand in hands:
        await hand.claim(0)
    await asyncio.gather(*(hand.claim(4) for hand in hands))
    names = [task.node for hand in hands for task in hand.held.values()]
    assert len([name for name in names if name != "c"]) == 3
    assert names.count("c") == 4


async def test_the_queue_decides_between_tasks_with_and_without_a_limit(plant: Plant) -> None:
    await plant.push(limited("a", most=10), name="gated")
    await plant.push(node("b"), name="free")
    order = ["gated", "free", "free", "gated", "gated", "free"]
    for graph in order:
        await plant.trigger(graph)
        plant.clock.advance(0.001)
    found = [task.node for task in await plant.hand().claim(6)]
    assert found == ["a" if graph == "gated" else "b" for graph in order]


async def test_a_full_limit_keeps_nobody_from_other_work(plant: Plant) -> None:
    await plant.push(limited("a", most=1), name="gated")
    await plant.push(node("b"), name="free")
    for _ in range(20):
        await plant.trigger("gated")
    for _ in range(3):
        await plant.trigger("free")
    names = [task.node for task in await plant.hand().claim(10)]
    assert sorted(names) == ["a", "b", "b", "b"]


async def test_tasks_under_a_limit_are_not_starved_by_those_without(plant: Plant) -> None:
    await plant.push(limited("a", most=1), name="gated")
    await plant.push(node("b"), name="free")
    await plant.trigger("free")
    await plant.trigger("gated")
    hand = plant.hand()
    for _ in range(10):
        plant.clock.advance(1)
        await plant.trigger("free")  # there is always other work
        (task,) = await hand.claim(1)
        await hand.complete(task)
    assert await over(plant, "gated")


ENDS = {
    "complete": completion,
    "fail": failure,
    "retry": failure,
    "prune": lambda task: Prune(task=task.task, attempt=task.attempt),
    "requeue": lambda task: Requeue(task=task.task, attempt=task.attempt, after_s=100),
    "release": lambda task: Release(task=task.task, attempt=task.attempt),
}


@pytest.mark.parametrize("end", ENDS)
async def test_whoever_waits_gets_the_place_of_a_lease_that_ends(plant: Plant, end: str) -> None:
    await plant.push(limited("a", most=1, **({"retry": {"base": "100s"}} if end == "retry" else {})))
    for _ in range(2):
        await plant.trigger()
    hand, other = plant.hand(), plant.hand("other")
    (held,) = await hand.claim()
    stream = other.waiting()
    await other.armed()
    await hand.report(ENDS[end](held))
    assert (await asyncio.wait_for(stream, 10)).tasks


async def test_a_waiter_on_another_lane_of_the_limit_gets_the_place(plant: Plant) -> None:
    """The lane of the task that ends has nothing more to do."""
    await plant.push(limited("a", most=1))
    await plant.trigger()
    hand = plant.hand(kinds=("one",))
    (held,) = await hand.claim()
    await plant.push(limited("b", most=1, kind="many"), name="other")
    await plant.trigger("other")
    other = plant.hand("other", kinds=("many",))
    stream = other.waiting()
    await other.armed()
    await hand.complete(held)
    (task,) = (await asyncio.wait_for(stream, 10)).tasks
    assert task.node == "b"


async def test_whoever_waits_gets_the_place_of_a_lost_lease(plant: Plant) -> None:
    await plant.push(limited("a", most=1))
    for _ in range(2):
        await plant.trigger()
    hand, other = plant.hand(), plant.hand("other")
    await hand.claim()
    stream = other.waiting()
    await other.armed()
    await plant.pass_time(21)
    assert (await asyncio.wait_for(stream, 10)).tasks


async def test_whoever_waits_gets_the_place_of_an_attempt_that_took_too_long(plant: Plant) -> None:
    await plant.push(limited("a", most=1, timeout="5s"))
    for _ in range(2):
        await plant.trigger()
    hand, other = plant.hand(), plant.hand("other")
    await hand.claim()
    stream = other.waiting()
    await other.armed()
    await plant.pass_time(6)
    assert (await asyncio.wait_for(stream, 10)).tasks


async def test_a_cancelled_task_keeps_its_place_until_it_has_stopped(plant: Plant) -> None:
    await plant.push(limited("a", most=1))
    first, second = await plant.trigger(), await plant.trigger()
    hand, other = plant.hand(), plant.hand("other")
    await hand.claim()
    stream = other.waiting()
    await other.armed()
    await plant.engine.runs.cancel(NS, first)
    await plant.tick()
    assert not stream.done()
    for _ in range(8):  # it never confirms, though it beats
        await hand.beat()
        await plant.pass_time(5)
    (task,) = (await asyncio.wait_for(stream, 10)).tasks
    assert task.run == second


async def test_the_tasks_of_a_run_that_stops_take_no_place(plant: Plant) -> None:
    await plant.push(limited("a", most=1, rate="1/min"))
    first, second = await plant.trigger(), await plant.trigger()
    await plant.engine.runs.cancel(NS, first)
    hand = plant.hand()
    stream = hand.waiting()
    await hand.armed()
    await plant.tick()  # sweeps
    (task,) = (await asyncio.wait_for(stream, 10)).tasks
    assert task.run == second


async def test_a_run_that_is_retried_runs_under_its_limit_again(plant: Plant) -> None:
    await plant.push(node("s", kind="many"), limited("a", after("s"), most=2))
    run = await plant.trigger()
    hand = plant.hand()
    (source,) = await hand.claim()
    await hand.report(completion(source, items=[1, 2, 3, 4, 5]))
    for _ in range(5):
        (task,) = await hand.claim()
        await hand.fail(task)
    assert (await plant.run(run)).state == "FAILED"
    await plant.engine.runs.retry(NS, run)
    for left in (2, 2, 1):
        tasks = await hand.claim(5)
        assert len(tasks) == left
        await hand.report(*map(completion, tasks))
    assert (await plant.run(run)).state == "SUCCEEDED"


# --- revive ---


async def lost(plant: Plant) -> tuple[Hand, Hand]:
    """A hand whose only lease was lost, and another that has taken the place with another task."""
    await plant.push(limited("a", most=1))
    await plant.trigger()
    hand, other = plant.hand(), plant.hand("other")
    await hand.claim()
    await plant.pass_time(21)
    ((task, _),) = hand.held
    await plant.trigger(priority=9)  # before it in the queue
    (taken,) = await other.claim()
    assert taken.task != task
    return hand, other


async def test_a_beat_revives_a_lost_task_while_its_limit_has_room(plant: Plant) -> None:
    await plant.push(limited("a", most=1))
    await plant.trigger()
    hand = plant.hand()
    await hand.claim()
    await plant.pass_time(21)
    assert not (await hand.beat()).stop
    assert await plant.sql("SELECT state, losses FROM task") == [(2, 0)]


async def test_a_beat_does_not_revive_a_lost_task_whose_place_is_taken(plant: Plant) -> None:
    hand, _ = await lost(plant)
    (stop,) = (await hand.beat()).stop
    assert stop.reason == "stale"
    assert await plant.sql("SELECT COUNT(*) FROM task WHERE state = 2") == [(1,)]


async def test_two_lost_tasks_do_not_come_back_to_one_place(plant: Plant) -> None:
    await plant.push(limited("a", most=2))
    for _ in range(3):
        await plant.trigger()
    hand = plant.hand()
    await hand.claim(2)
    await plant.pass_time(21)
    await plant.trigger(priority=9)
    assert len(await plant.hand("other").claim()) == 1
    assert len((await hand.beat()).stop) == 1


async def test_the_report_of_a_lost_task_is_accepted_though_its_place_is_taken(plant: Plant) -> None:
    hand, _ = await lost(plant)
    (task,) = hand.held.values()
    assert (await hand.complete(task)).status == "accepted"


async def test_a_place_that_the_same_batch_frees_may_be_taken_by_a_revive(plant: Plant) -> None:
    """A runner reports the task that took the place of the one it had lost, which it still holds."""
    await plant.push(limited("a", most=1))
    await plant.trigger()
    hand = plant.hand()
    (first,) = await hand.claim()
    await plant.pass_time(21)
    await plant.trigger(priority=9)
    (second,) = await hand.claim(held=None)  # says nothing of the first
    assert second.task != first.task
    answer = await hand.exchange(completion(second))
    assert not answer.stop
    assert (await plant.task(first.task)).state == "LEASED"


# --- rates ---


async def test_tasks_start_as_often_as_the_rate_allows(plant: Plant) -> None:
    await plant.push(limited("a", rate="20/s"))
    for _ in range(30):
        await plant.trigger()
    hand = plant.hand(capacity=100)
    starts = []
    while len(starts) < 30:
        starts += [plant.clock.now() for _ in await hand.claim(100)]
        await plant.pass_time(0.01)
    for at in starts:
        assert len([start for start in starts if at <= start < at + SECOND]) <= 20 + 2
    assert starts[-1] - starts[0] == pytest.approx(28 / 20 * SECOND, abs=0.02 * SECOND)


async def test_whoever_waits_is_woken_when_the_next_task_may_start(plant: Plant) -> None:
    await plant.push(limited("a", rate="2/min"))
    for _ in range(4):
        await plant.trigger()
    hand = plant.hand()
    assert len(await hand.claim(4)) == 1
    for _ in range(3):
        stream = hand.waiting(4)
        await hand.armed()
        pause = await plant.tick()
        assert pause <= 30 * SECOND
        for seconds in (10, 10, 9.9):
            await plant.pass_time(seconds)
            await hand.beat()
            assert not stream.done()
        await plant.pass_time(0.1)
        assert len((await asyncio.wait_for(stream, 10)).tasks) == 1


async def test_two_waiters_are_served_one_after_the_other_by_the_rate(plant: Plant) -> None:
    """The claim that serves the first one knows when to come back for the second."""
    await plant.push(limited("a", rate="60/min", most=5))
    hands = [plant.hand(str(number)) for number in range(3)]
    streams = [hand.waiting() for hand in hands]
    for hand in hands:
        await hand.armed()
    for _ in range(12):
        await plant.trigger()
    for seconds in range(8):
        done = [stream for stream in streams if stream.done()]
        await plant.settled()
        assert len(done) <= 6 + seconds
        await plant.pass_time(1)
    await asyncio.wait_for(asyncio.gather(*streams), 10)


async def test_a_start_that_did_not_happen_is_given_back(plant: Plant) -> None:
    """Tasks whose inputs cannot be bound are taken, and not leased."""
    from stoker.core.graph import RunInput

    await plant.push(limited("a", rate="1/min", bind={"x": RunInput(name="in", path=("k",))}), inputs=("in",))
    await plant.trigger(inputs={"in": {}})
    hand = plant.hand()
    stream = hand.waiting()
    await hand.armed()
    await plant.trigger(inputs={"in": {"k": 1}})
    await plant.settled()
    assert len((await asyncio.wait_for(stream, 10)).tasks) == 1


async def test_a_rate_is_kept_over_a_restart(plant: Plant) -> None:
    await plant.push(limited("a", rate="1/min"))
    for _ in range(2):
        await plant.trigger()
    hand = plant.hand()
    assert await hand.claim()
    await plant.restart()
    assert not await hand.claim()
    plant.clock.advance(60)
    await plant.tick()
    assert await hand.claim()


# --- pushes ---


async def test_the_newest_push_of_a_limit_says_how_much_it_allows(plant: Plant) -> None:
    await plant.push(limited("a", most=1))
    for _ in range(5):
        await plant.trigger()
    hand = plant.hand(capacity=10)
    assert len(await hand.claim(5)) == 1
    stream = hand.waiting(5)
    await hand.armed()
    view = await Gated.view(plant, limited("b", most=3), name="other")
    assert view.warnings == [
        "the limit 'key' was 1 at once; from now on it is 3 at once, for every graph that names it"
    ]
    assert len((await asyncio.wait_for(stream, 10)).tasks) == 2
    assert not (await Gated.view(plant, limited("b", most=3), name="other")).warnings
    view = await Gated.view(plant, limited("b", most=3, rate="5/min"), name="other")
    assert view.warnings[0].endswith("from now on it is 3 at once and 5/min, for every graph that names it")


async def test_a_limit_that_contradicts_itself_is_refused(plant: Plant) -> None:
    with pytest.raises(Invalid) as caught:
        await plant.push(limited("a", most=1), limited("b", most=2))
    assert "gives the limit 'key' other numbers" in caught.value.problems[0].message


async def test_limits_of_namespaces_are_their_own(plant: Plant) -> None:
    await plant.push(limited("a", most=1))
    await plant.trigger()
    await plant.hand().claim()
    (row,) = await plant.sql("SELECT namespace, name, most FROM gate")
    assert row[1:] == ("key", 1)
    await plant.engine.catalog.push("elsewhere", Gated.request(limited("a", most=7)))
    assert sorted(await plant.sql("SELECT name, most FROM gate")) == [("key", 1), ("key", 7)]


# --- explain ---


async def test_explain_says_that_a_limit_is_full(plant: Plant) -> None:
    await plant.push(limited("a", most=1))
    for _ in range(2):
        run = await plant.trigger()
    await plant.hand().claim()
    (task,) = await plant.tasks(run)
    expected = "the limit 'key' is full: 1 of 1 is being run"
    assert expected in (await plant.engine.views.explain_task(NS, task.id)).because
    assert f"1 READY task of 'a': {expected}" in (await plant.engine.views.explain_run(NS, run)).because


async def test_explain_says_when_a_limit_allows_the_next_start(plant: Plant) -> None:
    await plant.push(limited("a", rate="60/min"))
    for _ in range(7):
        run = await plant.trigger()
    await plant.hand().claim(10)
    plant.clock.advance(0.6)
    (task,) = await plant.tasks(run)
    because = (await plant.engine.views.explain_task(NS, task.id)).because
    assert "the limit 'key' allows the next start in 0.4 s" in because


# --- what it costs ---


async def test_a_full_limit_costs_a_claim_two_statements_at_most_and_a_held_one_nothing(plant: Plant) -> None:
    await plant.push(limited("a", most=1), name="gated")
    await plant.push(node("b"), name="free")
    hand = plant.hand(capacity=100)
    for _ in range(50):
        await plant.trigger("gated")
    (held,) = await hand.claim()

    async def cost(want: int) -> int:
        for _ in range(want):
            await plant.trigger("free")
        before = plant.engine.store.statements
        assert len(await hand.claim(want)) == want
        return plant.engine.store.statements - before

    gated = await cost(5)
    await plant.pass_time(0)
    await hand.complete(held)
    while tasks := await hand.claim(50):
        await hand.report(*map(completion, tasks))
    assert await over(plant, "gated")
    assert gated <= await cost(5) + 2
    for _ in range(3):
        await plant.trigger("gated")
    await hand.claim(10)
    other = plant.hand("other")
    assert not await other.claim(1)  # finds that there is nothing to be had
    with plant.counting() as transactions:
        for _ in range(20):
            assert not await other.claim(1)
        assert transactions() == 0


async def test_without_limits_nothing_asks_for_them(plant: Plant) -> None:
    asked: list[str] = []
    await plant.push(node("a"), node("b", Each()))
    await plant.trigger()
    hand = plant.hand()

    async def listening(real, work):  # type: ignore[no-untyped-def]
        async def heard(tx):  # type: ignore[no-untyped-def]
            real_all = tx.all

            async def all_(name: str, *parameters: object) -> list[object]:
                asked.append(name)
                return await real_all(name, *parameters)

            tx.all = all_
            return await work(tx)

        return await real(heard)

    plant.seam(listening)
    await hand.report(*map(completion, await hand.claim(2)))
    assert "claimable" in asked
    assert not {name for name in asked if "gate" in name or name == "admitted"}


# --- at random ---


@pytest.mark.parametrize("seed", range(12))
async def test_the_bound_holds_at_random_and_every_task_ends(plant: Plant, seed: int) -> None:
    """Runners that fail, vanish and come back, servers that are killed, runs cancelled and retried."""
    await Gated(plant, Random(seed)).play()


def test_a_limit_needs_a_number() -> None:
    assert Limit(key="x") == Limit(key="x", most=None, rate=None)
