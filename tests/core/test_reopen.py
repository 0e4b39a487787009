"""What a manual retry of a run brings back, and what stays as it was decided."""

from __future__ import annotations

from core.oracle import check, check_end
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
    plan = reopen(on.memory.graph, 1, list(on.memory.tasks.values()), on.memory.rows, [], [on.task("a")])
    assert [on.memory.graph.nodes[key.join].name for key in plan.fired] == ["j"]
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


def test_what_nobody_runs_is_not_offered_by_a_retry() -> None:
    on = Desk(node("a"), node("i", after("a", ()), kind=ITEM_KIND), node("b", after("i", ("no",))))
    on.complete("a", value=[3])
    assert (on.states("i"), on.run_state) == (["FAILED"], "FAILED")
    assert not on.memory.retry(1)


def test_a_list_that_could_not_be_had_is_looked_up_again() -> None:
    """What stood FAILED for the tasks that were never made belongs to the past; what stands there now is another."""
    on = Desk(
        node("a"), node("e", after("a"), expand=Expand(over=Ref(node="a", path=("parts",)))), node("j", join("e"))
    )
    on.complete("a", value=[3])
    first = on.task("e")
    assert (on.states("e"), on.states("j"), on.run_state) == (["FAILED"], ["SKIPPED"], "FAILED")
    assert on.memory.retry(1, first.id)
    assert (on.states("e"), on.states("j"), on.run_state) == (["FAILED"], ["SKIPPED"], "FAILED")
    assert (on.task("e").generation, on.task("e").code) == (1, "binding")
    assert list(on.memory.past.values()) == [first]
    check(on.memory)


def test_a_join_whose_list_could_not_be_had_is_decided_anew() -> None:
    on = Desk(
        node("a"),
        node("j", join("a"), expand=Expand(over=Ref(node="a", path=("parts",)))),
        node("k", join("j", policy="all_done")),
    )
    on.complete("a", value={"parts": 3})
    on.complete("k")
    assert (on.states("j"), on.run_state) == (["FAILED"], "FAILED")
    assert on.memory.retry(1)
    assert (on.states("j"), on.states("k"), on.run_state) == (["FAILED"], ["SUCCEEDED"], "FAILED")
    check(on.memory)


def test_a_re_run_makes_what_fired_without_a_task_in_the_next_generation() -> None:
    on = Desk(
        node("a"),
        node("b", after("a", ()), tolerated=True),
        node("j", join("b", anchor="a"), bind={"all": Ref(node="b", many=True)}),
        node("k", after("j")),
        node("l", join("k")),
    )
    on.complete("a", value=[1, 2])
    on.complete("b", 0, value="first")
    on.fail("b", 1)
    for name in ("j", "k", "l"):
        on.complete(name)
    assert on.run_state == "SUCCEEDED"
    before = [on.task(name) for name in ("j", "k", "l")]
    assert on.memory.retry(1, on.task("b", 1).id, rerun=True)
    assert (on.run_state, on.states("j"), on.states("k"), on.states("l")) == ("RUNNING", [], [], [])
    assert sorted(task.id for task in on.memory.past.values()) == [task.id for task in before]
    check(on.memory)
    on.complete("b", 1, value="second")
    assert on.memory.gathered[on.task("j").id, "b"] == [b'"first"', b'"second"']
    for name in ("j", "k", "l"):
        on.complete(name)
    assert [on.task(name).generation for name in ("a", "b", "j", "k", "l")] == [0, 0, 1, 1, 1]
    assert on.run_state == "SUCCEEDED"
    check_end(on.memory)


def test_a_re_run_below_a_re_run_counts_on() -> None:
    on = Desk(
        node("a", tolerated=True),
        node("j", join("a", policy="all_done")),
        node("b", after("j"), tolerated=True),
        node("k", join("b", anchor="j", policy="all_done")),
    )
    on.fail("a")
    on.complete("j")
    on.prune("b")
    on.complete("k")
    assert on.memory.retry(1, on.task("b").id, rerun=True)
    on.prune("b")
    on.complete("k")
    assert (on.task("j").generation, on.task("b").generation, on.task("k").generation) == (0, 0, 1)
    assert on.memory.retry(1, on.task("a").id, rerun=True)
    on.complete("a")
    on.complete("j")
    on.complete("b")
    on.complete("k")
    assert (on.task("j").generation, on.task("b").generation, on.task("k").generation) == (2, 2, 2)
    check_end(on.memory)


def test_nothing_is_re_run_while_something_below_is_not_settled() -> None:
    on = Desk(node("a", tolerated=True), node("j", join("a", policy="all_done")))
    on.fail("a")
    assert not on.memory.retry(1, on.task("a").id, rerun=True)
    assert on.states("j") == ["READY"]
    on.complete("j")
    assert on.memory.retry(1, on.task("a").id, rerun=True)


def test_a_retry_while_the_run_goes_on_leaves_the_rest_alone() -> None:
    on = Desk(node("a"), node("b"), node("c"), node("j", join("a", "b")), node("k", join("j", "c")))
    on.fail("a")
    held = on.claim("c")
    on.complete("b")
    assert (on.states("j"), on.states("k"), on.run_state) == (["SKIPPED"], [], "RUNNING")
    assert on.memory.retry(1, on.task("a").id)
    assert (on.states("j"), on.states("a"), on.task("c")) == ([], ["READY"], held)
    check(on.memory)
    for name in ("a", "j"):
        on.complete(name)
    on.report("complete", held, [Body(b"1")])
    on.complete("k")
    check_end(on.memory)
    assert on.run_state == "SUCCEEDED"


def test_a_pruned_task_opens_the_joins_that_were_pruned_with_it() -> None:
    on = Desk(node("a"), node("j", join("a")), node("k", join("j")))
    on.prune("a")
    assert (on.states("k"), on.run_state) == (["SKIPPED"], "SUCCEEDED")
    assert on.memory.retry(1, on.task("a").id)
    for name in ("a", "j", "k"):
        on.complete(name)
    check_end(on.memory)
    assert on.run_state == "SUCCEEDED"


def test_what_fired_behind_a_join_that_is_open_again_is_run_again_too() -> None:
    on = Desk(node("a"), node("b"), node("j", join("a", "b")), node("k", join("j", policy="all_done")))
    on.fail("a")
    on.fail("b")
    on.complete("k")
    assert on.memory.retry(1, on.task("a").id)
    assert (on.states("j"), on.states("k")) == ([], ["SUCCEEDED"])
    assert on.memory.retry(1, on.task("b").id, rerun=True)
    assert on.states("k") == []
    for name in ("a", "b", "j", "k"):
        on.complete(name)
    assert (on.task("k").generation, on.run_state) == (1, "SUCCEEDED")
