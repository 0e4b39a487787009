from __future__ import annotations

import itertools

import pytest

from stoker.core import states
from stoker.core.states import LIVE, MOVES, RUN_MOVES, RunState, TaskState, check_move

S = TaskState
ALLOWED = {
    (S.READY, S.LEASED),  # claim
    (S.READY, S.CANCELLED),  # sweep
    (S.READY, S.FAILED),  # inputs that cannot be bound
    (S.READY, S.SUCCEEDED),  # revive and complete at once; inline
    (S.READY, S.PRUNED),  # revive and prune at once
    (S.LEASED, S.READY),  # lost, requeue, release, retry
    (S.LEASED, S.SUCCEEDED),
    (S.LEASED, S.FAILED),
    (S.LEASED, S.PRUNED),
    (S.LEASED, S.CANCELLED),
    (S.FAILED, S.READY),  # manual retry
    (S.PRUNED, S.READY),
    (S.CANCELLED, S.READY),
}


@pytest.mark.parametrize(("before", "after"), [pair for pair in itertools.product(S, S) if pair[0] is not pair[1]])
def test_the_table_allows_exactly_the_moves_of_the_rules(before: TaskState, after: TaskState) -> None:
    if (before, after) in ALLOWED:
        check_move(before, after)
    else:
        with pytest.raises(AssertionError, match=f"a task that is {before.name} cannot become {after.name}"):
            check_move(before, after)


def test_a_task_may_stay_what_it_is() -> None:
    for state in S:
        check_move(state, state)


def test_only_live_states_are_left_without_a_person_asking() -> None:
    assert set(LIVE) == {S.READY, S.LEASED}
    for state in set(S) - LIVE:
        assert MOVES[state] <= {S.READY}
    assert MOVES[S.SUCCEEDED] == MOVES[S.SKIPPED] == frozenset()


def test_a_run_ends_in_one_of_three_ways_and_only_a_retry_leads_back() -> None:
    ends = {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}
    assert RUN_MOVES[RunState.RUNNING] == ends
    assert all(RUN_MOVES[state] == {RunState.RUNNING} for state in ends)


def test_the_diagram_names_every_state_and_no_other() -> None:
    drawn = (states.__doc__ or "").split("::")[1]
    words = {word.strip("▶─◀,.()") for word in drawn.split()}
    assert {word for word in words if word.isupper() and len(word) > 2} == {state.name for state in S}


@pytest.mark.parametrize(
    ("arrow", "before", "after"),
    [
        ("claim", S.READY, S.LEASED),
        ("complete", S.LEASED, S.SUCCEEDED),
        ("prune ", S.LEASED, S.PRUNED),
        ("fail ", S.LEASED, S.FAILED),
        ("cancel ", S.LEASED, S.CANCELLED),
        ("lost ", S.LEASED, S.READY),
        ("revive ", S.READY, S.LEASED),
        ("requeue, release", S.LEASED, S.READY),
        ("manual retry of FAILED, PRUNED, CANCELLED", S.FAILED, S.READY),
    ],
)
def test_every_arrow_of_the_diagram_is_a_move_of_the_table(arrow: str, before: TaskState, after: TaskState) -> None:
    assert arrow in (states.__doc__ or "")
    assert after in MOVES[before]


def test_the_diagram_retries_by_hand_what_the_table_retries() -> None:
    retried = {state for state in set(S) - LIVE if S.READY in MOVES[state]}
    assert retried == {S.FAILED, S.PRUNED, S.CANCELLED}
