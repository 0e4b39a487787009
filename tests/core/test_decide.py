"""What one batch unlocks, counts and ends. The join rule itself is in `test_join_rule.py`."""

from __future__ import annotations

import copy

import pytest

from core.memory import Memory
from core.samples import Desk, after, compiled, join, node
from stoker.core import decide, settle, unlock
from stoker.core.branch import step
from stoker.core.decide import Fold
from stoker.core.graph import ITEM_KIND, Expand, InputSpec, Ref, Retry, RunInput, Value
from stoker.core.model import ELEMENT_INLINE, GRACE, JoinState, Run
from stoker.core.picture import Body, Want
from stoker.core.protocol import ErrorInfo
from stoker.core.states import RunState, TaskState, Verb
from stoker.core.values import encode

# --- unlocking ---


def test_a_trigger_makes_the_first_tasks() -> None:
    on = Desk(node("a"), node("b"), node("c", after("a")))
    assert (on.states("a"), on.states("b"), on.states("c")) == (["READY"], ["READY"], [])
    assert (on.run_state, on.memory.runs[1].open, on.memory.runs[1].tasks) == ("RUNNING", 2, 2)


def test_each_item_and_each_element_makes_one_task() -> None:
    on = Desk(node("a", kind="many"), node("b", after("a")), node("c", after("a", ("parts",))))
    on.complete("a", items=[{"parts": [7, 8]}, {"parts": []}, {"parts": [9]}])
    assert [task.branch for task in on.memory.named("b")] == [step(0), step(1), step(2)]
    assert [(task.branch, task.element) for task in on.memory.named("c")] == [
        (step(0) + step(0), b"7"),
        (step(0) + step(1), b"8"),
        (step(2) + step(0), b"9"),
    ]
    assert {task.parent for task in on.memory.named("b")} == {on.task("a").id}


def test_a_large_element_is_not_copied_into_its_task() -> None:
    on = Desk(node("a"), node("b", after("a", ())))
    on.complete("a", value=["x" * (ELEMENT_INLINE - 2), "x" * (ELEMENT_INLINE - 1)])
    assert [task.element is None for task in on.memory.named("b")] == [False, True]


def test_a_task_without_items_makes_nothing_below_it() -> None:
    on = Desk(node("a", kind="many"), node("b", after("a")))
    on.complete("a", items=[])
    assert (on.states("b"), on.run_state) == ([], "SUCCEEDED")


@pytest.mark.parametrize("end", ["fail", "prune"])
def test_below_a_task_that_did_not_succeed_nothing_is_made(end: str) -> None:
    on = Desk(node("a"), node("b", after("a")), node("j", join("b", anchor="a")))
    getattr(on, end)("a")
    assert (on.states("b"), on.states("j"), on.memory.rows) == ([], [], {})
    assert on.run_state == ("FAILED" if end == "fail" else "SUCCEEDED")


def test_more_items_than_the_limit_are_a_failure_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide, "MAX_ITEMS", 3)
    on = Desk(node("a", kind="many", retry=Retry(attempts=9, base=0)), node("b", after("a", ())))
    receipt = on.complete("a", items=[[1], [], [], []])
    assert (receipt.status, receipt.message) == ("invalid", "it would make 4 tasks at once; the limit is 3")
    assert on.complete("a", items=[[1, 2], [3, 4]]).message == "it would make 4 tasks at once; the limit is 3"
    assert on.complete("a", items=[[1, 2], [3]]).status == "accepted"


def test_a_run_has_a_limit_of_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide, "MAX_TASKS", 3)
    on = Desk(node("a"), node("b", after("a", ())))
    receipt = on.complete("a", value=[1, 2, 3])
    assert (receipt.status, receipt.message) == ("invalid", "the run would have more than 3 tasks")
    assert (on.task("a").code, on.states("b")) == ("limit", [])


# --- inline tasks ---


def test_an_inline_task_settles_with_its_element_in_the_same_batch() -> None:
    on = Desk(node("a"), node("i", after("a", ()), kind=ITEM_KIND), node("b", after("i"), bind={"x": Ref(node="i")}))
    on.complete("a", value=[{"k": 1}, "x" * 2000])
    assert on.states("i") == ["SUCCEEDED", "SUCCEEDED"]
    assert [on.memory.items[key] for key in sorted(on.memory.items)][1:] == [b'{"k":1}', encode("x" * 2000)]
    assert on.states("b") == ["READY", "READY"]
    assert on.memory.runs[1].open == 2


