"""Every reason that explain can give, from a plant where it holds."""

from __future__ import annotations

from typing import Any

import pytest

from engine.plant import NS, Plant, after, completion, failure, join, node
from stoker.core.graph import Element, Ref, Requirements, Retry
from stoker.core.protocol import Prune, Release, Requeue
from stoker.core.views import Explanation


async def of_task(plant: Plant, task: int) -> Explanation:
    return await plant.engine.views.explain_task(NS, task)


async def of_run(plant: Plant, run: int) -> Explanation:
    return await plant.engine.views.explain_run(NS, run)


def says(told: Explanation, *words: str) -> bool:
    return all(any(word in because for because in told.because) for word in words)


async def first(plant: Plant, *nodes: Any, **options: Any) -> tuple[int, int]:
    """A run and its first task."""
    await plant.push(*(nodes or (node("a", **options),)))
    run = await plant.trigger()
    return run, (await plant.tasks(run))[0].id


async def test_nobody_offers_the_kind(plant: Plant) -> None:
    run, task = await first(plant)
    for told in (await of_task(plant, task), await of_run(plant, run)):
        assert says(told, "no connected runner offers the kind 'one'")
        assert "stoker runner start" in told.remedy


async def test_no_runner_meets_the_requirements(plant: Plant) -> None:
    _, task = await first(plant, requires=Requirements(labels={"site": "a"}, resources={"gpu": 2.0}))
    stream = (hand := plant.hand()).waiting()
    await hand.armed()
    told = await of_task(plant, task)
    assert says(told, "none meets site=a, gpu>=2")
    assert told.remedy
    plant.engine.dispatcher.end_all()
    await stream


async def test_it_waits_for_its_turn_behind_others(plant: Plant) -> None:
    hand = plant.hand()
    stream = hand.waiting(0)
    await hand.armed()
    await first(plant)
    await stream  # a lane came: it asks again
    stream = hand.waiting(0)
    await hand.armed()
    plant.clock.advance(1)
    run = await plant.trigger()
    told = await of_task(plant, (await plant.tasks(run))[0].id)
    assert says(told, "1 connected runner(s) offer the kind", "1 task(s) stand before it")
    plant.engine.dispatcher.end_all()
    await stream


@pytest.mark.parametrize("why", ["failed", "timed out", "asked for it"])
async def test_it_is_delayed(plant: Plant, why: str) -> None:
    retry = Retry(attempts=2, strategy="fixed", base="30s")
    _, task = await first(plant, retry=retry, timeout="1s")
    hand = plant.hand()
    (held,) = await hand.claim(1)
    match why:
        case "failed":
            await hand.fail(held)
        case "timed out":
            await plant.pass_time(1)
        case _:
            await hand.report(Requeue(task=task, attempt=1, after_s=30))
    told = await of_task(plant, task)
    assert says(told, why, "in 30.0 s")
    assert told.state == "READY"


async def test_it_was_lost(plant: Plant) -> None:
    _, task = await first(plant)
    await plant.hand().claim(1)
    await plant.pass_time(21)
    assert says(await of_task(plant, task), "lost with its runner (loss 1)", "attempt 1 lost: lost")


async def test_it_is_being_run(plant: Plant) -> None:
    run, task = await first(plant)
    await plant.hand("worker").claim(1)
    assert says(await of_task(plant, task), "attempt 1 is being run by runner 'worker'")
    assert says(await of_run(plant, run), "1 task(s) of 'a' are being run")


async def test_it_is_being_cancelled_and_was_cancelled(plant: Plant) -> None:
    run, task = await first(plant)
    hand = plant.hand()
    await hand.claim(1)
    await plant.engine.runs.cancel(NS, run)
    assert says(await of_task(plant, task), "its run is being cancelled")
    told = await of_run(plant, run)
    assert (told.state, says(told, "1 task(s) are still to stop")) == ("RUNNING (stopping)", True)
    await hand.report(Release(task=task, attempt=1))
    assert "runs retry" in (await of_task(plant, task)).remedy
    told = await of_run(plant, run)
    assert says(told, "it was cancelled")
    assert "runs retry" in told.remedy


async def test_what_a_cancel_took_is_shown_with_the_task_its_attempts_and_why(plant: Plant) -> None:
    run, task = await first(plant)
    hand = plant.hand()
    await hand.claim(1)
    await plant.engine.runs.cancel(NS, run)
    await hand.report(Release(task=task, attempt=1, stage="killed"))
    words = "its code was told to stop and its process ended by SIGKILL"
    assert says(await of_task(plant, task), f"attempt 1 cancelled: killed: {words}")
    view = await plant.task(task)
    assert (view.state, view.code, view.message) == ("CANCELLED", "killed", words)
    (attempt,) = await plant.engine.views.attempts(NS, task)
    assert (attempt.outcome, attempt.code, attempt.message, attempt.runner) == ("cancelled", "killed", words, "hand")


async def test_a_withheld_complete_says_so(plant: Plant) -> None:
    run, task = await first(plant)
    hand = plant.hand()
    (held,) = await hand.claim(1)
    await plant.engine.runs.cancel(NS, run)
    await hand.complete(held)
    assert says(await of_task(plant, task), "attempt 1 completed by runner 'hand'", "nothing after it was unlocked")


async def test_it_failed_and_the_run_with_it(plant: Plant) -> None:
    run, task = await first(plant)
    hand = plant.hand()
    await hand.fail(*await hand.claim(1), "the disk is on fire")
    for told in (await of_task(plant, task), await of_run(plant, run)):
        assert says(told, "the disk is on fire")
        assert f"runs retry {run}" in told.remedy


async def test_why_a_join_was_skipped(plant: Plant) -> None:
    hand = plant.hand()
    reasons = {}
    nodes = (node("a"), node("b"), node("c", join("a", "b"), bind={"x": Ref(node="a"), "y": Ref(node="b")}))
    for sort in ("failed", "pruned", "input_missing: x"):
        run, _ = await first(plant, *nodes)
        a, b = await hand.claim(2)
        match sort:
            case "failed":
                await hand.report(failure(a), completion(b))
            case "pruned":
                await hand.report(Prune(task=a.task, attempt=1), Prune(task=b.task, attempt=1))
            case _:
                await hand.report(Prune(task=a.task, attempt=1), completion(b))
        (skipped,) = await plant.tasks(run, "c")
        assert skipped.code == sort
        (reasons[sort],) = (await of_task(plant, skipped.id)).because
    assert "failed" in reasons["failed"]
    assert "pruned" in reasons["pruned"]
    assert "the input 'x' comes from a task that has no item" in reasons["input_missing: x"]


async def test_what_a_run_waits_for_and_what_it_did_not_reach(plant: Plant) -> None:
    run, _ = await first(
        plant,
        node("a"),
        node("b", after("a", ()), bind={"n": Element(of="a")}, tolerated=True),
        node("c", join("b")),
    )
    hand = plant.hand()
    await hand.complete(*await hand.claim(1), [1, 2, 3])
    assert says(await of_run(plant, run), "3 READY task(s) of 'b'", "the join 'c' waits for 3 task(s) before it")
    one, two, three = await hand.claim(3)
    await hand.report(failure(one), Prune(task=two.task, attempt=1, reason="dull"), completion(three))
    await hand.complete(*await hand.claim(1))
    told = await of_run(plant, run)
    assert told.state == "SUCCEEDED"
    assert says(told, "every task has settled", "'b' were FAILED and were tolerated", "'b' were PRUNED")
    pruned = await of_task(plant, two.task)
    assert says(pruned, "dull")
