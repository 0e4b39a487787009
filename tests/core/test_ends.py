"""Attempts and tasks end in time, by losses, by a cancel of their own; a graph may stop its run at the first."""

from __future__ import annotations

from typing import Any

import pytest

from core.memory import Memory
from core.samples import Desk, after, graph, join, node
from stoker.core.compile import compile_graph
from stoker.core.duration import SECOND
from stoker.core.graph import Defaults, KindSpec, NodeSpec, Retry
from stoker.core.model import GRACE, Task
from stoker.core.options import options
from stoker.core.retry import policy
from stoker.core.states import TaskState, Verb
from stoker.core.times import Times

FIXED = Retry(attempts=9, strategy="fixed", base="5s")


def desk(**options: Any) -> Desk:
    return Desk(node("a", **options))


def later(on: Desk, seconds: float) -> None:
    on.memory.now += round(seconds * SECOND)


def hold(on: Desk, held: Task) -> bool:
    told: list[bool] = []
    on.memory.batch(
        [held.id], lambda fold: told.append(fold.hold(fold.tasks[held.id], held.attempt, held.session or 0))
    )
    return told[0]


# --- which end comes first ---


@pytest.mark.parametrize(
    ("times", "offer", "attempt", "total"),
    [
        (Times(), None, None, None),
        (Times(attempt=5), None, 15, None),
        (Times(queue=5), 15, None, None),
        (Times(total=5), 15, 15, 15),
        (Times(attempt=7, queue=3, total=5), 13, 15, 15),
        (Times(attempt=3, queue=7, total=5), 15, 13, 15),
    ],
)
def test_the_earlier_of_two_ends_is_due(
    times: Times, offer: int | None, attempt: int | None, total: int | None
) -> None:
    expires_at = times.expires_at(10)
    assert (times.of_offer(10, expires_at), times.of_attempt(10, expires_at), expires_at) == (offer, attempt, total)


SAID = Defaults(
    retry=Retry(2), timeout="1s", task_timeout="2s", queue_timeout="3s", max_losses=4, losses_are_failures=True
)


@pytest.mark.parametrize(
    ("own", "retry", "times", "losses"),
    [
        ({}, Retry(2), (1, 3, 2), (4, True)),
        ({"retry": Retry(5), "timeout": "9s"}, Retry(5), (9, 3, 2), (4, True)),
        ({"task_timeout": "9s", "queue_timeout": "8s"}, Retry(2), (1, 8, 9), (4, True)),
        ({"max_losses": 1, "losses_are_failures": False}, Retry(2), (1, 3, 2), (1, False)),
    ],
)
def test_what_a_node_does_not_say_its_graph_says(own: dict[str, Any], retry: Retry, times: Any, losses: Any) -> None:
    told = options(NodeSpec(name="a", kind="one", **own), SAID, KindSpec(name="one"))
    attempt, queue, total = (each * SECOND for each in times)
    assert told.retry == policy(retry)
    assert told.times == Times(attempt=attempt, queue=queue, total=total)
    assert (told.max_losses, told.losses_are_failures) == losses


def test_where_neither_says_it_a_task_may_be_lost_twice_and_takes_its_time() -> None:
    told = options(NodeSpec(name="a", kind="one"), Defaults(), KindSpec(name="one"))
    assert (told.max_losses, told.losses_are_failures, told.times) == (3, False, Times())


# --- time ---


def test_a_task_nobody_claims_is_failed_and_counts_an_attempt_for_it() -> None:
    on = desk(queue_timeout="10s", retry=FIXED)
    later(on, 10)
    late = on.tick("expire", "a")
    assert (late.state, late.code, late.attempt, late.ended) == (TaskState.FAILED, "queue_timeout", 1, Verb.TIMEOUT)
    assert [(row.attempt, row.outcome, row.code) for row in on.memory.history] == [(1, "expired", "queue_timeout")]
    assert on.run_state == "FAILED"


@pytest.mark.parametrize("options", [{"queue_timeout": "10s"}, {"task_timeout": "10s"}])
def test_what_is_over_is_not_claimed(options: dict[str, str]) -> None:
    on = desk(**options)
    later(on, 9.999999)
    before = on.task("a")
    later(on, 0.000001)
    assert on.claim("a") == before
    on.tick("expire", "a")
    assert on.states("a") == ["FAILED"]


