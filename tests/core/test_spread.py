"""Wide fan-out: a settle counts all its children and makes the first of them; spread rows stand for the others."""

from __future__ import annotations

import pytest

from core.oracle import check
from core.samples import Desk, after, join, node
from stoker.core import unlock
from stoker.core.branch import step
from stoker.core.decide import Fold
from stoker.core.graph import ITEM_KIND, Expand, Ref, Value
from stoker.core.model import ELEMENT_INLINE, Spread
from stoker.core.spread import places_of, standing
from stoker.core.states import TaskState
from stoker.core.values import encode


@pytest.fixture(autouse=True)
def _pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unlock, "SLICE", 2)


def rows(on: Desk) -> list[Spread]:
    return sorted(on.memory.spreads.values(), key=lambda row: row.id)


def act(on: Desk, row: Spread, verb: str) -> dict[int, int]:
    """One verb on a row; gives how many tasks it offered, by lane."""
    fold = on.memory.fold()
    on.memory.load_spreads(fold, [row.id])
    getattr(fold, verb)(fold.spreads[row.id])
    on.memory.conclude(fold)
    check(on.memory)
    return fold.lanes


def fan(count: int, **options: object) -> Desk:
    """A node with so many children below it and a join over them; the first node has settled."""
    on = Desk(node("a"), node("b", after("a", ()), **options), node("j", join("b", anchor="a")))
    on.complete("a", value=list(range(count)))
    check(on.memory)
    return on


def test_a_settle_makes_the_first_children_and_counts_them_all() -> None:
    on = fan(5)
    b = on.memory.graph.names["b"]
    assert [task.branch for task in on.memory.named("b")] == [step(0), step(1)]
    assert [row.tasks for row in rows(on)] == [2, 1]
    assert (on.memory.runs[1].open, on.memory.runs[1].tasks) == (5, 6)
    assert on.memory.counts[1, b] == [5, 0, 0, 0, 0, 0]
    assert [(row.open, row.members) for row in on.memory.rows.values()] == [(5, 5)]


def test_as_many_children_as_one_slice_need_no_row() -> None:
    assert rows(fan(2)) == []
    assert [row.tasks for row in rows(fan(3))] == [1]


def test_a_spread_row_makes_its_children_once_and_counts_nothing_again() -> None:
    on = fan(5)
    first, second = rows(on)
    on.memory.now += 7
    assert act(on, first, "spread") == {0: 2}
    assert [(task.branch, task.element) for task in on.memory.named("b")] == [
        (step(at), encode(at)) for at in (0, 1, 2, 3)
    ]
    assert [row.id for row in rows(on)] == [second.id]
    made = on.memory.named("b")
    assert {(task.parent, task.created_at) for task in made} == {(on.task("a").id, on.memory.now - 7)}
    assert made[1].order_at < made[2].order_at < made[3].order_at
    act(on, second, "spread")
    for number in range(5):
        on.complete("b", number)
    on.complete("j")
    assert (on.run_state, on.memory.runs[1].tasks) == ("SUCCEEDED", 7)


def test_a_row_that_was_spread_in_this_batch_is_not_spread_again() -> None:
    on = fan(5)
    fold = on.memory.fold()
    on.memory.load_spreads(fold, [rows(on)[0].id])
    for _ in range(2):
        fold.spread(fold.spreads[rows(on)[0].id])
    on.memory.conclude(fold)
    assert len(on.memory.named("b")) == 4


def test_neither_join_nor_run_ends_while_a_row_stands_for_tasks() -> None:
    on = fan(3)
    on.complete("b", 0)
    on.complete("b", 1)
    assert (on.states("j"), on.run_state, on.memory.runs[1].open) == ([], "RUNNING", 1)


def test_a_row_stands_for_exactly_the_tasks_that_it_makes() -> None:
    on = Desk(node("a", kind="many"), node("b", after("a", ("parts",))))
    on.complete("a", items=[{"parts": [1, 2, 3]}, {"parts": []}, {"parts": [4, 5]}])
    stood = [(task.branch, task.parent, task.state) for row in rows(on) for task in standing(row)]
    for row in rows(on):
        act(on, row, "spread")
    made = on.memory.named("b")
    assert [task.element for task in made] == [b"1", b"2", b"3", b"4", b"5"]
    assert [(task.branch, task.parent, task.state) for task in made[2:]] == stood


def test_a_row_carries_small_elements_and_leaves_large_ones_where_they_are() -> None:
    on = Desk(node("a"), node("b", after("a", ())))
    on.complete("a", value=[0, 0, "x" * (ELEMENT_INLINE - 2), "x" * (ELEMENT_INLINE - 1)])
    (row,) = rows(on)
    assert [element is None for _, element in places_of(row)] == [False, True]
    assert len(row.places) < ELEMENT_INLINE + 50


