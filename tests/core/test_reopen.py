"""What a manual retry of a run brings back, and what stays as it was decided."""

from __future__ import annotations

from core.samples import Desk, after, join, node
from stoker.core.graph import ITEM_KIND, Expand, Ref, Retry
from stoker.core.model import GRACE
from stoker.core.picture import Body
from stoker.core.reopen import reopen


def test_a_retry_gives_failed_tasks_their_whole_policy_again() -> None:
    on = Desk(node("a", retry=Retry(attempts=2, base=0), max_losses=2))
    on.claim("a")
    on.tick("lose", "a")
    on.fail("a")
    on.fail("a")
    assert on.run_state == "FAILED"
    assert on.memory.retry(1)
    task = on.task("a")
    assert (task.state.name, task.failures, task.losses, task.code, task.settled_at) == ("READY", 0, 0, "", None)
    assert (on.run_state, task.attempt) == ("RUNNING", 3)
    on.complete("a")
    assert on.run_state == "SUCCEEDED"


def test_joins_skipped_for_a_failure_open_again_and_are_decided_anew() -> None:
    on = Desk(
        node("a"),
        node("b", after("a", ())),
        node("j", join("b", anchor="a"), bind={"all": Ref(node="b", many=True)}),
        node("k", join("j")),
    )
    on.complete("a", value=[1, 2])
    on.complete("b", 0, value="first")
    on.fail("b", 1)
    assert (on.states("j"), on.states("k"), on.run_state) == (["SKIPPED"], ["SKIPPED"], "FAILED")
    assert on.memory.retry(1)
    assert (on.states("j"), on.states("k")) == ([], [])
    on.complete("b", 1, value="second")
    assert on.memory.gathered[on.task("j").id, "b"] == [b'"first"', b'"second"']
    on.complete("j")
    on.complete("k")
    assert on.run_state == "SUCCEEDED"


def test_a_join_that_has_fired_never_fires_again_and_is_named() -> None:
    on = Desk(node("a"), node("j", join("a", policy="all_done")))
    on.fail("a")
    on.complete("j")
    states = {key: row.state for key, row in on.memory.rows.items()}
    plan = reopen(on.memory.graph, 1, list(on.memory.tasks.values()), states, [])
    assert plan.fired == ["j"]
    assert on.memory.retry(1)
    on.complete("a")
    assert (on.states("j"), on.run_state) == (["SUCCEEDED"], "SUCCEEDED")


def test_a_retry_of_a_cancelled_run_goes_on_where_the_cancel_met_it() -> None:
    on = Desk(node("a"), node("b"), node("c", after("b")), node("j", join("a", "c")))
    held = on.claim("b")
    on.stop()
    on.report("complete", held, [Body(b"1")])
    on.tick("sweep", "a")
    assert (on.run_state, on.states("a"), on.states("c")) == ("CANCELLED", ["CANCELLED"], [])
    assert on.memory.retry(1)
    assert (on.states("a"), on.states("c"), on.task("b").withheld) == (["READY"], ["READY"], False)
    on.complete("a")
    on.complete("c")
    on.complete("j")
    assert on.run_state == "SUCCEEDED"


def test_an_attempt_cut_off_by_a_cancel_is_fenced_after_the_retry() -> None:
    on = Desk(node("a"))
    held = on.claim("a")
    on.stop()
    on.memory.now += GRACE
    on.tick("sweep", "a")
    assert on.memory.retry(1)
    assert on.report("complete", held, [Body(b"1")]).status == "stale"
    assert on.states("a") == ["READY"]


def test_a_run_without_failures_has_nothing_to_retry() -> None:
    on = Desk(node("a"), node("b", after("a")))
    on.complete("a")
    on.prune("b")
    assert not on.memory.retry(1)
    assert on.run_state == "SUCCEEDED"


def test_what_nobody_could_run_is_not_offered_by_a_retry() -> None:
    """An inline task that failed, and an own expand that found no list, fail again for the same reason."""
    on = Desk(
        node("a"),
        node("i", after("a", ()), kind=ITEM_KIND),
        node("b", after("i", ())),
        node("e", after("a"), expand=Expand(over=Ref(node="a", path=("parts",)))),
    )
    on.complete("a", value=[3])
    assert (on.states("i"), on.states("e"), on.run_state) == (["FAILED"], ["FAILED"], "FAILED")
    assert not on.memory.retry(1)