def test_a_claim_and_an_end_in_one_batch_leave_the_claim() -> None:
    on = desk(queue_timeout="10s")
    later(on, 9)
    task = on.task("a")

    def both(fold: Any) -> None:
        fold.claim(fold.tasks[task.id], 1, 1)
        fold.expire(fold.tasks[task.id])

    on.memory.batch([task.id], both)
    assert (on.states("a"), on.task("a").deadline) == (["LEASED"], None)


def test_an_end_and_a_claim_in_one_batch_leave_the_end() -> None:
    on = desk(queue_timeout="10s")
    later(on, 10)
    task = on.task("a")
    claimed: list[Task | None] = []

    def both(fold: Any) -> None:
        fold.expire(fold.tasks[task.id])
        claimed.append(fold.claim(fold.tasks[task.id], 1, 1))

    on.memory.batch([task.id], both)
    assert (claimed, on.states("a")) == ([None], ["FAILED"])


def test_a_delay_does_not_count_for_the_queue_but_for_the_whole() -> None:
    on = desk(queue_timeout="10s", task_timeout="1h", retry=Retry(attempts=9, base="5m"))
    begun = on.memory.now
    on.fail("a")
    assert on.task("a").deadline == begun + 3_600 * SECOND
    later(on, 300)
    assert on.tick("due", "a").deadline == on.memory.now + 10 * SECOND


@pytest.mark.parametrize("waits", [True, False])
def test_a_whole_task_is_over_for_good_wherever_it_stands(waits: bool) -> None:
    on = desk(task_timeout="10s", timeout="1h", retry=FIXED)
    if not waits:
        on.claim("a")
    later(on, 10)
    late = on.tick("expire", "a")
    assert (late.state, late.code, late.failures) == (TaskState.FAILED, "task_timeout", 1)


def test_a_revived_attempt_ends_with_its_task() -> None:
    on = desk(timeout="20s", task_timeout="30s", retry=FIXED)
    begun = on.memory.now
    later(on, 15)
    held = on.claim("a")
    on.tick("lose", "a")
    assert hold(on, held)
    assert on.task("a").deadline == begun + 30 * SECOND


def test_an_expired_task_takes_no_report_of_its_lost_attempt() -> None:
    on = desk(queue_timeout="10s")
    held = on.claim("a")
    on.tick("lose", "a")
    later(on, 10)
    on.tick("expire", "a")
    assert on.report("complete", held, []).status == "stale"
    assert not hold(on, held)


# --- losses that are failures, attempts that are spent ---


def test_a_loss_that_is_a_failure_waits_and_a_revive_takes_all_of_it_back() -> None:
    on = desk(losses_are_failures=True, retry=FIXED)
    held = on.claim("a")
    lost = on.tick("lose", "a")
    assert (lost.failures, lost.losses, lost.due_at) == (1, 1, on.memory.now + 5 * SECOND)
    later(on, 5)
    assert on.tick("due", "a").due_at is None
    assert hold(on, held), "also once it is offered"
    assert (on.task("a").failures, on.task("a").losses, on.task("a").due_at) == (0, 0, None)


def test_a_loss_that_spends_the_retry_is_the_last() -> None:
    on = desk(losses_are_failures=True, retry=Retry(attempts=2, base=0), max_losses=9)
    on.fail("a")
    held = on.claim("a")
    assert (on.tick("lose", "a").code, on.states("a")) == ("lost", ["FAILED"])
    assert on.report("fail", held, None, retryable=True).status == "stale"


@pytest.mark.parametrize("verb", ["fail", "release", "requeue", "lose", "expire"])
def test_a_task_that_needs_more_attempts_than_its_kind_allows_is_failed(verb: str) -> None:
    kinds = {"one": KindSpec(name="one", max_attempts=2)}
    on = desk()
    on.memory = Memory(compile_graph(graph(node("a", retry=Retry(9, base=0), timeout="10s")), kinds))
    on.memory.trigger()
    on.report("release", on.claim("a"))
    assert on.states("a") == ["READY"]
    if verb == "fail":
        on.fail("a")
    elif verb in ("lose", "expire"):
        on.claim("a")
        later(on, 10)
        on.tick(verb, "a")
    else:
        on.report(verb, on.claim("a"), *([0] if verb == "requeue" else []))
    assert (on.task("a").state, on.task("a").code) == (TaskState.FAILED, "attempts_exhausted")
    assert not on.memory.retry(1)