def test_an_inline_element_that_cannot_be_expanded_fails_alone() -> None:
    on = Desk(
        node("a"),
        node("i", after("a", ()), kind=ITEM_KIND),
        node("b", after("i", ("parts",))),
        node("j", join("b", anchor="a", policy="all_done")),
    )
    assert on.complete("a", value=[{"parts": [1]}, {"parts": 3}]).status == "accepted"
    assert on.states("i") == ["SUCCEEDED", "FAILED"]
    assert on.task("i", 1).code == "invalid_output"
    assert "expands its element, but what is at $.parts is not a list" in on.memory.history[-1].message
    on.complete("b")
    on.complete("j")
    assert on.run_state == "FAILED"


def test_a_long_chain_of_inline_nodes_settles_without_recursion() -> None:
    names = [f"i{number}" for number in range(2_000)]
    chain = [node(name, after(names[at - 1]) if at else None, kind=ITEM_KIND) for at, name in enumerate(names)]
    on = Desk(*chain, node("end", after(names[-1])))
    assert on.states("end") == ["READY"]
    assert on.memory.runs[1].open == 1


def test_inline_tasks_that_multiply_stay_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unlock, "MAX_TASKS", 20)
    on = Desk(
        node("a"), node("i", after("a", ()), kind=ITEM_KIND), node("k", after("i", ()), kind=ITEM_KIND), node("b")
    )
    on.complete("a", value=[[1] * 4] * 6)
    assert on.memory.runs[1].tasks == 20
    assert sorted(task.code for task in on.memory.named("i")) == ["", "", "", "limit", "limit", "limit"]


# --- a node's own expand ---


def test_a_node_with_its_own_expand_makes_a_task_per_element() -> None:
    on = Desk(node("a", expand=Expand(over=Value(value=["x", "y"]))), node("j", join("a")))
    assert [(task.branch, task.element) for task in on.memory.named("a")] == [(step(0), b'"x"'), (step(1), b'"y"')]
    on.complete("a", 0)
    assert on.states("j") == []
    on.complete("a", 1)
    assert on.states("j") == ["READY"]


def test_an_own_expand_over_nothing_lets_the_join_fire_with_nothing() -> None:
    on = Desk(node("a", expand=Expand(over=Value(value=[]))), node("j", join("a")))
    assert (on.states("a"), on.states("j")) == ([], ["READY"])
    assert on.complete("j").status == "accepted"
    assert on.run_state == "SUCCEEDED"


def test_a_run_of_nothing_succeeds_at_once() -> None:
    assert Desk(node("a", expand=Expand(over=Value(value=[])))).run_state == "SUCCEEDED"


@pytest.mark.parametrize("policy", ["all_success", "all_done"])
def test_an_own_expand_without_a_list_fails_the_node_before_it_is_offered(policy: str) -> None:
    on = Desk(
        node("a"),
        node("b", after("a"), expand=Expand(over=Ref(node="a", path=("parts",)))),
        node("j", join("b", anchor="a", policy=policy)),
    )
    on.complete("a", value={})
    assert (on.states("b"), on.task("b").code) == (["FAILED"], "binding")
    assert on.memory.history[-1].message == "there is nothing at $.parts"
    assert on.states("j") == (["SKIPPED"] if policy == "all_success" else ["READY"])


def test_a_join_with_its_own_expand_gathers_first_and_fans_out_then() -> None:
    on = Desk(
        node("a"),
        node("b", after("a", ())),
        node("j", join("b"), expand=Expand(over=Ref(node="b", many=True))),
        node("k", join("j")),
    )
    on.complete("a", value=[1, 2])
    on.complete("b", 1, value="second")
    on.complete("b", 0, value="first")
    assert [task.element for task in on.memory.named("j")] == [b'"first"', b'"second"']
    on.complete("j", 0)
    assert on.states("k") == []
    on.complete("j", 1)
    assert on.states("k") == ["READY"]