def test_inline_children_wait_in_rows_with_their_elements_whole() -> None:
    on = Desk(
        node("a"),
        node("i", after("a", ()), kind=ITEM_KIND),
        node("b", after("i"), bind={"x": Ref(node="i")}),
        node("j", join("b", anchor="i")),
        node("k", join("j")),
    )
    large = "x" * 3 * ELEMENT_INLINE
    on.complete("a", value=[0, 1, large])
    assert (on.states("i"), on.states("b")) == (["SUCCEEDED"] * 2, ["READY"] * 2)
    act(on, rows(on)[0], "spread")
    assert on.states("i") == ["SUCCEEDED"] * 3
    assert max(on.memory.items.items())[1] == encode(large)
    for number in range(3):
        on.complete("b", number)
        assert on.states("k") == []
        on.complete("j", number)
    assert on.states("k") == ["READY"]


def test_an_own_expand_is_spread_too_before_and_after_a_join() -> None:
    on = Desk(
        node("a", expand=Expand(over=Value(value=[1, 2, 3]))),
        node("j", join("a"), expand=Expand(over=Ref(node="a", many=True))),
        node("k", join("j")),
    )
    act(on, rows(on)[0], "spread")
    for number in range(3):
        on.complete("a", number, value=number)
    (row,) = rows(on)
    assert (row.parent, row.branch, on.states("j")) == (None, b"", ["READY"] * 2)
    act(on, row, "spread")
    assert [task.element for task in on.memory.named("j")] == [b"0", b"1", b"2"]
    for number in range(3):
        on.complete("j", number)
    assert on.states("k") == ["READY"]


def test_a_stopping_run_spreads_nothing() -> None:
    on = fan(5)
    on.stop()
    row = rows(on)[0]
    assert act(on, row, "spread") == {}
    assert (len(on.memory.named("b")), len(rows(on))) == (2, 2)


def test_a_row_of_a_running_run_is_not_swept() -> None:
    on = fan(5)
    act(on, rows(on)[0], "sweep_spread")
    assert [row.state for row in rows(on)] == [TaskState.READY] * 2


def test_a_row_that_was_spread_in_this_batch_is_not_swept() -> None:
    on = fan(5)
    row = rows(on)[0]
    fold = on.memory.fold()
    on.memory.load_spreads(fold, [row.id])
    fold.spread(fold.spreads[row.id])
    fold.stop(fold.runs[1])
    fold.sweep_spread(fold.spreads[row.id])
    on.memory.conclude(fold)
    check(on.memory)
    assert (len(on.memory.named("b")), on.memory.runs[1].open) == (4, 5)


@pytest.mark.parametrize("tolerated", [False, True])
def test_a_cancel_ends_a_row_as_the_cancelled_tasks_that_it_stands_for(tolerated: bool) -> None:
    on = fan(5, tolerated=tolerated)
    b = on.memory.graph.names["b"]
    on.stop()
    for row in rows(on):
        act(on, row, "sweep_spread")
        act(on, row, "sweep_spread")
    assert (on.memory.runs[1].open, on.run_state) == (2, "RUNNING")
    on.tick("sweep", "b", 0)
    on.tick("sweep", "b", 1)
    run = on.memory.runs[1]
    assert (run.open, run.failed, run.tasks, on.run_state) == (0, 0 if tolerated else 5, 6, "CANCELLED")
    assert on.memory.counts[1, b] == [5, 0, 0, 0, 5, 0]
    assert [row.state for row in rows(on)] == [TaskState.CANCELLED] * 2


def test_a_retry_of_the_run_goes_on_with_what_was_not_made() -> None:
    on = fan(5)
    on.complete("b", 0)
    on.stop()
    for row in rows(on):
        act(on, row, "sweep_spread")
    on.tick("sweep", "b", 1)
    assert on.memory.retry(1)
    check(on.memory)
    run = on.memory.runs[1]
    assert (run.open, run.failed, on.run_state) == (4, 0, "RUNNING")
    assert [row.state for row in rows(on)] == [TaskState.READY] * 2
    for row in rows(on):
        act(on, row, "spread")
    for number in range(1, 5):
        on.complete("b", number)
    on.complete("j")
    assert on.run_state == "SUCCEEDED"


def test_rows_alone_are_worth_a_retry() -> None:
    on = fan(5)
    on.complete("b", 0)
    on.complete("b", 1)
    on.stop()
    for row in rows(on):
        act(on, row, "sweep_spread")
    assert on.run_state == "CANCELLED"
    assert on.memory.retry(1)
    assert on.memory.runs[1].open == 3


def test_a_batch_that_makes_rows_may_end_its_run() -> None:
    """A cancel in the batch of the settle: nobody has written the rows yet, and the sweep finds them later."""
    on = Desk(node("a"), node("b", after("a", ())))
    held = on.claim("a")

    def both(fold: Fold) -> None:
        fold.complete(held.id, held.attempt, held.session or 0, [unlock.Body(b"[1,2,3]")])
        fold.stop(fold.runs[1])

    on.memory.batch([held.id], both)
    check(on.memory)
    act(on, rows(on)[0], "sweep_spread")
    on.tick("sweep", "b", 0)
    on.tick("sweep", "b", 1)
    assert on.run_state == "CANCELLED"
