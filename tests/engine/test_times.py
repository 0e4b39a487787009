"""Tasks end in time: attempts, waits and whole tasks, wherever they stand; and what losses and attempts spend."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.plant import NS, Hand, Plant, after, completion, elsewhere, failure, node, until
from stoker.core import unlock
from stoker.core.duration import SECOND
from stoker.core.graph import Defaults, KindSpec, Retry
from stoker.core.protocol import Release, Requeue
from stoker.errors import Conflict

FIXED = Retry(attempts=9, strategy="fixed", base="5s")


async def only(plant: Plant, run: int) -> Any:
    (task,) = await plant.tasks(run)
    return await plant.task(task.id)


async def ended(plant: Plant, run: int) -> tuple[str, str, str]:
    """How the only task of a run and the run itself stand."""
    (task,) = await plant.tasks(run)
    return task.state, task.code, (await plant.run(run)).state


# --- the wait for a runner ---


async def test_a_task_that_nobody_claims_in_time_is_failed_for_good(plant: Plant) -> None:
    await plant.push(node("a", queue_timeout="10s", retry=FIXED))
    run = await plant.trigger()
    assert plant.engine.alarm.planned <= plant.clock.now() + 10 * SECOND
    await plant.pass_time(9.9)
    assert await ended(plant, run) == ("READY", "", "RUNNING")
    assert "its queue_timeout ends in 0.1 s" in (await plant.engine.views.explain_run(NS, run)).because[-1]
    await plant.pass_time(0.1)
    assert await ended(plant, run) == ("FAILED", "queue_timeout", "FAILED")
    assert [cause.message for cause in (await plant.run(run)).causes] == ["nobody claimed it within its queue_timeout"]
    assert await plant.hand().claim() == []


async def test_the_wait_counts_anew_each_time_a_task_is_offered_and_not_its_delays(plant: Plant) -> None:
    await plant.push(node("a", queue_timeout="10s", retry=FIXED))
    run = await plant.trigger()
    hand = plant.hand()
    for end in ("fail", "requeue", "release"):
        await plant.pass_time(9)
        (task,) = await hand.claim()
        await plant.pass_time(15)  # it may run for long
        await hand.beat()
        reports = {
            "fail": failure(task),
            "requeue": Requeue(task=task.task, attempt=task.attempt, after_s=60),
            "release": Release(task=task.task, attempt=task.attempt),
        }
        await hand.report(reports[end])
        await plant.pass_time({"fail": 5, "requeue": 60, "release": 0}[end])
    await plant.pass_time(9.9)
    assert (await ended(plant, run))[0] == "READY"
    await plant.pass_time(0.1)
    assert await ended(plant, run) == ("FAILED", "queue_timeout", "FAILED")


async def test_a_task_whose_time_is_over_is_never_handed_out(plant: Plant) -> None:
    await plant.push(node("a", queue_timeout="10s"))
    late = await plant.trigger()
    plant.clock.advance(5)
    other = await plant.trigger()
    await plant.restart()  # nobody has told this server when they end
    plant.clock.advance(5)
    hand = plant.hand()
    waiting = hand.waiting()
    await hand.armed()
    await until(lambda: plant.engine.alarm.planned <= plant.clock.now())  # the claim that met it wakes the tick
    await plant.tick()
    (task,) = (await asyncio.wait_for(waiting, 5)).tasks
    assert task.run == other
    assert await ended(plant, late) == ("FAILED", "queue_timeout", "FAILED")


async def test_a_lost_task_is_offered_and_waits_anew(plant: Plant) -> None:
    await plant.push(node("a", queue_timeout="10s"))
    run = await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim()
    hand.drop()
    await plant.pass_time(20.1)
    await plant.pass_time(9)
    assert (await ended(plant, run))[0] == "READY"
    assert (await hand.report(completion(task)))[0].status == "accepted", "it is revived"
    assert await ended(plant, run) == ("SUCCEEDED", "", "SUCCEEDED")
    again = await plant.trigger()
    await hand.claim()
    hand.drop()
    await plant.pass_time(20.1)
    await plant.pass_time(10)
    assert await ended(plant, again) == ("FAILED", "queue_timeout", "FAILED")


# --- the whole task ---


async def test_a_whole_task_is_over_while_it_is_run_and_its_runner_knows_when(plant: Plant) -> None:
    await plant.push(node("a", task_timeout="30s", timeout="20s", retry=FIXED))
    run = await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim()
    assert task.timeout_s == 20
    await plant.pass_time(12)
    await hand.fail(task)
    await plant.pass_time(5)
    (task,) = await hand.claim()
    assert task.timeout_s == 13, "what is left of all of it"
    await plant.pass_time(13)
    assert await ended(plant, run) == ("FAILED", "task_timeout", "FAILED")
    (stop,) = (await hand.beat()).stop
    assert (stop.task, stop.reason) == (task.task, "stale")
    assert (await hand.complete(task)).status == "stale"


async def test_a_whole_task_is_over_while_it_waits_for_its_retry(plant: Plant) -> None:
    await plant.push(node("a", task_timeout="30s", retry=Retry(attempts=3, base="1h")))
    run = await plant.trigger()
    hand = plant.hand()
    await hand.fail(*await hand.claim())
    await plant.pass_time(29.9)
    assert (await ended(plant, run))[0] == "READY"
    await plant.pass_time(0.1)
    assert await ended(plant, run) == ("FAILED", "task_timeout", "FAILED")
    assert (await only(plant, run)).attempt == 2


async def test_the_tasks_of_a_wide_fan_out_count_from_when_they_were_counted(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unlock, "SLICE", 2)
    await plant.push(node("a"), node("b", after("a", ()), task_timeout="30s"))
    run = await plant.trigger()
    hand = plant.hand(capacity=20)
    await hand.complete(*await hand.claim(), [1, 2, 3, 4, 5])
    plant.clock.advance(20)
    await plant.tick()
    assert await plant.states(run, "b") == ["READY"] * 5
    held = await hand.claim(9)
    assert [task.timeout_s for task in held] == [10] * 5
    await plant.engine.runs.cancel(NS, run)
    await hand.report(*(Release(task=task.task, attempt=task.attempt) for task in held))
    assert (await plant.run(run)).state == "CANCELLED"
    plant.clock.advance(100)
    await plant.engine.runs.retry(NS, run)
    assert [task.timeout_s for task in await hand.claim(9)] == [30] * 5, "a retry by hand begins anew"


async def test_rows_of_a_fan_out_that_a_retry_brings_back_have_their_whole_time_again(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unlock, "SLICE", 2)
    await plant.push(node("a"), node("b", after("a", ()), task_timeout="30s"))
    run = await plant.trigger()
    hand = plant.hand(capacity=20)
    await hand.complete(*await hand.claim(), [1, 2, 3, 4, 5])
    await plant.engine.runs.cancel(NS, run)
    await plant.tick()
    assert (await plant.run(run)).state == "CANCELLED"
    plant.clock.advance(100)
    await plant.engine.runs.retry(NS, run)
    plant.clock.advance(10)
    await plant.tick()
    assert [task.timeout_s for task in await hand.claim(9)] == [20] * 5


async def test_a_failed_task_that_is_retried_by_hand_has_its_whole_time_again(plant: Plant) -> None:
    await plant.push(node("a", task_timeout="30s", queue_timeout="10s"))
    run = await plant.trigger()
    await plant.pass_time(10)
    assert await ended(plant, run) == ("FAILED", "queue_timeout", "FAILED")
    await plant.pass_time(100)
    await plant.engine.runs.retry(NS, run)
    await plant.pass_time(9)
    hand = plant.hand()
    (task,) = await hand.claim()
    assert (task.timeout_s, task.failures) == (21, 0)
    await hand.complete(task)
    assert await ended(plant, run) == ("SUCCEEDED", "", "SUCCEEDED")


async def test_times_outlive_the_server(plant: Plant) -> None:
    await plant.push(node("a", queue_timeout="10s"), node("b", task_timeout="10s"))
    run = await plant.trigger()
    hand = plant.hand()
    assert {task.node for task in await hand.claim(2)} == {"a", "b"}
    second = await plant.trigger()
    await plant.crash()
    await plant.pass_time(10)
    found = {task.node: task.code for task in await plant.tasks(second)}
    assert found == {"a": "queue_timeout", "b": "task_timeout"}
    assert {task.node: task.state for task in await plant.tasks(run)} == {"a": "LEASED", "b": "FAILED"}


async def test_two_servers_end_a_task_once(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    await here.push(node("a", queue_timeout="10s", task_timeout="15s"))
    waits, runs = await here.trigger(), await here.trigger()
    hand = here.hand()
    (first,) = await hand.claim()
    held = first.run
    here.clock.advance(15)
    await asyncio.gather(here.tick(), there.tick())
    codes = {run: (await ended(there, run))[1] for run in (waits, runs)}
    assert codes.pop(held) == "task_timeout"
    assert set(codes.values()) == {"queue_timeout"}
    assert sorted(await here.sql("SELECT COUNT(*) FROM attempt GROUP BY task")) == [(1,), (1,)]


async def test_a_claim_there_and_an_end_here_are_never_both(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    await here.push(node("a", queue_timeout="10s"))
    hand = there.hand(capacity=50)
    await hand.claim(0)
    runs = [await here.trigger() for _ in range(8)]
    here.clock.advance(9.999999)
    claiming = asyncio.create_task(hand.claim(4))
    await asyncio.sleep(0)
    here.clock.advance(0.000001)
    await here.tick()
    held = {task.run for task in await claiming}
    await here.tick()
    for run in runs:
        assert (await ended(there, run))[0] == ("LEASED" if run in held else "FAILED")


# --- what losses spend ---


async def lost(plant: Plant, hand: Hand) -> Any:
    (task,) = await hand.claim()
    hand.drop()
    await plant.pass_time(20.1)
    return task


async def test_where_losses_are_failures_they_wait_out_the_retry_and_a_revive_takes_both_back(plant: Plant) -> None:
    await plant.push(node("a", retry=FIXED, losses_are_failures=True))
    run = await plant.trigger()
    hand = plant.hand()
    task = await lost(plant, hand)
    view = await only(plant, run)
    assert (view.state, view.failures, view.losses) == ("READY", 1, 1)
    assert view.due_at is not None
    assert await plant.hand("other").claim() == [], "it waits out the delay"
    hand.held[task.task, task.attempt] = task
    assert not (await hand.beat()).stop
    view = await only(plant, run)
    assert (view.state, view.failures, view.losses, view.due_at) == ("LEASED", 0, 0, None)
    await hand.complete(task)
    assert await ended(plant, run) == ("SUCCEEDED", "", "SUCCEEDED")


async def test_losses_that_are_failures_spend_the_retry(plant: Plant) -> None:
    await plant.push(node("a", retry=Retry(attempts=2, base=0), losses_are_failures=True, max_losses=9))
    run = await plant.trigger()
    hand = plant.hand()
    await lost(plant, hand)
    task = await lost(plant, hand)
    assert await ended(plant, run) == ("FAILED", "lost", "FAILED")
    assert (await hand.report(completion(task)))[0].status == "stale", "the last one is not revived"


async def test_a_task_that_needs_more_attempts_than_its_kind_allows_fails_and_is_not_retried(plant: Plant) -> None:
    kinds = (KindSpec(name="one", max_attempts=2),)
    await plant.push(node("a", retry=FIXED, max_losses=9), kinds=kinds)
    run = await plant.trigger()
    hand = plant.hand(kinds=("one",))
    (task,) = await hand.claim()
    await hand.report(Release(task=task.task, attempt=1))
    await lost(plant, hand)
    assert await ended(plant, run) == ("FAILED", "attempts_exhausted", "FAILED")
    (cause,) = (await plant.run(run)).causes
    assert cause.message == "it needs another attempt, and a task of the kind 'one' has at most 2"
    with pytest.raises(Conflict) as caught:
        await plant.engine.runs.retry(NS, run)
    assert caught.value.code == "attempts_exhausted"
    assert "retry" not in (await plant.engine.views.explain_task(NS, task.task)).remedy


# --- defaults and delays ---


async def test_what_a_graph_says_goes_for_nodes_that_do_not(plant: Plant) -> None:
    await plant.push(
        node("a"),
        node("b", timeout="5s", retry=Retry(attempts=1)),
        defaults=Defaults(timeout="7s", retry=Retry(attempts=2, base=0)),
    )
    run = await plant.trigger()
    hand = plant.hand()
    held = {task.node: task for task in await hand.claim(2)}
    assert {name: task.timeout_s for name, task in held.items()} == {"a": 7, "b": 5}
    await hand.report(*(failure(task) for task in held.values()))
    assert {task.node: task.state for task in await plant.tasks(run)} == {"a": "READY", "b": "FAILED"}


DELAYS = [
    ("fixed", "none", None, [4, 4, 4]),
    ("linear", "none", None, [4, 8, 12]),
    ("exponential", "none", None, [4, 12, 36]),
    ("fixed", "full", None, [1, 1, 1]),
    ("linear", "full", None, [1, 2, 3]),
    ("exponential", "full", None, [1, 3, 9]),
    ("fixed", "equal", None, [2.5, 2.5, 2.5]),
    ("linear", "equal", None, [2.5, 5, 7.5]),
    ("exponential", "equal", None, [2.5, 7.5, 22.5]),
    ("exponential", "none", "10s", [4, 10, 10]),
    ("exponential", "full", "2s", [1, 2, 2]),
]


@pytest.mark.parametrize(("strategy", "jitter", "cap", "pauses"), DELAYS)
async def test_a_retry_is_offered_after_exactly_its_delay(
    plant: Plant, strategy: Any, jitter: Any, cap: str | None, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plant.dice, "random", lambda: 0.25)
    policy = Retry(attempts=4, strategy=strategy, base="4s", factor=3, jitter=jitter, cap=cap)
    await plant.push(node("a", retry=policy))
    run = await plant.trigger()
    hand = plant.hand()
    for pause in pauses:
        await hand.fail(*await hand.claim())
        await plant.pass_time(pause - 0.000001)
        assert await hand.claim() == []
        await plant.pass_time(0.000001)
    await hand.fail(*await hand.claim())
    assert await ended(plant, run) == ("FAILED", "error", "FAILED"), "attempts include the first"


async def test_a_failure_that_says_so_is_not_retried(plant: Plant) -> None:
    await plant.push(node("a", retry=FIXED))
    run = await plant.trigger()
    hand = plant.hand()
    await hand.fail(*await hand.claim(), retryable=False)
    assert await ended(plant, run) == ("FAILED", "error", "FAILED")


async def test_another_server_revives_what_was_lost_and_delayed(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    await here.push(node("a", retry=FIXED, losses_are_failures=True))
    run = await here.trigger()
    hand = here.hand()
    (task,) = await hand.claim()
    here.clock.advance(20.1)
    await asyncio.gather(here.tick(), there.tick())
    assert (await only(here, run)).losses <= 1
    abroad = elsewhere(hand, there)
    await abroad.beat()
    assert (await abroad.complete(task)).status == "accepted"
    view = await only(here, run)
    assert (view.state, view.failures, view.losses) == ("SUCCEEDED", 0, 0)
