"""The cancel of one task: it ends alone, as a failure for what waits for it; its runner is told like that of a run."""

from __future__ import annotations

import asyncio

import pytest

from engine.plant import NS, Hand, Plant, after, completion, failure, join, node
from stoker.core.graph import Element, Limit, Ref
from stoker.core.protocol import Assignment, Release, Requeue
from stoker.core.views import TaskView
from stoker.errors import Conflict, NotFound


async def cancel(plant: Plant, task: int) -> TaskView:
    view = await plant.engine.tasks.cancel(NS, task)
    await plant.settled()
    return view


async def fanned(plant: Plant, *, tolerated: bool = False) -> tuple[int, Hand, list[int]]:
    """A run in which three tasks wait to be run, and a join for them."""
    await plant.push(
        node("a"),
        node("b", after("a", ()), bind={"n": Element(of="a")}, tolerated=tolerated),
        node("c", join("b", anchor="a"), bind={"all": Ref(node="b", many=True)}),
    )
    run = await plant.trigger()
    hand = plant.hand(capacity=9)
    await hand.complete(*await hand.claim(), [1, 2, 3])
    return run, hand, [task.id for task in await plant.tasks(run, "b")]


async def test_a_ready_task_is_cancelled_at_once_and_the_rest_goes_on(plant: Plant) -> None:
    run, hand, (first, *_) = await fanned(plant)
    view = await cancel(plant, first)
    assert (view.state, view.code, view.attempt, view.cancel_requested) == ("CANCELLED", "cancelled", 1, False)
    assert (await plant.run(run)).state == "RUNNING"
    await hand.report(*(completion(task) for task in await hand.claim(9)))
    assert await plant.states(run, "c") == ["SKIPPED"], "it counts as failed for the join"
    found = await plant.run(run)
    assert (found.state, [cause.task for cause in found.causes]) == ("FAILED", [first])
    assert found.causes[0].message == "its cancel was asked for"


async def test_a_tolerated_task_that_is_cancelled_counts_as_pruned(plant: Plant) -> None:
    run, hand, (first, *_) = await fanned(plant, tolerated=True)
    await cancel(plant, first)
    await hand.report(*(completion(task) for task in await hand.claim(9)))
    await hand.complete(*await hand.claim())
    view = await plant.run(run)
    assert (view.state, view.causes) == ("SUCCEEDED", [])


async def test_the_last_task_to_be_cancelled_decides_what_waits_for_it(plant: Plant) -> None:
    run, _, ids = await fanned(plant)
    for task in ids:
        await cancel(plant, task)
    assert await plant.states(run, "c") == ["SKIPPED"]
    assert (await plant.run(run)).state == "FAILED"


async def held(plant: Plant, **options: object) -> tuple[int, Hand, Assignment]:
    await plant.push(node("a", **options), node("b", after("a")))
    run = await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim()
    return run, hand, task


async def test_the_runner_of_a_leased_task_is_told_at_once_and_its_end_cancels_it(plant: Plant) -> None:
    run, hand, task = await held(plant)
    stream = hand.waiting(0)
    await hand.armed()
    view = await cancel(plant, task.task)
    assert (view.state, view.cancel_requested) == ("LEASED", True)
    (stop,) = (await asyncio.wait_for(stream, 5)).stop
    assert (stop.task, stop.attempt, stop.reason, stop.grace_s) == (task.task, 1, "cancelled", 30.0)
    assert [stop.reason for stop in (await hand.beat()).stop] == ["cancelled"], "and again with every beat"
    await hand.report(Release(task=task.task, attempt=1, stage="terminated"))
    (attempt,) = await plant.engine.views.attempts(NS, task.task)
    assert (attempt.outcome, attempt.code) == ("cancelled", "terminated")
    assert await plant.states(run) == ["CANCELLED"]
    assert (await plant.run(run)).state == "FAILED"


@pytest.mark.parametrize("end", ["fail", "requeue", "release", "loss", "timeout"])
async def test_every_end_but_a_complete_cancels_it_and_nothing_revives_it(plant: Plant, end: str) -> None:
    run, hand, task = await held(plant, timeout="10s", max_losses=9)
    await cancel(plant, task.task)
    if end == "loss":
        hand.closed = True
        await plant.engine.leases.closed(hand.secret)
        await plant.pass_time(5.1)
    elif end == "timeout":
        await plant.pass_time(10)
    else:
        reports = {
            "fail": failure(task),
            "requeue": Requeue(task=task.task, attempt=1),
            "release": Release(task=task.task, attempt=1),
        }
        await hand.report(reports[end])
    assert [(each.state, each.code) for each in await plant.tasks(run)] == [("CANCELLED", "cancelled")]
    assert (await hand.complete(task)).status == "stale"