def test_an_expand_beyond_the_limit_fails_the_node_and_names_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "MAX_ITEMS", 2)
    on = Desk(node("a", expand=Expand(over=Value(value=[1, 2, 3]))), node("j", join("a", policy="all_done")))
    assert (on.states("a"), on.task("a").code, on.states("j")) == (["FAILED"], "limit", ["READY"])
    assert "would make 3 tasks; the limits are 2 at once" in on.memory.history[-1].message


# --- single items that a join cannot do without ---


def test_a_join_without_an_item_that_it_is_bound_to_is_skipped() -> None:
    on = Desk(
        node("a"),
        node("b", after("a")),
        node("c", after("a")),
        node("j", join("b", "c", anchor="a"), bind={"b": Ref(node="b")}),
        node("k", join("b", "c", anchor="a"), bind={"b": Ref(node="b", optional=True)}),
    )
    on.complete("a")
    on.prune("b")
    on.complete("c")
    assert (on.states("j"), on.task("j").code, on.states("k")) == (["SKIPPED"], "input_missing: b", ["READY"])
    on.complete("k")
    assert on.run_state == "SUCCEEDED"


def test_a_missing_item_is_seen_behind_a_join_that_fires_in_any_case() -> None:
    on = Desk(
        node("a"),
        node("b", after("a"), tolerated=True),
        node("k", join("b", anchor="a", policy="all_done")),
        node("j", join("k", anchor="a"), bind={"b": Ref(node="b")}),
    )
    on.complete("a")
    on.fail("b")
    on.complete("k")
    assert (on.states("j"), on.task("j").code, on.run_state) == (["SKIPPED"], "input_missing: b", "SUCCEEDED")


def test_an_own_expand_over_a_missing_item_skips_the_join() -> None:
    over = Expand(over=Ref(node="b", path=("parts",)))
    on = Desk(node("a"), node("b", after("a")), node("j", join("b", anchor="a", policy="all_done"), expand=over))
    on.complete("a")
    on.prune("b")
    assert (on.states("j"), on.task("j").code, on.run_state) == (["SKIPPED"], "input_missing: expand", "SUCCEEDED")


# --- joins ---


@pytest.mark.parametrize(
    ("ends", "all_success", "all_done"),
    [
        (("complete", "complete"), "READY", "READY"),
        (("complete", "prune"), "READY", "READY"),
        (("prune", "prune"), "SKIPPED pruned", "READY"),
        (("complete", "fail"), "SKIPPED failed", "READY"),
        (("prune", "fail"), "SKIPPED failed", "READY"),
    ],
)
def test_what_becomes_of_a_join(ends: tuple[str, str], all_success: str, all_done: str) -> None:
    on = Desk(node("a"), node("b"), node("strict", join("a", "b")), node("lenient", join("a", "b", policy="all_done")))
    for name, end in zip("ab", ends, strict=True):
        getattr(on, end)(name)
    assert f"{on.task('strict').state.name} {on.task('strict').code}".strip() == all_success
    assert on.states("lenient") == [all_done]


def test_a_tolerated_failure_counts_as_pruned() -> None:
    on = Desk(node("a", tolerated=True), node("b"), node("j", join("a", "b")), node("k", join("a")))
    on.fail("a")
    on.complete("b")
    assert (on.states("j"), on.task("k").code) == (["READY"], "pruned")
    on.complete("j")
    assert on.run_state == "SUCCEEDED"


def test_a_join_skipped_for_a_failure_fails_the_next_and_one_skipped_for_prunes_does_not() -> None:
    for end, code in (("fail", "failed"), ("prune", "pruned")):
        on = Desk(node("a"), node("b"), node("j", join("a")), node("k", join("j", "b")))
        on.complete("b")
        getattr(on, end)("a")
        assert on.task("j").code == code
        assert on.states("k") == (["SKIPPED"] if end == "fail" else ["READY"])


def test_a_batch_is_folded_before_any_join_is_decided() -> None:
    """Reports of one batch that end one member and make another must not let the join slip through in between."""
    on = Desk(node("a"), node("b", after("a", ())), node("j", join("b")))
    on.complete("a", value=[1, 2])
    held = [on.claim("b", number) for number in (0, 1)]

    def both(fold: Fold) -> None:
        for task in held:
            assert fold.complete(task.id, task.attempt, task.session or 0, [Body(b"1")]).status == "accepted"
            assert on.states("j") == []

    on.memory.batch([task.id for task in held], both)
    assert on.states("j") == ["READY"]
    (row,) = on.memory.rows.values()
    assert (row.open, row.members, row.arrived, row.state) == (0, 3, 2, JoinState.FIRED)


