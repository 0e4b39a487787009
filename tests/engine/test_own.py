"""Own leases: claimed without a session's beats, ended by their own time, proved by task and attempt alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.plant import NS, Plant, after, completion, failure, join, node, until
from stoker.core.graph import Defaults, KindSpec, Ref, Retry
from stoker.core.own_claim import OwnClaim, OwnTask
from stoker.core.protocol import Held, Prune, Release, Requeue
from stoker.core.standing import Standing
from stoker.core.states import TaskState
from stoker.errors import Conflict, Forbidden, NotFound

LEASE = 900.0


async def claim(plant: Plant, want: int = 1, *, kinds: tuple[str, ...] = ("one", "many"), **more: Any) -> list[OwnTask]:
    given: dict[str, Any] = {"name": "sdk", "lease_s": LEASE, **more}
    return await plant.engine.own.claim(NS, OwnClaim(kinds=kinds, want=want, **given))


async def one(plant: Plant, **more: Any) -> Held:
    (task,) = await claim(plant, **more)
    return Held(task=task.assignment.task, attempt=task.assignment.attempt)


async def report(plant: Plant, said: Any) -> Standing:
    return await plant.engine.own.report(NS, said)


async def of(plant: Plant, held: Held) -> Standing:
    (standing,) = await plant.engine.own.standing(NS, [(held.task, held.attempt)])
    return standing


async def started(plant: Plant, *nodes: Any, **more: Any) -> int:
    await plant.push(*(nodes or (node("a"),)), **more)
    return await plant.trigger()


async def test_a_task_is_claimed_and_completed_by_its_attempt_alone(plant: Plant) -> None:
    run = await started(plant, node("a"), node("b", after("a")))
    (task,) = await claim(plant)
    assert (task.assignment.node, bytes(task.assignment.input)) == ("a", b"{}")
    assert task.until == plant.clock.now() + 900_000_000
    told = await report(plant, completion(Held(task=task.task.id, attempt=1), 7))
    assert (told.accepted, told.reason, told.state) == (True, "", TaskState.SUCCEEDED)
    assert await plant.states(run) == ["SUCCEEDED", "READY"]


async def test_the_end_of_the_lease_is_a_loss_and_comes_neither_early_nor_late(plant: Plant) -> None:
    run = await started(plant, node("a", retry=Retry(attempts=1)))
    held = await one(plant)
    await plant.pass_time(LEASE - 0.001)
    assert await plant.states(run) == ["LEASED"]
    await plant.pass_time(0.001)
    (task,) = await plant.tasks(run)
    assert (task.state, task.losses, task.failures, task.attempt) == ("READY", 1, 0, 1)
    assert (await of(plant, held)).reason == "superseded"


async def test_the_scheduler_knows_when_a_lease_ends(plant: Plant) -> None:
    await started(plant)
    await claim(plant, lease_s=7.0)
    assert await plant.tick() <= 7_000_000


async def test_a_server_that_starts_need_not_wait_to_end_an_own_lease(plant: Plant) -> None:
    run = await started(plant)
    await claim(plant, lease_s=5.0)
    plant.clock.advance(6)
    await plant.crash()
    await plant.tick()
    assert await plant.states(run) == ["READY"]


async def test_the_end_of_a_callers_session_loses_nothing(plant: Plant) -> None:
    run = await started(plant)
    held = await one(plant)
    for _ in range(8):
        await plant.pass_time(100)
    ((ended,),) = await plant.sql("SELECT ended_at FROM session")
    assert ended is not None
    assert await plant.states(run) == ["LEASED"]
    assert (await report(plant, completion(held))).accepted


async def test_a_lost_attempt_is_not_revived_though_nobody_has_claimed_the_task(plant: Plant) -> None:
    run = await started(plant)
    held = await one(plant)
    await plant.pass_time(LEASE)
    for said in (completion(held), failure(held), Prune(task=held.task, attempt=1), Release(task=held.task, attempt=1)):
        told = await report(plant, said)
        assert (told.accepted, told.repeated, told.reason, told.newest) == (False, False, "superseded", 2)
    assert not (await plant.engine.own.extend(NS, held.task, held.attempt, 60)).accepted
    assert await plant.states(run) == ["READY"]


async def test_an_overdue_attempt_that_no_look_has_ended_yet_still_counts(plant: Plant) -> None:
    run = await started(plant)
    held = await one(plant)
    plant.clock.advance(LEASE + 60)
    assert (await report(plant, completion(held))).accepted
    await plant.tick()
    assert await plant.states(run) == ["SUCCEEDED"]


async def test_the_last_loss_fails_the_task_and_decides_the_joins_above_it(plant: Plant) -> None:
    run = await started(
        plant,
        node("a"),
        node("b", after("a")),
        node("c", join("b", anchor="a", policy="all_done")),
        defaults=Defaults(max_losses=2),
    )
    await report(plant, completion(await one(plant)))
    await claim(plant)
    await plant.pass_time(LEASE)
    held = await one(plant)
    await plant.pass_time(LEASE)
    (task,) = await plant.tasks(run, "b")
    assert (task.state, task.code, task.losses) == ("FAILED", "lost", 2)
    (_, last) = await plant.engine.views.attempts(NS, held.task)
    assert last.message == "no report of attempt 2 in 900 s (loss 2 of at most 2)"
    assert await plant.states(run, "c") == ["READY"]
    assert (await of(plant, held)).reason == "settled"


@pytest.mark.parametrize(
    ("node_s", "graph_s", "kind_s", "lasts"),
    [(None, None, None, 900), (None, None, 60, 60), (None, 30, 60, 30), (10, 30, 60, 10)],
)
async def test_a_lease_is_as_long_as_node_graph_kind_or_claim_say(
    plant: Plant, node_s: float | None, graph_s: float | None, kind_s: float | None, lasts: int
) -> None:
    await started(
        plant, node("a", lease=node_s), defaults=Defaults(lease=graph_s), kinds=(KindSpec(name="one", lease=kind_s),)
    )
    (task,) = await claim(plant)
    assert task.until == plant.clock.now() + lasts * 1_000_000


async def test_an_attempt_that_takes_too_long_has_failed_though_its_lease_would_be_shorter(plant: Plant) -> None:
    run = await started(plant, node("a", timeout=100, lease=10, retry=Retry(attempts=2, base=1, strategy="fixed")))
    held = await one(plant)
    await plant.pass_time(99)
    assert await plant.states(run) == ["LEASED"]
    await plant.pass_time(1)
    (task,) = await plant.tasks(run)
    assert (task.state, task.losses, task.failures) == ("READY", 0, 1)
    assert (await of(plant, held)).reason == "superseded"
    await plant.pass_time(1)
    held = await one(plant)
    await plant.pass_time(100)
    told = await of(plant, held)
    assert (told.reason, told.state) == ("settled", TaskState.FAILED)


async def test_what_is_reported_twice_is_known_as_a_repeat_and_changes_nothing(plant: Plant) -> None:
    run = await started(plant, node("a", retry=Retry(attempts=9, base=5, strategy="fixed")))
    held = await one(plant)
    for said in (Requeue(task=held.task, attempt=1, after_s=0), failure(Held(task=held.task, attempt=2))):
        first = await report(plant, said)
        assert (first.accepted, first.repeated, first.state) == (True, False, TaskState.READY)
        again = await report(plant, said)
        assert (again.accepted, again.repeated, again.reason) == (False, True, "superseded")
        other = await report(plant, completion(Held(task=said.task, attempt=said.attempt)))
        assert (other.accepted, other.repeated, other.reason) == (False, False, "superseded")
        assert (first.retried, first.due_at) == (
            (True, plant.clock.now() + 5_000_000) if said.attempt == 2 else (False, None)
        )
        await plant.pass_time(5)
        held = await one(plant)
    done = completion(held)
    assert (await report(plant, done)).accepted
    told = await report(plant, done)
    assert (told.accepted, told.repeated, told.reason, told.state) == (False, True, "settled", TaskState.SUCCEEDED)
    told = await report(plant, failure(held))
    assert (told.accepted, told.repeated, told.reason) == (False, False, "settled")
    assert await plant.states(run) == ["SUCCEEDED"]


async def test_reports_of_what_is_not_there_are_unknown(plant: Plant) -> None:
    await started(plant)
    held = await one(plant)
    for task, attempt in ((held.task, 0), (held.task, 2), (held.task, -1), (999_999, 1)):
        told = await report(plant, completion(Held(task=task, attempt=attempt)))
        assert (told.reason, told.accepted, told.now) == ("unknown", False, None)
    assert (await plant.engine.own.report("elsewhere", completion(held))).reason == "unknown"
    await plant.engine.catalog.put_kinds("elsewhere", [KindSpec(name="one")])
    assert (await plant.engine.own.report("elsewhere", completion(held))).reason == "unknown"
    assert (await of(plant, held)).reason == ""


async def test_the_attempt_that_the_next_claim_makes_is_known_and_not_leased(plant: Plant) -> None:
    run = await started(plant)
    (task,) = await plant.tasks(run)
    next_ = Held(task=task.id, attempt=1)
    told = await report(plant, completion(next_))
    assert (told.reason, told.newest, told.accepted) == ("not_leased", 1, False)
    assert await plant.states(run) == ["READY"]


async def test_output_that_breaks_its_schema_fails_the_attempt_and_says_so(plant: Plant) -> None:
    kind = KindSpec(name="one", output={"type": "string"})
    await started(plant, node("a", retry=Retry(attempts=2, base=1, strategy="fixed")), kinds=(kind,))
    held = await one(plant)
    told = await report(plant, completion(held, 7))
    assert (told.accepted, told.reason, told.retried) == (False, "invalid_output", True)
    assert "string" in told.message
    await plant.pass_time(1)
    held = await one(plant)
    told = await report(plant, failure(held))
    assert (told.accepted, told.reason, told.state) == (True, "", TaskState.FAILED)


async def test_a_native_session_and_an_attempt_cannot_settle_each_others_tasks(plant: Plant) -> None:
    await started(plant)
    await plant.trigger()
    hand = plant.hand()
    (native,) = await hand.claim()
    held = await one(plant)
    assert (await report(plant, completion(Held(task=native.task, attempt=native.attempt)))).reason == "not_leased"
    assert (await report(plant, Release(task=native.task, attempt=native.attempt))).reason == "not_leased"
    await plant.engine.own.release(NS, [(native.task, native.attempt)])
    await plant.settled()
    assert (await hand.report(completion(held)))[0].status == "stale"
    assert (await hand.complete(native)).status == "accepted"
    assert (await report(plant, completion(held))).accepted


async def test_beats_and_reports_of_a_native_session_leave_own_leases_alone(plant: Plant) -> None:
    run = await started(plant)
    await claim(plant)
    hand = plant.hand()
    await hand.claim()
    await hand.beat()
    await plant.engine.leases.leave(NS, hand.secret)
    assert await plant.states(run) == ["LEASED"]


async def test_a_lease_is_extended_and_ends_earlier_only_if_that_is_asked_for(plant: Plant) -> None:
    run = await started(plant)
    held = await one(plant)
    assert not (await of(plant, held)).heard
    now = plant.clock.now()
    own = plant.engine.own
    for seconds, shorten, lasts in ((60, False, 900), (1000, False, 1000), (50, True, 50)):
        told = await own.extend(NS, held.task, held.attempt, seconds, shorten=shorten)
        assert (told.accepted, told.heard) == (True, True)
        assert told.now is not None
        assert (told.now.until, told.now.deadline) == (now + lasts * 1_000_000,) * 2
    assert (await of(plant, held)).heard
    await plant.pass_time(50)
    assert await plant.states(run) == ["READY"]
    assert (await own.extend(NS, held.task, held.attempt, 60)).reason == "superseded"
    assert (await own.extend(NS, 999, 1, 60)).reason == "unknown"
    held = await one(plant)
    assert not (await of(plant, held)).heard


async def test_a_lease_cannot_be_made_shorter_than_the_timeout_of_its_attempt(plant: Plant) -> None:
    run = await started(plant, node("a", timeout=100, retry=Retry(attempts=1)))
    held = await one(plant, lease_s=1.0)
    await plant.engine.own.extend(NS, held.task, held.attempt, 5, shorten=True)
    await plant.pass_time(99)
    assert await plant.states(run) == ["LEASED"]
    await plant.pass_time(1)
    (task,) = await plant.tasks(run)
    assert (task.state, task.code) == ("FAILED", "timeout")


# --- cancel ---


async def test_what_completes_in_a_run_that_stops_has_succeeded_and_unlocks_nothing(plant: Plant) -> None:
    run = await started(plant, node("a"), node("b", after("a")))
    held = await one(plant)
    await plant.engine.runs.cancel(NS, run)
    told = await report(plant, completion(held))
    assert (told.accepted, told.state, told.stopping) == (True, TaskState.SUCCEEDED, True)
    await plant.tick()
    assert await plant.states(run) == ["SUCCEEDED"]
    assert (await plant.run(run)).state == "CANCELLED"


@pytest.mark.parametrize("verb", ["fail", "prune", "requeue", "release", "loss", "silence"])
async def test_every_other_end_in_a_run_that_stops_is_cancelled(plant: Plant, verb: str) -> None:
    run = await started(plant)
    held = await one(plant, lease_s=5.0 if verb == "loss" else LEASE)
    await plant.engine.runs.cancel(NS, run)
    task, attempt = held.task, held.attempt
    said = {
        "fail": failure(held),
        "prune": Prune(task=task, attempt=attempt),
        "requeue": Requeue(task=task, attempt=attempt, after_s=1),
        "release": Release(task=task, attempt=attempt),
    }.get(verb)
    if said is not None:
        told = await report(plant, said)
        assert (told.accepted, told.reason, told.state) == (False, "run_closed", TaskState.CANCELLED)
    else:
        await plant.tick()
        assert await plant.states(run) == ["LEASED"]
        await plant.pass_time(5 if verb == "loss" else 30)
    (view,) = await plant.tasks(run)
    assert (view.state, view.code) == ("CANCELLED", "unconfirmed" if verb == "silence" else "")
    assert (await report(plant, completion(held))).reason == "run_closed"


async def test_a_ready_task_of_a_run_that_stops_is_closed_at_once(plant: Plant) -> None:
    run = await started(plant)
    (task,) = await plant.tasks(run)
    await plant.engine.runs.cancel(NS, run)
    assert (await of(plant, Held(task=task.id, attempt=1))).reason == "run_closed"
    assert await claim(plant) == []


# --- claims ---


async def test_a_claim_waits_for_tasks_and_takes_them_as_they_come(plant: Plant) -> None:
    await started(plant)
    await claim(plant)
    waiting = asyncio.create_task(claim(plant, wait_s=30))
    await until(lambda: bool(plant.engine.dispatcher.waited_for()))
    await plant.settled()
    with plant.counting() as transactions:
        await plant.trigger()
        (task,) = await waiting
    assert transactions() == 1, "the trigger hands it over"
    assert task.task.state is TaskState.LEASED


async def test_a_claim_that_waits_sees_the_lanes_of_a_graph_pushed_meanwhile(plant: Plant) -> None:
    await plant.push(node("x", kind="many"))
    waiting = asyncio.create_task(claim(plant, wait_s=30))
    await until(lambda: bool(plant.engine.dispatcher.waited_for()))
    await started(plant, node("a"), name="sample")
    assert len(await waiting) == 1


async def test_claims_of_one_caller_at_once_all_get_tasks(plant: Plant) -> None:
    await plant.push(node("a"))
    waiting = [asyncio.create_task(claim(plant, wait_s=30)) for _ in range(3)]
    for _ in range(3):
        await plant.trigger()
    found = [task.task.id for tasks in await asyncio.gather(*waiting) for task in tasks]
    assert len(set(found)) == 3


async def test_a_claim_that_is_cancelled_leaves_nothing_leased(plant: Plant) -> None:
    await plant.push(node("a"))
    waiting = asyncio.create_task(claim(plant, wait_s=30))
    await until(lambda: bool(plant.engine.dispatcher.waited_for()))
    await plant.settled()
    triggering = asyncio.create_task(plant.trigger())
    waiting.cancel()
    run = await triggering
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await plant.settled()
    (task,) = await plant.tasks(run)
    assert (task.state, task.losses, task.failures) == ("READY", 0, 0)


async def test_an_answer_that_could_not_be_written_is_given_back_at_no_cost(plant: Plant) -> None:
    run = await started(plant)
    held = await one(plant)
    await plant.engine.own.release(NS, [(held.task, held.attempt)])
    await plant.settled()
    (task,) = await plant.tasks(run)
    assert (task.state, task.losses, task.failures) == ("READY", 0, 0)
    assert (await of(plant, held)).reason == "superseded"


async def test_large_inputs_are_at_hand_too(plant: Plant) -> None:
    await started(plant, node("a"), node("b", join("a"), bind={"all": Ref(node="a", many=True)}))
    await report(plant, completion(await one(plant), "x" * 100_000))
    (task,) = await claim(plant)
    assert len(bytes(task.assignment.input)) > 100_000


async def test_a_claim_without_kinds_or_want_is_answered_at_once(plant: Plant) -> None:
    await started(plant)
    assert await claim(plant, 0, wait_s=60) == []
    assert await claim(plant, -3, wait_s=60) == []
    assert await claim(plant, kinds=(), wait_s=60) == []
    assert await claim(plant, kinds=("nobody's",)) == []


async def test_a_claim_asks_only_for_kinds_that_are_allowed(plant: Plant) -> None:
    with pytest.raises(Forbidden):
        await plant.engine.own.claim(NS, OwnClaim(name="sdk", kinds=("one", "two"), lease_s=1), frozenset({"one"}))


async def test_callers_are_listed_as_runners(plant: Plant) -> None:
    await plant.push(node("a"))
    await claim(plant)
    (runner,) = await plant.engine.views.runners(NS)
    assert (runner.name, sorted(runner.kinds)) == ("sdk", ["many", "one"])
    await claim(plant)
    assert len(await plant.engine.views.runners(NS)) == 1


# --- secrets ---


async def test_secrets_are_given_to_an_attempt_that_is_leased_and_to_no_other(plant: Plant) -> None:
    own = plant.engine.own
    await started(plant)
    held = await one(plant)
    assert await own.secrets(NS, held.task, held.attempt) == {}
    with pytest.raises(NotFound):
        await own.secrets(NS, held.task, 2)
    await report(plant, completion(held))
    with pytest.raises(Conflict, match="not leased"):
        await own.secrets(NS, held.task, held.attempt)


# --- what people are told ---


async def test_explain_says_until_when_a_lease_lasts_and_what_a_lost_attempt_may_still_do(plant: Plant) -> None:
    await started(plant)
    held = await one(plant)
    told = await plant.engine.views.explain_task(NS, held.task)
    assert told.because[0].startswith("attempt 1 is being run by runner 'sdk'")
    assert told.because[1:] == [
        "its lease, which no beats renew, ends in 15 min; if nothing is reported by then, the attempt is lost"
    ]
    await plant.pass_time(LEASE)
    told = await plant.engine.views.explain_task(NS, held.task)
    assert "attempt 1 was lost at the end of its lease (loss 1 of at most 3); it can report no more" in told.because
