from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.core.duration import micros


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("250ms", 250_000),
        ("2s", 2_000_000),
        ("1.5s", 1_500_000),
        ("5m", 300_000_000),
        ("1h30m", 5_400_000_000),
        ("1d", 86_400_000_000),
        ("1m500ms", 60_500_000),
        (" 2s ", 2_000_000),
        ("0s", 0),
        (0, 0),
        (12.5, 12_500_000),
        (3, 3_000_000),
        (0.000001, 1),
    ],
)
def test_a_duration_is_read_as_people_write_it(written: str | float, meant: int) -> None:
    assert micros(written) == meant


@pytest.mark.parametrize(
    "written",
    ["", "2", "s", "2 s", "-2s", "2s!", "1.s", ".5s", "1.5.5s", "2S", "٣s", "2s 3m", "1e3s", "nan", "9" * 400 + "d"],
)
def test_a_text_that_is_no_duration_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        micros(written)


@pytest.mark.parametrize("written", [-1, -0.1, float("nan"), float("inf"), 1e10, "10000000001s", 10**400])
def test_a_duration_out_of_bounds_is_refused(written: str | float) -> None:
    with pytest.raises(ValueError, match=r"lies between 0 and 1e\+10 seconds"):
        micros(written)


@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_the_parts_of_a_duration_add_up(hours: int, minutes: int, seconds: int, millis: int) -> None:
    text = f"{hours}h{minutes}m{seconds}s{millis}ms"
    assert micros(text) == ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + millis * 1_000