def test_a_decided_row_is_written_once_and_stays() -> None:
    on = Desk(node("a"), node("b"), node("j", join("a")), node("k", join("j", "b")))
    on.complete("a")
    rows = copy.deepcopy(on.memory.rows)
    on.complete("b")
    changed = [key for key in rows if rows[key] != on.memory.rows[key]]
    assert [on.memory.graph.nodes[key.join].name for key in changed] == ["k"]


# --- a run's end and its cancel ---


def test_a_run_fails_for_a_failure_that_nobody_tolerates() -> None:
    on = Desk(node("a"), node("b"))
    on.fail("a")
    assert on.run_state == "RUNNING"
    on.complete("b")
    assert on.run_state == "FAILED"
    assert on.memory.runs[1].ended_at == on.memory.now


def test_a_cancel_is_carried_out_at_once_for_what_waits_and_after_the_grace_for_what_runs() -> None:
    on = Desk(node("a"), node("b"), node("j", join("a", "b", policy="all_done")))
    on.claim("a")
    on.stop()
    assert on.tick("sweep", "b").state is TaskState.CANCELLED
    assert on.task("b").attempt == 1
    assert on.tick("sweep", "a").state is TaskState.LEASED
    on.memory.now += GRACE
    swept = on.tick("sweep", "a")
    assert (swept.state, swept.code, on.run_state) == (TaskState.CANCELLED, "unconfirmed", "CANCELLED")
    assert on.states("j") == []


@pytest.mark.parametrize("verb", ["fail", "release", "requeue", "prune", "lose", "expire"])
def test_once_a_cancel_was_requested_every_end_but_a_complete_is_cancelled(verb: str) -> None:
    on = Desk(node("a", timeout="1s", retry=Retry(attempts=9)))
    held = on.claim("a")
    on.stop()
    on.memory.now += 1_000_000
    if verb in ("lose", "expire"):
        on.tick(verb, "a")
    else:
        arguments = {"fail": (ErrorInfo(message="no"),), "requeue": (5,), "prune": ("why",)}.get(verb, ())
        options = {"retryable": True} if verb == "fail" else {}
        assert on.report(verb, held, *arguments, **options).status == "accepted"
    assert (on.states("a"), on.run_state) == (["CANCELLED"], "CANCELLED")


def test_a_release_after_a_stop_keeps_with_the_attempt_what_ended_its_code() -> None:
    on = Desk(node("a"))
    held = on.claim("a")
    on.report("release", held, "terminated")  # its runner was shut down
    assert (on.task("a").state, on.task("a").code) == (TaskState.READY, "")
    held = on.claim("a")
    on.stop()
    for _ in range(2):  # a repeat says nothing new
        assert on.report("release", held, "killed").status == "accepted"
    assert (on.task("a").state, on.task("a").code) == (TaskState.CANCELLED, "killed")
    told = [(ended.attempt, ended.outcome, ended.code, ended.message) for ended in on.memory.history]
    assert told == [
        (1, "released", "terminated", "its code was told to stop and its process ended after SIGTERM"),
        (2, "cancelled", "killed", "its code was told to stop and its process ended by SIGKILL"),
    ]


def test_a_complete_after_a_cancel_is_kept_and_unlocks_nothing() -> None:
    on = Desk(node("a"), node("b", after("a")), node("j", join("b", anchor="a")))
    held = on.claim("a")
    on.stop()
    assert on.report("complete", held, [Body(b"1")]).status == "accepted"
    assert (on.states("a"), on.states("b"), on.memory.rows) == (["SUCCEEDED"], [], {})
    assert on.task("a").withheld
    assert len(on.memory.items) == 1
    assert on.run_state == "CANCELLED"


