"""Limits proved from outside: by what was at work at once, by what was leased at once, and by what began."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from selftest.rows import A, ended, good, task
from stoker.core.graph import Limit
from stoker.core.model import Ended
from stoker.core.states import TaskState
from stoker.selftest.evidence import Evidence, Span
from stoker.selftest.slots import Slots


def used(
    *spans: tuple[int, int | None],
    limit: Limit | None = None,
    rows: tuple[Ended, ...] = (),
    leases: tuple[tuple[int, int], ...] = (),
    **changes: Any,
) -> Evidence:
    """One run whose node has a limit, with a task for each time that user code was at work."""
    of = good()
    held = limit or Limit(key="key", most=2)
    spec = msgspec.structs.replace(of.graph.nodes[A].spec, limit=held)
    nodes = (msgspec.structs.replace(of.graph.nodes[A], spec=spec), *of.graph.nodes[1:])
    history = {row.task: [one for one in rows if one.task == row.task] for row in rows}
    times = [{"claimed_at": begun, "settled_at": over} for begun, over in leases] or [{}] * len(spans)
    return replace(
        of,
        graph=msgspec.structs.replace(of.graph, nodes=nodes),
        tasks=[
            msgspec.structs.replace(task(number, A), **{**at, **changes}) for number, at in enumerate(times, start=1)
        ],
        executions={number: {1: Span(*span)} for number, span in enumerate(spans, start=1)},
        history=history,
    )


def told(*evidence: Evidence) -> list[str]:
    slots = Slots()
    for of in evidence:
        slots.add(of)
    return [wrong.what for wrong in slots.wrongs()]


def test_more_at_work_at_once_than_a_limit_allows_are_told() -> None:
    assert told(used((1, 5), (2, 6), (4, 9))) == [
        "'key': 3 tasks were at work at once when task 3, attempt 1, began; it allows 2"
    ]


def test_what_ends_as_another_begins_takes_no_place_beside_it() -> None:
    assert told(used((1, 5), (2, 6), (5, 9))) == []


def test_all_runs_under_a_key_count_together() -> None:
    assert told(used((1, 5), (2, 6)), used((3, 9))) != []
    assert told(used((1, 5), (2, 6)), used((3, 9), limit=Limit(key="other", most=2))) == []


@pytest.mark.parametrize("outcome", ["lost", "timeout", "released", "cancelled"])
def test_an_attempt_that_may_have_outlived_its_lease_is_no_witness(outcome: str) -> None:
    assert told(used((1, 5), (2, 6), (4, 9), rows=(ended(2, outcome),))) == []


def test_an_attempt_that_failed_in_time_is_one() -> None:
    assert told(used((1, 5), (2, 6), (4, 9), rows=(ended(2, "failed"),), state=TaskState.SUCCEEDED)) != []


def test_who_never_said_that_it_ended_is_no_witness() -> None:
    assert told(used((1, 5), (2, None), (4, 9))) == []


def test_leases_that_overlap_are_told_where_one_clock_wrote_them() -> None:
    of = used(leases=((1, 5), (2, 6), (4, 9)))
    assert told(of) == ["'key': 3 tasks were leased at once when task 3, its last attempt, began; it allows 2"]
    assert told(replace(of, one_clock=False)) == []


def test_a_lease_that_was_lost_ended_then() -> None:
    lost = ended(2, "lost", started_at=2, ended_at=3)
    assert told(used(leases=((1, 5), (2, 6), (4, 9)), rows=(lost,))) == []


def test_more_starts_than_a_rate_allows_are_told() -> None:
    limit = Limit(key="key", rate="10/s")
    even = tuple((number * 100_000, number * 100_000 + 1) for number in range(40))
    assert told(used(leases=even, limit=limit)) == []
    assert told(used(leases=(*even, *even[:10]), limit=limit)) != []


def test_how_many_were_at_work_at_once_is_known() -> None:
    slots = Slots()
    slots.add(used((1, 5), (2, 6), (5, 9)))
    assert slots.most == {"key": 2}
