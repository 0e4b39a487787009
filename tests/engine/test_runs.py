"""Runs from trigger to end: idempotency, versions, results, retries, cancels, timeouts, queues, lists, explanations."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest

from engine.plant import NS, Hand, Plant, after, completion, failure, join, node, run_input
from stoker.core.graph import Element, Expand, Ref, Requirements, Retry, Value
from stoker.core.protocol import Prune, Release, Requeue
from stoker.core.views import RetryAnswer
from stoker.errors import Conflict, Invalid, NoResult, NotFound


async def drained(hand: Hand, value: object = 1) -> int:
    """Complete all there is; gives how many."""
    done = 0
    while tasks := await hand.claim(100):
        await hand.report(*(completion(task, value) for task in tasks))
        done += len(tasks)
    return done


# --- idempotency ---


async def test_the_same_key_and_inputs_give_the_same_run(plant: Plant) -> None:
    await plant.push(node("a"), inputs=["x"])
    requests = [plant.request({"x": 1}, idempotency_key="k")]
    (first,) = await plant.engine.runs.trigger(NS, requests)
    (again,) = await plant.engine.runs.trigger(NS, requests)
    assert (first.created, again.created, again.id) == (True, False, first.id)
    await plant.restart()
    assert await plant.engine.runs.trigger(NS, requests) == [again]
    assert (await plant.run(first.id)).idempotency_key == "k"


async def test_the_same_key_with_other_inputs_is_a_conflict(plant: Plant) -> None:
    await plant.push(node("a"), inputs=["x"])
    await plant.trigger(inputs={"x": 1}, idempotency_key="k")
    with pytest.raises(Conflict) as caught:
        await plant.trigger(inputs={"x": 2}, idempotency_key="k")
    assert caught.value.code == "idempotency_mismatch"
    assert await plant.sql("SELECT COUNT(*) FROM run") == [(1,)]


async def test_a_key_said_twice_in_one_call_makes_one_run(plant: Plant) -> None:
    await plant.push(node("a"), inputs=["x"])
    one, two, other = (plant.request({"x": x}, idempotency_key="k") for x in (1, 1, 2))
    refs = await plant.engine.runs.trigger(NS, [one, two])
    assert [ref.created for ref in refs] == [True, False]
    assert refs[0].id == refs[1].id
    with pytest.raises(Conflict):
        await plant.engine.runs.trigger(NS, [plant.request({"x": 9}, idempotency_key="new"), one, other])
    fresh, contrary = (plant.request({"x": x}, idempotency_key="l") for x in (1, 2))
    with pytest.raises(Conflict):
        await plant.engine.runs.trigger(NS, [fresh, contrary])
    assert await plant.sql("SELECT COUNT(*) FROM run") == [(1,)]


async def test_concurrent_triggers_with_one_key_make_one_run(plant: Plant) -> None:
    await plant.push(node("a"), inputs=["x"])
    calls = [plant.trigger(inputs={"x": number % 2}, idempotency_key="k") for number in range(20)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    runs = {answer for answer in answers if isinstance(answer, int)}
    assert len(runs) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 10
    assert await plant.sql("SELECT COUNT(*) FROM run") == [(1,)]


async def test_a_call_that_is_refused_starts_none_of_its_runs(plant: Plant) -> None:
    await plant.push(node("a"), inputs=["x"])
    with pytest.raises(Invalid):
        await plant.engine.runs.trigger(NS, [plant.request({"x": 1}), plant.request({})])
    with pytest.raises(NotFound):
        await plant.trigger("unknown")
    with pytest.raises(Invalid):
        await plant.trigger(inputs={"x": 1}, priority=10)
    with pytest.raises(Invalid):
        await plant.trigger(inputs={"x": 1}, idempotency_key="a\nb")
    assert await plant.sql("SELECT COUNT(*) FROM run") == [(0,)]


# --- versions ---


async def test_a_run_keeps_the_version_it_started_with(plant: Plant) -> None:
    await plant.push(node("a"), node("b", after("a")), result=Ref(node="b"))
    old = await plant.trigger()
    hand = plant.hand()
    await hand.complete(*await hand.claim(1))
    assert await plant.push(node("c"), result=Value(value="new")) == 2
    new = await plant.trigger()
    await plant.crash()
    names = set()
    while tasks := await hand.claim(5):
        names |= {(task.run, task.node) for task in tasks}
        await hand.report(*(completion(task, "old") for task in tasks))
    assert names == {(old, "b"), (new, "c")}
    assert (await plant.result(old), await plant.result(new)) == ("old", "new")
    assert [(await plant.run(run)).version for run in (old, new)] == [1, 2]
    assert (await plant.run(await plant.trigger(version=1))).version == 1


async def test_an_unchanged_graph_keeps_its_version(plant: Plant) -> None:
    assert [await plant.push(node("a")) for _ in range(3)] == [1, 1, 1]
    assert [await plant.push(node("b")), await plant.push(node("a"))] == [2, 3]


# --- results ---


async def test_a_result_waits_for_the_end(plant: Plant) -> None:
    await plant.push(node("a"), result=Ref(node="a"))
    run = await plant.trigger()
    with pytest.raises(Conflict):
        await plant.result(run)
    waiting = asyncio.create_task(plant.engine.runs.result(NS, run, 30.0))
    hand = plant.hand()
    await hand.complete(*await hand.claim(1), {"x": None})
    assert msgspec.json.decode(await asyncio.wait_for(waiting, 5)) == {"x": None}


async def test_a_result_of_what_was_pruned_is_no_result(plant: Plant) -> None:
    await plant.push(node("a"), node("b", after("a")), result=Ref(node="b"))
    run = await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim(1)
    await hand.report(Prune(task=task.task, attempt=1, reason="nothing to do"))
    assert (await plant.run(run)).state == "SUCCEEDED"
    with pytest.raises(NoResult) as caught:
        await plant.result(run)
    assert "'b'" in caught.value.message


async def test_a_failed_run_has_causes_and_no_result(plant: Plant) -> None:
    await plant.push(node("a"), result=Ref(node="a"))
    run = await plant.trigger()
    hand = plant.hand()
    await hand.fail(*await hand.claim(1), "the disk is on fire")
    view = await plant.run(run)
    assert (view.state, [cause.message for cause in view.causes]) == ("FAILED", ["the disk is on fire"])
    with pytest.raises(Conflict):
        await plant.result(run)


# --- retries ---


async def test_retrying_a_failed_run_opens_the_skipped_joins_above(plant: Plant) -> None:
    await plant.push(
        node("a"),
        node("b", after("a", ()), bind={"n": Element(of="a")}),
        node("c", join("b"), bind={"all": Ref(node="b", many=True)}),
        result=Ref(node="c"),
    )
    run = await plant.trigger()
    hand = plant.hand()
    await hand.complete(*await hand.claim(1), [1, 2, 3])
    first, second, third = await hand.claim(3)
    await hand.report(completion(first, 1), failure(second), completion(third, 3))
    assert (await plant.run(run)).state == "FAILED"
    assert await plant.states(run, "c") == ["SKIPPED"]
    answer = await plant.engine.runs.retry(NS, run)
    assert answer == RetryAnswer(retried=1, fired=[])
    (again,) = await hand.claim(5)
    assert (again.task, again.attempt, again.failures) == (second.task, 2, 0)
    await hand.complete(again, 2)
    (gathered,) = await hand.claim(5)
    assert msgspec.json.decode(gathered.input) == {"all": [1, 2, 3]}
    await hand.complete(gathered, "done")
    assert await plant.result(run) == "done"
    await counts_are_true(plant, run)
    with pytest.raises(Conflict):
        await plant.engine.runs.retry(NS, run)


async def test_a_cancelled_run_goes_on_where_it_stopped(plant: Plant) -> None:
    """A complete that came while it was stopping was accepted, and unlocks when the run is retried."""
    await plant.push(node("a"), node("b"), node("c", after("a")), node("d", join("b", "c")))
    run = await plant.trigger()
    hand = plant.hand()
    a, b = await hand.claim(2)
    await plant.engine.runs.cancel(NS, run)
    assert (await hand.complete(a)).status == "accepted"
    assert await plant.states(run, "c") == []
    await hand.report(Release(task=b.task, attempt=b.attempt))
    assert (await plant.run(run)).state == "CANCELLED"
    assert await plant.states(run, "b") == ["CANCELLED"]
    await plant.engine.runs.retry(NS, run)
    assert await plant.states(run) == ["SUCCEEDED", "READY", "READY"]
    assert await drained(hand) == 3
    assert (await plant.run(run)).state == "SUCCEEDED"
    await counts_are_true(plant, run)


async def test_a_delayed_retry_enters_its_lane_when_it_is_due(plant: Plant) -> None:
    await plant.push(node("a", retry=Retry(attempts=2, strategy="fixed", base="10s")))
    await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim(1)
    await hand.fail(task)
    assert await hand.claim(1) == []
    waiting = hand.waiting()
    await hand.armed()
    assert plant.engine.alarm.planned <= plant.clock.now() + 10_000_000
    await plant.pass_time(9.9)
    assert not waiting.done()
    await plant.pass_time(0.2)
    answer = await asyncio.wait_for(waiting, 5)
    assert [(each.task, each.attempt, each.failures) for each in answer.tasks] == [(task.task, 2, 1)]


async def test_a_requeue_waits_and_spends_nothing(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await plant.trigger()
    hand = plant.hand()
    for _ in range(5):
        (task,) = await hand.claim(1)
        await hand.report(Requeue(task=task.task, attempt=task.attempt, after_s=3))
        await plant.pass_time(2.9)
        assert await hand.claim(1) == []
        await plant.pass_time(0.2)
    assert await drained(hand) == 1
    (view,) = await plant.tasks(run)
    assert (view.state, view.attempt, view.failures, view.losses) == ("SUCCEEDED", 6, 0, 0)


async def test_an_attempt_that_takes_too_long_is_timed_out_and_retried(plant: Plant) -> None:
    await plant.push(node("a", timeout="3s", retry=Retry(attempts=2, base=0)))
    run = await plant.trigger()
    hand, other = plant.hand(), plant.hand("other")
    (task,) = await hand.claim(1)
    assert task.timeout_s == 3
    await plant.tick()
    assert plant.engine.alarm.planned <= plant.clock.now() + 3_000_000
    await plant.pass_time(3)
    answer = await hand.beat()
    assert [(stop.task, stop.reason) for stop in answer.stop] == [(task.task, "stale")]
    assert (await hand.complete(task)).status == "stale"
    (again,) = await other.claim(1)
    await plant.pass_time(3)
    view = await plant.run(run)
    assert (view.state, view.causes[0].code, view.causes[0].task) == ("FAILED", "timeout", again.task)


# --- cancel ---


async def test_a_cancel_reaches_a_waiting_runner_at_once(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim(1)
    stream = hand.waiting(0)
    await hand.armed()
    view = await plant.engine.runs.cancel(NS, run)
    assert view.stopping
    answer = await asyncio.wait_for(stream, 5)
    assert [(stop.task, stop.attempt, stop.reason) for stop in answer.stop] == [(task.task, 1, "cancelled")]


async def test_a_cancel_reaches_what_was_handed_out_after_the_stream_was_opened(plant: Plant) -> None:
    await plant.push(node("a"))
    hand = plant.hand()
    stream = hand.waiting(0)
    await hand.armed()
    run = await plant.trigger()
    answer = await hand.exchange(want=1)
    await plant.engine.runs.cancel(NS, run)
    told = (await asyncio.wait_for(stream, 5)).stop
    assert [stop.task for stop in told] == [task.task for task in answer.tasks]


async def test_a_cancel_sweeps_ready_tasks_slice_by_slice_and_leased_ones_after_the_grace(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stoker.engine.upkeep.SLICE", 7)
    await plant.push(node("a"), node("b", after("a", ()), bind={"n": Element(of="a")}))
    run = await plant.trigger()
    hand = plant.hand()
    await hand.complete(*await hand.claim(1), list(range(40)))
    held = await hand.claim(2)
    await plant.engine.runs.cancel(NS, run)
    await plant.tick()
    assert Counter(await plant.states(run, "b")) == {"CANCELLED": 38, "LEASED": 2}
    for _ in range(6):
        await plant.pass_time(4.9)
        await hand.beat()
    assert (await plant.run(run)).stopping
    await plant.pass_time(1)
    view = await plant.run(run)
    assert (view.state, view.stopping) == ("CANCELLED", False)
    assert {(await plant.task(task.task)).code for task in held} == {"unconfirmed"}
    assert (await hand.complete(held[0])).status == "stale"
    await counts_are_true(plant, run)


async def test_a_cancel_during_a_claim_is_caught(plant: Plant) -> None:
    """The task was handed out in the transaction before the cancel's: it is told to stop, or swept."""
    await plant.push(node("a"))
    for _ in range(10):
        run = await plant.trigger()
        hand = plant.hand()
        tasks, _ = await asyncio.gather(hand.claim(1), plant.engine.runs.cancel(NS, run))
        await hand.beat()
        assert {stop.task for stop in hand.stops} == {task.task for task in tasks if task.run == run}
        await hand.report(*(Release(task=task.task, attempt=task.attempt) for task in tasks))
        await plant.tick()
        assert (await plant.run(run)).state == "CANCELLED"


