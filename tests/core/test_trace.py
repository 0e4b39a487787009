"""What is taken for a `traceparent`."""

from __future__ import annotations

import pytest

from stoker.core.trace import trace_id, traceparent

GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_header_as_w3c_writes_it_is_taken() -> None:
    assert traceparent(GOOD) == GOOD
    assert trace_id(GOOD) == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert traceparent("01" + GOOD[2:] + "-more") == "01" + GOOD[2:]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        GOOD.upper(),
        GOOD + "-more",
        GOOD + "0",
        "01" + GOOD[2:] + "more",
        "ff" + GOOD[2:],
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
        GOOD[:-1] + "g",
    ],
)
def test_anything_else_begins_no_trace(header: str) -> None:
    assert traceparent(header) is None
