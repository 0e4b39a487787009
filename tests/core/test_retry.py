from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.core.graph import Retry
from stoker.core.retry import NO_RETRY, delay, policy

S = 1_000_000


def delays(retry: Retry, dice: float = 1.0) -> list[int | None]:
    return [delay(policy(retry), failures, dice) for failures in range(1, retry.attempts + 1)]


def test_without_a_policy_the_first_failure_is_the_last() -> None:
    assert policy(None) is NO_RETRY
    assert delay(NO_RETRY, 1) is None


def test_attempts_include_the_first() -> None:
    assert delays(Retry(attempts=3, base="1s", strategy="fixed")) == [S, S, None]
    assert delays(Retry(attempts=1)) == [None]


def test_more_failures_than_attempts_stay_spent() -> None:
    assert delay(policy(Retry(attempts=2)), 7) is None


def test_the_strategies_grow_as_they_say() -> None:
    assert delays(Retry(attempts=5, base="2s", strategy="fixed"))[:4] == [2 * S] * 4
    assert delays(Retry(attempts=5, base="2s", strategy="linear"))[:4] == [2 * S, 4 * S, 6 * S, 8 * S]
    assert delays(Retry(attempts=5, base="2s", strategy="exponential"))[:4] == [2 * S, 4 * S, 8 * S, 16 * S]
    assert delays(Retry(attempts=4, base="1s", strategy="exponential", factor=3))[:3] == [S, 3 * S, 9 * S]


def test_the_defaults_are_three_attempts_two_and_four_seconds_apart() -> None:
    assert delays(Retry()) == [2 * S, 4 * S, None]


def test_jitter_takes_all_half_or_nothing_of_the_delay() -> None:
    assert delay(policy(Retry(base="8s", jitter="none")), 1, 0.25) == 8 * S
    assert delay(policy(Retry(base="8s", jitter="full")), 1, 0.25) == 2 * S
    assert delay(policy(Retry(base="8s", jitter="full")), 1, 0.0) == 0
    assert delay(policy(Retry(base="8s", jitter="equal")), 1, 0.0) == 4 * S
    assert delay(policy(Retry(base="8s", jitter="equal")), 1, 1.0) == 8 * S


def test_the_cap_applies_after_jitter() -> None:
    capped = Retry(base="8s", jitter="full", cap="3s")
    assert delay(policy(capped), 1, 0.25) == 2 * S, "2 s lie under the cap; a cap before jitter would give 0.75 s"
    assert delay(policy(capped), 1, 1.0) == 3 * S


def test_what_jitter_leaves_of_a_delay_is_whole_milliseconds() -> None:
    assert delay(policy(Retry(base=0.007, jitter="full")), 1, 0.5) == 3_000
    assert delay(policy(Retry(base=0.007, jitter="equal")), 1, 0.5) == 5_000
    assert delay(policy(Retry(base=0.0075, jitter="none")), 1, 0.5) == 7_500


def test_a_cap_of_zero_means_at_once() -> None:
    assert delay(policy(Retry(cap=0)), 1) == 0


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.floats(0.01, 1000), st.floats(0, 1))
def test_no_delay_overflows_or_is_negative(attempts: int, failures: int, factor: float, dice: float) -> None:
    found = delay(policy(Retry(attempts=attempts, factor=factor, base=9e9, jitter="equal")), failures, dice)
    assert (found is None) == (failures >= attempts)
    assert found is None or 0 <= found <= 366 * 86_400 * S


@pytest.mark.parametrize(
    ("retry", "message"),
    [
        (Retry(attempts=0), "retry attempts include the first and lie between 1 and 1000000, not 0"),
        (Retry(attempts=1_000_001), "not 1000001"),
        (Retry(factor=0), "a retry factor lies between 0 and 1000000, not 0"),
        (Retry(factor=float("nan")), "not nan"),
        (Retry(base="soon"), "not 'soon'"),
        (Retry(cap=-1), "not -1"),
    ],
)
def test_a_policy_out_of_bounds_names_the_bound(retry: Retry, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        policy(retry)