async def test_cancelling_an_ended_run_changes_nothing(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await plant.trigger()
    await drained(plant.hand())
    assert (await plant.engine.runs.cancel(NS, run)).state == "SUCCEEDED"


# --- queues ---


async def test_urgent_tasks_come_first_and_waiting_ones_catch_up(plant: Plant) -> None:
    await plant.push(node("a"))
    late = await plant.trigger(priority=4)
    plant.clock.advance(9)
    urgent = await plant.trigger(priority=5)
    plant.clock.advance(2)
    newest = await plant.trigger(priority=5)
    hand = plant.hand()
    assert [task.run for task in await hand.claim(3)] == [urgent, late, newest]


async def test_two_runs_share_a_lane_fairly(plant: Plant) -> None:
    await plant.push(node("a", expand=Expand(over=run_input("xs"))), inputs=["xs"])
    big = await plant.trigger(inputs={"xs": list(range(100))})
    small = await plant.trigger(inputs={"xs": list(range(10))})
    tasks = await plant.hand().claim(40)
    found = Counter(task.run for task in tasks)
    assert found == {big: 30, small: 10}
    assert [task.run for task in tasks][:4] in ([big, small, big, small], [small, big, small, big])


async def test_a_runner_gets_only_what_it_meets(plant: Plant) -> None:
    requires = Requirements(labels={"site": "a"}, resources={"gpu": 1.0})
    await plant.push(node("a", requires=requires), node("b"))
    await plant.trigger()
    plain = plant.hand("plain")
    rich = plant.hand("rich", labels={"site": "a", "more": "x"}, resources={"gpu": 2.0})
    assert [task.node for task in await plain.claim(5)] == ["b"]
    assert [task.node for task in await rich.claim(5)] == ["a"]


# --- lists and counts ---


async def counts_are_true(plant: Plant, run: int) -> None:
    """What the view counts is what the tasks say."""
    view = await plant.run(run)
    found: Counter[tuple[str, str]] = Counter((task.node, task.state.lower()) for task in await plant.tasks(run))
    told = Counter(
        {
            (entry.node, state): getattr(entry, state)
            for entry in view.nodes
            for state in ("ready", "leased", "succeeded", "failed", "pruned", "cancelled", "skipped")
            if getattr(entry, state)
        }
    )
    assert told == found
    assert view.tasks == sum(found.values())


async def test_the_counts_of_a_run_are_those_of_its_tasks(plant: Plant) -> None:
    await plant.push(
        node("a"),
        node("b", after("a", ()), tolerated=True),
        node("c", after("b")),
        node("d", join("c"), tolerated=True),
    )
    run = await plant.trigger()
    hand = plant.hand()
    await counts_are_true(plant, run)
    await hand.complete(*await hand.claim(1), [1, 2, 3, 4, 5])
    await counts_are_true(plant, run)
    one, two, three = await hand.claim(3)
    await hand.report(completion(one), failure(two), Prune(task=three.task, attempt=1))
    await counts_are_true(plant, run)
    await drained(hand)
    await counts_are_true(plant, run)


async def test_pages_hold_every_run_once_while_new_ones_arrive(plant: Plant) -> None:
    await plant.push(node("a"))
    there = [await plant.trigger() for _ in range(5)]
    plant.clock.advance(1)
    there += [await plant.trigger() for _ in range(6)]
    seen: list[int] = []
    cursor: str | None = None
    while True:
        page = await plant.engine.views.runs(NS, state=None, graph="sample", limit=2, after=cursor)
        seen += [run.id for run in page.items]
        cursor = page.after
        await plant.trigger()
        plant.clock.advance(0.5)
        if cursor is None:
            break
    assert sorted(seen) == sorted(there)


async def test_pages_hold_every_task_once_in_branch_order(plant: Plant) -> None:
    await plant.push(node("a"), node("b", after("a", ()), bind={"n": Element(of="a")}))
    run = await plant.trigger()
    hand = plant.hand()
    await hand.complete(*await hand.claim(1), list(range(300)))
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await plant.engine.views.tasks(NS, run, state=None, node="b", limit=7, after=cursor)
        seen += [task.branch for task in page.items]
        cursor = page.after
        if cursor is None:
            break
        await hand.report(*(completion(task) for task in await hand.claim(3)))
    assert seen == [f"a[{number}]" for number in range(300)]


@pytest.mark.parametrize("cursor", ["x", "%%%", "W10", "bnVsbA", "WzEsMl0x", "é", "WyJ4IiwieSJd"])
async def test_a_bad_cursor_is_refused(plant: Plant, cursor: str) -> None:
    await plant.push(node("a"))
    run = await plant.trigger()
    with pytest.raises(Invalid):
        await plant.engine.views.runs(NS, state=None, graph=None, limit=2, after=cursor)
    with pytest.raises(Invalid):
        await plant.engine.views.tasks(NS, run, state=None, node=None, limit=2, after=cursor)


@pytest.mark.parametrize("options", [{"limit": 0}, {"limit": 1_001}, {"state": "LOST"}])
async def test_bad_filters_are_refused(plant: Plant, options: dict[str, Any]) -> None:
    await plant.push(node("a"))
    given = {"state": None, "graph": None, "limit": 2, "after": None, **options}
    with pytest.raises(Invalid):
        await plant.engine.views.runs(NS, **given)


@pytest.mark.parametrize("number", [0, -1, 99, 2**63, 2**80])
async def test_what_is_not_there_is_not_found(plant: Plant, number: int) -> None:
    await plant.push(node("a"))
    views, runs = plant.engine.views, plant.engine.runs
    for call in (
        views.run(NS, number),
        views.task(NS, number),
        views.attempts(NS, number),
        views.explain_run(NS, number),
        views.explain_task(NS, number),
        plant.engine.logs.page(NS, run=number, task=None, limit=1, after=0),
        runs.cancel(NS, number),
        runs.retry(NS, number),
        runs.result(NS, number),
        plant.engine.artifacts.get(NS, number),
        plant.trigger(version=number),
        views.run("elsewhere", 1),
    ):
        with pytest.raises(NotFound):
            await call


async def test_a_name_that_no_database_keeps_is_the_name_of_nothing(plant: Plant) -> None:
    await plant.push(node("a"))
    with pytest.raises(NotFound):
        await plant.trigger("sample\0")
    assert (await plant.engine.views.runs(NS, state=None, graph="sample\0", limit=5, after=None)).items == []