def test_a_stopping_run_hands_out_nothing_and_revives_nothing() -> None:
    on = Desk(node("a"), node("b"))
    held = on.claim("a")
    on.tick("lose", "a")
    on.stop()
    assert on.report("complete", held, [Body(b"1")]).status == "stale"
    task = on.task("b")
    told: list[object] = []
    on.memory.batch([task.id], lambda fold: told.append(fold.claim(fold.tasks[task.id], 1, 1)))
    assert told == [None]
    assert on.states("b") == ["READY"]


def test_a_second_cancel_does_not_extend_the_grace() -> None:
    on = Desk(node("a"))
    on.claim("a")
    on.stop()
    asked = on.memory.runs[1].cancel_at
    on.memory.now += 5
    on.stop()
    assert on.memory.runs[1].cancel_at == asked


# --- order and counts ---


def test_tasks_queue_in_the_order_they_were_made_and_urgent_ones_ahead() -> None:
    on = Desk(node("a", kind="many"), node("b", after("a")), node("c", after("a"), priority=9))
    on.complete("a", items=[1, 2, 3])
    orders = [task.order_at for task in on.memory.named("b")]
    assert orders == sorted(set(orders))
    assert max(task.order_at for task in on.memory.named("c")) < min(orders)


def test_two_runs_take_turns() -> None:
    """The second run's first task comes before the last of the first run's many."""
    graph = compiled(node("a", expand=Expand(over=Value(value=[0] * 50))))
    memory = Memory(graph)
    for _ in range(2):
        memory.trigger()
    first, second = ([task for task in memory.tasks.values() if task.run == run] for run in (1, 2))
    assert second[0].order_at < first[-1].order_at


def test_priorities_of_run_and_node_add_up_within_their_bounds() -> None:
    for run_priority, node_priority, together in ((5, 5, 5), (9, 9, 9), (0, 0, 0), (7, 4, 6)):
        fold = Fold(now=1, next_id=iter(range(1, 9)).__next__, dice=lambda: 0.0)
        run = Run(id=1, namespace=1, version=1, priority=run_priority)
        fold.trigger(run, compiled(node("a", priority=node_priority)))
        assert [task.priority for task in fold.tasks.values()] == [together]


def test_a_node_that_stands_once_has_no_counts() -> None:
    on = Desk(node("a", kind="many"), node("b", after("a")))
    on.complete("a", items=[1, 2])
    on.complete("b", 0)
    on.fail("b", 1)
    b = on.memory.graph.names["b"]
    assert on.memory.counts == {(1, b): [2, 1, 1, 0, 0, 0]}


def test_a_fold_says_which_queues_got_work() -> None:
    fold = Fold(now=1, next_id=iter(range(1, 9)).__next__, dice=lambda: 0.0)
    graph = compiled(node("a"), node("b"), node("i", kind=ITEM_KIND))
    fold.trigger(Run(id=1, namespace=1, version=1), graph)
    assert fold.lanes == {0: 2}
    assert fold.new_runs == {1}


def test_a_run_does_not_end_while_something_is_looked_up() -> None:
    fold = Fold(now=1, next_id=iter(range(1, 9)).__next__, dice=lambda: 0.0)
    run = Run(id=1, namespace=1, version=1)
    over = Expand(over=RunInput(name="xs"))
    fold.trigger(run, compiled(node("a", expand=over), inputs={"xs": InputSpec()}))
    fold.settle_joins()
    assert (run.state, fold.ended_runs) == (RunState.RUNNING, set())
    assert fold.wants == [Want("expand", 1, 0, b"", None)]
    (want,) = fold.wants
    fold.wants = []
    fold.expanded(want, [])
    fold.settle_joins()
    assert (run.state, fold.ended_runs) == (RunState.SUCCEEDED, {1})


def test_the_fold_refuses_to_leave_a_settled_state() -> None:
    on = Desk(node("a"))
    on.complete("a")
    with pytest.raises(AssertionError, match="a task that is SUCCEEDED cannot become FAILED"):
        on.memory.batch([1], lambda fold: fold._settle(fold.tasks[1], TaskState.FAILED, Verb.FAIL))


def test_what_a_fold_keeps_lies_in_slots() -> None:
    """One class without them would bring the dict back, and with it a slower way to every attribute."""
    assert not hasattr(Fold(now=0, next_id=lambda: 1, dice=lambda: 0.0), "__dict__")