# --- the cancel of one task ---


def cancelled(on: Desk, name: str, number: int = 0) -> Task:
    return on.tick("cancel", name, number)


def test_a_ready_task_is_cancelled_as_a_failure_of_its_joins() -> None:
    on = Desk(node("a"), node("b"), node("j", join("a", "b")))
    task = cancelled(on, "a")
    assert (task.state, task.code, task.attempt, task.ended) == (TaskState.CANCELLED, "cancelled", 1, Verb.CANCEL)
    on.complete("b")
    assert (on.states("j"), on.run_state) == (["SKIPPED"], "FAILED")


@pytest.mark.parametrize("verb", ["fail", "release", "prune", "lose", "expire"])
def test_whatever_ends_a_cancelled_attempt_cancels_it(verb: str) -> None:
    on = Desk(node("a", timeout="1s", retry=FIXED), node("j", join("a", policy="all_done")))
    held = on.claim("a")
    cancelled(on, "a")
    later(on, 1)
    if verb in ("lose", "expire"):
        on.tick(verb, "a")
    else:
        arguments = {"fail": ([None], {"retryable": True}), "prune": ([""], {})}.get(verb, ([], {}))
        on.report(verb, held, *arguments[0], **arguments[1])
    assert (on.states("a"), on.states("j")) == (["CANCELLED"], ["READY"])
    assert not hold(on, held), "no revive once it was requested"
    on.complete("j")
    assert on.run_state == "FAILED"


def test_a_complete_after_the_cancel_succeeds_and_unlocks() -> None:
    on = Desk(node("a"), node("b", after("a")))
    held = on.claim("a")
    cancelled(on, "a")
    on.report("complete", held, [_body()])
    assert (on.states("a"), on.states("b"), on.task("a").withheld) == (["SUCCEEDED"], ["READY"], False)


def _body() -> Any:
    from stoker.core.picture import Body

    return Body(b"1")


def test_a_cancelled_attempt_has_its_grace_and_no_more() -> None:
    on = desk()
    on.claim("a")
    asked = cancelled(on, "a")
    assert asked.deadline == on.memory.now + GRACE
    later(on, 1)
    assert cancelled(on, "a") == asked, "asked again, the grace does not begin anew"
    on.memory.now = (asked.deadline or 0) - 1
    assert on.tick("expire", "a") == asked
    on.memory.now += 1
    assert (on.tick("expire", "a").code, on.states("a")) == ("unconfirmed", ["CANCELLED"])


# --- a run that stops at its first failure ---


def test_the_first_failure_stops_the_run_which_failed() -> None:
    on = Desk(node("a"), node("b"), node("j", join("a", "b")), on_failure="stop")
    held = on.claim("b")
    on.fail("a")
    run = on.memory.runs[1]
    assert (run.stopping.name, run.cancel_at, run.state.name) == ("FAILURE", on.memory.now, "RUNNING")
    on.report("complete", held, [_body()])
    assert (on.task("b").withheld, on.states("j"), on.run_state) == (True, [], "FAILED")


def test_a_tolerated_failure_and_a_pruned_task_stop_nothing() -> None:
    on = Desk(node("a", tolerated=True), node("b"), node("c"), on_failure="stop")
    on.fail("a")
    on.prune("b")
    on.complete("c")
    assert on.run_state == "SUCCEEDED"


def test_the_cancel_of_a_task_stops_the_run_too() -> None:
    on = Desk(node("a"), node("b"), on_failure="stop")
    cancelled(on, "a")
    on.tick("sweep", "b")
    assert (on.run_state, on.states("b")) == ("FAILED", ["CANCELLED"])
    assert (on.task("a").cancel_at is None, on.task("b").cancel_at is None) == (False, True), "which came first shows"


def test_a_cancel_of_the_run_that_came_first_stays_its_end() -> None:
    on = Desk(node("a"), node("b"), on_failure="stop")
    held = on.claim("a")
    on.stop()
    on.report("release", held)
    on.tick("sweep", "b")
    assert on.run_state == "CANCELLED"
