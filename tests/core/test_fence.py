"""Every report proves its attempt; what is not current changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from core.samples import Desk, after, node
from stoker.core.graph import Retry
from stoker.core.model import Task
from stoker.core.picture import Body
from stoker.core.protocol import ErrorInfo
from stoker.core.states import TaskState, Verb

REPORTS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "complete": (([Body(b"1")],), {}),
    "fail": ((ErrorInfo(message="no"),), {"retryable": True}),
    "requeue": ((0,), {}),
    "release": ((), {}),
    "prune": (("",), {}),
}
ENDS = {"complete": "SUCCEEDED", "fail": "FAILED", "requeue": "READY", "release": "READY", "prune": "PRUNED"}
every_report = pytest.mark.parametrize("verb", REPORTS)


def desk(**options: Any) -> Desk:
    return Desk(node("a", **options))


def report(on: Desk, held: Task, verb: str) -> str:
    arguments, options = REPORTS[verb]
    return on.report(verb, held, *arguments, **options).status


@every_report
def test_the_holder_of_the_current_attempt_is_accepted(verb: str) -> None:
    on = desk()
    assert report(on, on.claim("a"), verb) == "accepted"
    assert on.states("a") == [ENDS[verb]]


@every_report
@pytest.mark.parametrize("winner", REPORTS)
def test_a_late_holder_cannot_overwrite_the_next_one(verb: str, winner: str) -> None:
    on = desk(max_losses=9)
    late = on.claim("a", session=1)
    on.tick("lose", "a")
    current = on.claim("a", session=2)
    assert report(on, late, verb) == "stale"
    assert on.task("a") == current
    assert report(on, current, winner) == "accepted"
    settled = on.task("a")
    assert report(on, late, verb) == "stale"
    assert on.task("a") == settled


@every_report
def test_another_session_with_the_right_attempt_is_stale(verb: str) -> None:
    on = desk()
    held = on.claim("a", session=1)
    assert report(on, _of(held, session=2), verb) == "stale"
    assert on.task("a") == held


@every_report
def test_an_attempt_from_the_future_is_stale(verb: str) -> None:
    on = desk()
    held = on.claim("a")
    assert report(on, _of(held, attempt=2), verb) == "stale"
    assert on.task("a") == held


@every_report
def test_a_task_that_was_never_claimed_takes_no_report(verb: str) -> None:
    on = desk()
    assert report(on, _of(on.task("a"), session=1), verb) == "stale"
    assert on.states("a") == ["READY"]


@every_report
def test_a_report_on_an_unknown_task_is_refused(verb: str) -> None:
    on = desk()
    arguments, options = REPORTS[verb]
    receipt = getattr(on.memory.fold(), verb)(99, 1, 1, *arguments, **options)
    assert receipt.status == "refused"
    assert "no task 99" in receipt.message


@every_report
def test_a_repeat_is_answered_as_accepted_and_changes_nothing(verb: str) -> None:
    on = desk(retry=Retry(attempts=3))
    held = on.claim("a")
    assert report(on, held, verb) == "accepted"
    settled, items, history = on.task("a"), dict(on.memory.items), list(on.memory.history)
    assert report(on, held, verb) == "accepted"
    assert (on.task("a"), on.memory.items, on.memory.history) == (settled, items, history)


@every_report
@pytest.mark.parametrize("other", REPORTS)
def test_only_the_verb_that_ended_the_attempt_is_a_repeat(verb: str, other: str) -> None:
    on = desk()
    held = on.claim("a")
    report(on, held, verb)
    settled = on.task("a")
    assert report(on, held, other) == ("accepted" if other == verb else "stale")
    assert on.task("a") == settled


@every_report
def test_a_repeat_after_the_next_claim_is_stale(verb: str) -> None:
    on = desk()
    held = on.claim("a")
    on.report("release", held)
    on.claim("a", session=1)
    assert report(on, held, verb) == "stale"


# --- loss and revival ---


@every_report
def test_a_lost_attempt_that_nobody_claimed_is_revived_by_its_report(verb: str) -> None:
    on = desk()
    held = on.claim("a")
    assert on.tick("lose", "a").losses == 1
    assert report(on, held, verb) == "accepted"
    assert on.states("a") == [ENDS[verb]]
    assert on.task("a").losses == 0


def _hold(on: Desk, held: Task) -> bool:
    told: list[bool] = []
    on.memory.batch(
        [held.id], lambda fold: told.append(fold.hold(fold.tasks[held.id], held.attempt, held.session or 0))
    )
    return told[0]


def test_a_beat_revives_a_lost_attempt_once_and_the_next_loss_counts_anew() -> None:
    on = desk()
    held = on.claim("a")
    for _ in range(5):
        on.tick("lose", "a")
        assert _hold(on, held)
        assert (on.task("a").state, on.task("a").losses) == (TaskState.LEASED, 0)
        assert _hold(on, held), "a lease that is held stays held"
        assert on.task("a").losses == 0


def test_a_beat_of_a_stale_attempt_holds_nothing() -> None:
    on = desk()
    late = on.claim("a", session=1)
    on.tick("lose", "a")
    current = on.claim("a", session=2)
    assert not _hold(on, late)
    assert on.task("a") == current


def test_a_revived_attempt_keeps_its_timeout() -> None:
    on = desk(timeout="10s")
    held = on.claim("a")
    assert held.deadline == on.memory.now + 10_000_000
    on.memory.now += 4_000_000
    on.tick("lose", "a")
    assert _hold(on, held)
    assert on.task("a").deadline == held.deadline


@every_report
def test_the_last_loss_fails_the_task_and_cannot_be_revived(verb: str) -> None:
    on = desk(max_losses=2)
    on.claim("a")
    on.tick("lose", "a")
    held = on.claim("a")
    lost = on.tick("lose", "a")
    assert (lost.state, lost.code, lost.losses) == (TaskState.FAILED, "lost", 2)
    assert report(on, held, verb) == "stale"
    assert not _hold(on, held)
    assert on.task("a") == lost


def test_a_loss_spends_no_retry() -> None:
    on = desk(max_losses=9)
    for _ in range(4):
        on.claim("a")
        on.tick("lose", "a")
    assert (on.task("a").failures, on.task("a").losses, on.task("a").attempt) == (0, 4, 4)
    assert [ended.outcome for ended in on.memory.history] == ["lost"] * 4


@every_report
def test_only_a_loss_can_be_revived(verb: str) -> None:
    on = desk(retry=Retry(attempts=3, base=0))
    for end in ("requeue", "release", "fail"):
        held = on.claim("a")
        report(on, held, end)
        assert not _hold(on, held)
        if verb != end:
            assert report(on, held, verb) == "stale"
        assert on.states("a") == ["READY"]


def test_losing_a_task_that_nobody_holds_changes_nothing() -> None:
    on = desk()
    before = on.task("a")
    assert on.tick("lose", "a") == before


# --- timeouts ---


@every_report
def test_a_timeout_moves_the_fence_at_once(verb: str) -> None:
    on = desk(timeout="10s", retry=Retry(attempts=2, base="1s"))
    held = on.claim("a")
    on.memory.now += 10_000_000
    late = on.tick("expire", "a")
    assert (late.state, late.failures, late.ended) == (TaskState.READY, 1, Verb.TIMEOUT)
    assert late.due_at == on.memory.now + 1_000_000
    assert report(on, held, verb) == "stale"
    assert not _hold(on, held)
    assert on.task("a") == late


def test_a_timeout_without_a_retry_fails_the_task() -> None:
    on = desk(timeout="10s")
    on.claim("a")
    on.memory.now += 10_000_000
    late = on.tick("expire", "a")
    assert (late.state, late.code, on.run_state) == (TaskState.FAILED, "timeout", "FAILED")


def test_an_attempt_within_its_time_does_not_expire() -> None:
    on = desk(timeout="10s")
    held = on.claim("a")
    on.memory.now += 9_999_999
    assert on.tick("expire", "a") == held


# --- retries, requeues and the delay ---


def test_a_failure_waits_out_the_policy_and_then_enters_its_lane() -> None:
    on = desk(retry=Retry(attempts=2, base="5s"))
    on.fail("a")
    waiting = on.task("a")
    assert (waiting.state, waiting.failures, waiting.due_at) == (TaskState.READY, 1, on.memory.now + 5_000_000)
    assert on.tick("due", "a") == waiting, "it is too early"
    on.memory.now += 5_000_000
    assert on.tick("due", "a").due_at is None
    on.fail("a")
    assert (on.task("a").state, on.task("a").code, on.run_state) == (TaskState.FAILED, "error", "FAILED")


def test_a_failure_that_is_not_retryable_is_the_last() -> None:
    on = desk(retry=Retry(attempts=9))
    on.fail("a", retryable=False)
    assert on.states("a") == ["FAILED"]


def test_requeue_and_release_spend_nothing() -> None:
    on = desk()
    for number in range(5):
        on.report("requeue", on.claim("a"), 7)
        assert on.task("a").due_at == on.memory.now + 7
        on.report("release", on.claim("a"))
        assert on.task("a").due_at is None
        assert (on.task("a").failures, on.task("a").losses, on.task("a").attempt) == (0, 0, 2 * number + 2)


def test_every_attempt_that_did_not_settle_well_is_remembered() -> None:
    on = desk(retry=Retry(attempts=2, base=0))
    on.fail("a")
    on.fail("a")
    told = [(ended.attempt, ended.outcome, ended.message) for ended in on.memory.history]
    assert told == [(1, "failed", "no"), (2, "failed", "no")]


# --- invalid output ---


def test_a_function_node_settles_with_exactly_one_item() -> None:
    for items in ([], [1, 2]):
        on = desk()
        receipt = on.complete("a", items=items)
        assert receipt.status == "invalid"
        assert "exactly one item, not" in receipt.message
        assert (on.states("a"), on.task("a").code) == (["FAILED"], "invalid_output")


def test_an_output_that_cannot_be_expanded_is_a_failure_and_may_be_tried_again() -> None:
    on = Desk(node("a", retry=Retry(attempts=2, base=0)), node("b", after("a", ("parts",))))
    receipt = on.complete("a", value={"parts": 3})
    assert receipt.status == "invalid"
    assert receipt.message == "what follows 'a' expands its output, but what is at $.parts is not a list"
    assert (on.states("a"), on.states("b")) == (["READY"], [])
    assert on.complete("a", value={"parts": [1, 2]}).status == "accepted"
    assert on.states("b") == ["READY", "READY"]


# --- inputs that cannot be bound ---


def test_a_task_whose_inputs_cannot_be_bound_fails_before_anyone_runs_it() -> None:
    on = desk(retry=Retry(attempts=9))
    task = on.task("a")
    on.memory.batch([task.id], lambda fold: fold.refuse(fold.tasks[task.id], "there is nothing at $.x"))
    assert (on.task("a").state, on.task("a").code, on.run_state) == (TaskState.FAILED, "binding", "FAILED")
    assert on.memory.history[-1].message == "there is nothing at $.x"


def _of(task: Task, **change: Any) -> Task:
    return replace(task, **change)
