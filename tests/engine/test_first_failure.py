"""`on_failure: stop`: the first failure that counts ends the run; it FAILED, and what caused that comes first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.plant import NS, Hand, Plant, after, completion, failure, join, node
from stoker.core import unlock
from stoker.core.graph import Element, Expand, Value
from stoker.core.protocol import Release
from stoker.core.views import RetryAnswer


async def fanned(plant: Plant, elements: int = 4, **options: Any) -> tuple[int, Hand]:
    """A run that stops at its first failure, in which several tasks wait to be run."""
    await plant.push(
        node("a"),
        node("b", after("a", ()), bind={"n": Element(of="a")}, **options),
        node("c", join("b", anchor="a")),
        on_failure="stop",
    )
    run = await plant.trigger()
    hand = plant.hand(capacity=9)
    await hand.complete(*await hand.claim(), list(range(elements)))
    return run, hand


async def test_the_first_failure_stops_what_waits_and_tells_what_runs(plant: Plant) -> None:
    run, hand = await fanned(plant)
    first, second = await hand.claim(2)
    stream = hand.waiting(0)
    await hand.armed()
    reporting = plant.hand("reporting")
    reporting.secret, reporting.info = hand.secret, hand.info
    await reporting.report(failure(first, "the disk is on fire"), held=None)
    assert plant.engine.alarm.planned == 0, "what is left is swept at once"
    view = await plant.run(run)
    assert (view.state, view.stopping) == ("RUNNING", True)
    because = (await plant.engine.views.explain_run(NS, run)).because
    assert "the disk is on fire" in because[0]
    assert because[1] == "its graph stops at the first failure"
    assert because[-1] == "2 tasks that nobody has are to be cancelled"
    await plant.tick()
    assert await plant.states(run, "b") == ["FAILED", "LEASED", "CANCELLED", "CANCELLED"]
    (stop,) = (await asyncio.wait_for(stream, 5)).stop
    assert (stop.task, stop.reason) == (second.task, "cancelled")
    assert await plant.hand("other").claim(5) == []
    await hand.report(Release(task=second.task, attempt=1, stage="cooperative"))
    view = await plant.run(run)
    assert (view.state, view.stopping) == ("FAILED", False)
    assert [(cause.task, cause.message) for cause in view.causes] == [(first.task, "the disk is on fire")]
    assert await plant.states(run, "c") == []


async def test_a_run_whose_graph_says_nothing_goes_on_after_a_failure(plant: Plant) -> None:
    await plant.push(node("a"), node("b"))
    run = await plant.trigger()
    hand = plant.hand()
    first, second = await hand.claim(2)
    await hand.fail(first)
    assert not (await plant.run(run)).stopping
    await hand.complete(second)
    assert (await plant.run(run)).state == "FAILED"


async def test_a_retry_that_is_left_and_a_tolerated_failure_stop_nothing(plant: Plant) -> None:
    run, hand = await fanned(plant, tolerated=True)
    first, *rest = await hand.claim(4)
    await hand.fail(first)
    assert not (await plant.run(run)).stopping
    await hand.report(*(completion(task) for task in rest))
    await hand.complete(*await hand.claim())
    assert (await plant.run(run)).state == "SUCCEEDED"


async def test_a_cause_comes_before_failures_that_do_not_count(plant: Plant) -> None:
    """A tolerated failure came first, and is none of its causes."""
    await plant.push(node("a", tolerated=True), node("b"), on_failure="stop")
    run = await plant.trigger()
    hand = plant.hand()
    held = {task.node: task for task in await hand.claim(2)}
    await hand.fail(held["a"], "does not matter")
    plant.clock.advance(1)
    await hand.fail(held["b"], "matters")
    assert [cause.message for cause in (await plant.run(run)).causes] == ["matters"]


async def test_a_cancelled_task_stops_the_run_and_is_its_cause(plant: Plant) -> None:
    run, _ = await fanned(plant)
    (_, second, *_) = await plant.tasks(run, "b")
    await plant.engine.tasks.cancel(NS, second.id)
    await plant.tick()
    view = await plant.run(run)
    assert (view.state, [cause.task for cause in view.causes]) == ("FAILED", [second.id])
    assert view.causes[0].code == "cancelled"


async def test_a_timeout_and_what_cannot_be_expanded_stop_it_too(plant: Plant) -> None:
    run, _ = await fanned(plant, queue_timeout="10s")
    await plant.pass_time(10)
    view = await plant.run(run)
    assert (view.state, view.causes[0].code) == ("FAILED", "queue_timeout")
    assert await plant.states(run, "b") == ["FAILED", "CANCELLED", "CANCELLED", "CANCELLED"], "one was the first"
    await plant.push(node("a"), node("x", expand=Expand(over=Value(value=3))), name="bad", on_failure="stop")
    bad = await plant.trigger("bad")
    await plant.tick()
    view = await plant.run(bad)
    assert (view.state, view.causes[0].code) == ("FAILED", "binding")
    assert await plant.states(bad, "a") == ["CANCELLED"]


async def test_a_retry_of_such_a_run_goes_on_where_it_stopped(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was put off of a wide fan-out, and what completed while it was stopping, is part of it."""
    monkeypatch.setattr(unlock, "SLICE", 2)
    run, hand = await fanned(plant, 6)
    first, second = await hand.claim(2)
    await hand.report(failure(first), completion(second))
    await plant.tick()
    assert (await plant.run(run)).state == "FAILED"
    assert await plant.engine.runs.retry(NS, run) == RetryAnswer(retried=5, fired=[])
    await plant.tick()
    await hand.report(*(completion(task) for task in await hand.claim(9)))
    await hand.complete(*await hand.claim())
    view = await plant.run(run)
    assert (view.state, view.causes) == ("SUCCEEDED", [])


async def test_a_run_that_stops_already_is_not_cancelled_by_a_cancel(plant: Plant) -> None:
    run, hand = await fanned(plant)
    first, second = await hand.claim(2)
    await hand.fail(first)
    await plant.engine.runs.cancel(NS, run)
    await hand.report(Release(task=second.task, attempt=1))
    await plant.tick()
    assert (await plant.run(run)).state == "FAILED"


async def test_a_run_that_is_cancelled_ends_cancelled_whatever_fails(plant: Plant) -> None:
    run, hand = await fanned(plant)
    first, second = await hand.claim(2)
    await plant.engine.runs.cancel(NS, run)
    await hand.report(failure(first), failure(second))
    await plant.tick()
    assert (await plant.run(run)).state == "CANCELLED"


async def test_another_server_sweeps_what_a_failure_here_stopped(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    run, hand = await fanned(here)
    first, _ = await hand.claim(2)
    await hand.fail(first)
    await asyncio.gather(there.tick(), here.tick())
    assert await here.states(run, "b") == ["FAILED", "LEASED", "CANCELLED", "CANCELLED"]
    here.clock.advance(30)
    await hand.beat()
    await asyncio.gather(there.tick(), here.tick())
    view = await there.run(run)
    assert (view.state, [cause.task for cause in view.causes]) == ("FAILED", [first.task])
