"""Slots and starts: what a limit allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.samples import graph, node, problems
from stoker.core.duration import SECOND
from stoker.core.gate import MOST, Gate, Rate, rate
from stoker.core.graph import ITEM_KIND, KindSpec, Limit

NOW = 1_700_000_000 * SECOND


def gate(most: int | None = None, speed: str | None = None, next_at: int = 0) -> Gate:
    return Gate(1, "key", most, None if speed is None else rate(speed), next_at)


def test_slots_are_what_is_left_of_most() -> None:
    assert [gate(5).slots(live) for live in (0, 4, 5, 9)] == [5, 1, 0, 0]
    assert gate(None).slots(10**6) == MOST


@pytest.mark.parametrize(
    ("text", "found"),
    [("5/s", Rate(5, SECOND)), ("100/min", Rate(100, 60 * SECOND)), ("1000000/h", Rate(1_000_000, 3_600 * SECOND))],
)
def test_a_rate_is_a_count_per_unit(text: str, found: Rate) -> None:
    assert rate(text) == found


@pytest.mark.parametrize(
    "text", ["", "5", "5/", "/s", "0/s", "1000001/s", "5/day", "5 /s", "-1/s", "1.5/s", "5/s ", "\u0665/s"]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a rate"):
        rate(text)


def test_a_tenth_of_a_rate_starts_at_once_and_the_rest_evenly() -> None:
    found = gate(speed="100/min")
    assert found.starts(NOW) == 10
    found = found.started(10, NOW)
    assert (found.starts(NOW), found.start_at(NOW)) == (0, NOW + 600_000)
    assert found.starts(NOW + 600_000 - 1) == 0
    assert found.starts(NOW + 600_000) == 1
    assert found.starts(NOW + 10 * 600_000) == 10
    assert found.starts(NOW + 1_000 * SECOND) == 10


def test_a_slow_rate_lets_one_at_a_time_through() -> None:
    found = gate(speed="3/s").started(1, NOW)
    assert found.start_at(NOW) == NOW + 333_334  # never more than may


def test_without_a_rate_everything_may_start_now() -> None:
    assert (gate(1).starts(NOW), gate(1).start_at(NOW), gate(1).started(3, NOW)) == (MOST, NOW, gate(1))


def test_what_another_rate_or_clock_left_behind_holds_nothing_up_for_long() -> None:
    found = gate(speed="5/s", next_at=NOW + 3_600 * SECOND)
    assert found.start_at(NOW) <= NOW + SECOND // 5


@given(
    st.integers(1, 500),
    st.sampled_from(["s", "min", "h"]),
    st.lists(st.tuples(st.integers(0, 90 * SECOND), st.integers(0, 100)), min_size=1, max_size=60),
)
def test_in_no_window_start_more_than_the_rate_and_its_burst(
    count: int, unit: str, steps: list[tuple[int, int]]
) -> None:
    found, now, starts = gate(speed=f"{count}/{unit}"), NOW, []
    for pause, wanted in steps:
        now += pause
        taken = min(wanted, found.starts(now))
        assert taken >= 0
        assert (found.starts(now) > 0) == (found.start_at(now) == now)
        found = found.started(taken, now)
        starts += [now] * taken
    allowed = rate(f"{count}/{unit}")
    for at in set(starts):
        assert sum(at <= start < at + allowed.per for start in starts) <= allowed.starts + allowed.burst


# --- what a graph may say of it ---


def limited(**options: object) -> list[str]:
    found = problems(graph(node("a", limit=Limit(**{"key": "k", **options}))))
    return [f"{problem.code}: {problem.message}" for problem in found]


def test_a_limit_that_says_what_it_limits_compiles() -> None:
    assert not limited(most=1)
    assert not limited(rate="1/h")
    assert not limited(most=MOST, rate=f"{MOST}/s")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "bad_option: a limit says how many run at once (most), how many start (rate), or both."),
        ({"most": 0}, "bad_option: most lies between 1 and 1000000, not 0."),
        ({"most": MOST + 1}, "bad_option: most lies between 1 and 1000000, not 1000001."),
        ({"rate": "0/s"}, "bad_option: a rate allows from 1 to 1000000 starts, not 0."),
        ({"rate": "5/day"}, "bad_option: a rate is a text like '5/s', '100/min' or '1000/h', not '5/day'."),
        ({"key": "", "most": 1}, "bad_name: a name is a text of at least one character"),
    ],
)
def test_a_limit_out_of_its_bounds_is_refused(options: dict[str, object], message: str) -> None:
    assert limited(**options) == [message]


def test_nodes_of_one_key_have_one_limit() -> None:
    same = Limit(key="k", most=2)
    assert not problems(graph(node("a", limit=same), node("b", limit=Limit(key="k", most=2))))
    (problem,) = problems(graph(node("a", limit=same), node("b", limit=Limit(key="k", most=3))))
    assert problem.place == "node 'b', limit"
    assert problem.message == "the node 'a' gives the limit 'k' other numbers."


def test_what_no_runner_runs_has_no_limit() -> None:
    kinds = {ITEM_KIND: KindSpec(name=ITEM_KIND)}
    (problem,) = problems(graph(node("a", kind=ITEM_KIND, limit=Limit(key="k", most=1))), kinds)
    assert problem.code == "bad_option"