async def test_a_complete_that_comes_first_succeeds_and_unlocks(plant: Plant) -> None:
    run, hand, task = await held(plant)
    await cancel(plant, task.task)
    assert (await hand.complete(task)).status == "accepted"
    assert await plant.states(run) == ["SUCCEEDED", "READY"]


async def test_a_runner_that_says_nothing_has_its_grace_and_then_the_fence_moves(plant: Plant) -> None:
    run, hand, task = await held(plant)
    await cancel(plant, task.task)
    assert plant.engine.alarm.planned <= plant.clock.now() + 30_000_000
    because = (await plant.engine.views.explain_task(NS, task.task)).because
    assert because[0].startswith("its cancel was asked for, 0.0 s ago; ")
    assert because[0].endswith("if it says nothing the task is CANCELLED in 30.0 s")
    for _ in range(6):
        await plant.pass_time(4.9)
        await hand.beat()
    assert await plant.states(run) == ["LEASED"]
    await plant.pass_time(0.6)
    assert [(each.state, each.code) for each in await plant.tasks(run)] == [("CANCELLED", "unconfirmed")]
    assert (await hand.complete(task)).status == "stale"
    assert (await plant.run(run)).state == "FAILED"


async def test_asked_again_it_answers_the_same_and_the_grace_does_not_begin_anew(plant: Plant) -> None:
    _, hand, task = await held(plant)
    first = await cancel(plant, task.task)
    await plant.pass_time(4)
    assert await cancel(plant, task.task) == first
    await hand.report(Release(task=task.task, attempt=1))
    done = await cancel(plant, task.task)
    assert (done.state, done) == ("CANCELLED", await cancel(plant, task.task))
    assert len(await plant.engine.views.attempts(NS, task.task)) == 1


async def test_a_task_that_has_settled_is_not_cancelled(plant: Plant) -> None:
    run, hand, task = await held(plant)
    await hand.complete(task)
    await hand.fail(*await hand.claim())
    for each in await plant.tasks(run):
        with pytest.raises(Conflict) as caught:
            await plant.engine.tasks.cancel(NS, each.id)
        assert caught.value.code == "already_settled"
        assert caught.value.message.startswith(f"task {each.id} is {each.state}, and only")
    with pytest.raises(NotFound):
        await plant.engine.tasks.cancel(NS, 10**9)
    with pytest.raises(NotFound):
        await plant.engine.tasks.cancel("elsewhere", task.task)


async def test_a_cancelled_task_is_retried_with_its_run(plant: Plant) -> None:
    run, hand, task = await held(plant)
    await cancel(plant, task.task)
    await hand.report(Release(task=task.task, attempt=1))
    await plant.engine.runs.retry(NS, run)
    (again,) = await hand.claim()
    assert not (await hand.beat()).stop, "the cancel is forgotten"
    await hand.complete(again)
    assert await plant.states(run) == ["SUCCEEDED", "READY"]


async def test_a_cancel_that_nobody_confirms_makes_room_in_its_limit_for_who_waits(plant: Plant) -> None:
    await plant.push(node("a", limit=Limit(key="k", most=1)))
    first, second = await plant.trigger(), await plant.trigger()
    hand, other = plant.hand(), plant.hand("other")
    (task,) = await hand.claim()
    assert task.run == first
    waiting = other.waiting()
    await other.armed()
    await cancel(plant, task.task)
    await plant.pass_time(30)
    (got,) = (await asyncio.wait_for(waiting, 5)).tasks
    assert got.run == second


async def test_a_cancel_here_reaches_a_runner_there_and_any_server_ends_its_grace(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    await here.push(node("a"))
    run = await here.trigger()
    hand = there.hand()
    (task,) = await hand.claim()
    stream = hand.waiting(0)
    await hand.armed()
    await here.engine.tasks.cancel(NS, task.task)
    (stop,) = (await asyncio.wait_for(stream, 10)).stop
    assert (stop.task, stop.reason) == (task.task, "cancelled")
    for _ in range(6):
        here.clock.advance(5)
        await hand.beat()
    await asyncio.gather(here.tick(), there.tick())
    assert [(each.state, each.code) for each in await here.tasks(run)] == [("CANCELLED", "unconfirmed")]
    assert len(await here.engine.views.attempts(NS, task.task)) == 1
