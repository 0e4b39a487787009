"""How much of a task's log is kept, and that what is cut says so."""

from __future__ import annotations

from stoker.core.log import CHUNK_CUT, TASK_CUT, Grown, Kept, keep
from stoker.core.protocol import LOG_CHUNK, LOG_TASK

NONE = Grown()


def test_a_chunk_is_kept_as_it_is_and_counted_in_bytes() -> None:
    assert keep("é\n", 1, 0, NONE) == Kept("é\n", Grown(1, 0, 3))
    assert keep("a\0\ud800", 1, 1, Grown(1, 0, 3)) == Kept("a\ufffd\ufffd", Grown(1, 1, 10))


def test_a_chunk_that_is_too_long_is_cut_and_says_so() -> None:
    text, grown = keep("x" * (LOG_CHUNK + 1), 1, 0, NONE)
    assert text == "x" * LOG_CHUNK + CHUNK_CUT
    assert grown.total == len(text)


def test_a_task_keeps_so_much_over_all_attempts_and_says_once_that_it_is_cut() -> None:
    grown, said = NONE, ""
    for number in range(400):
        text, grown = keep("é" * (LOG_CHUNK // 2), 1 + number // 100, number % 100, grown)
        said += text
    assert said == "é" * (LOG_TASK // 2) + TASK_CUT
    assert keep("more", 9, 0, grown) == Kept("", grown)


def test_the_last_chunk_that_fits_is_not_cut_and_the_next_byte_is_told_of() -> None:
    text, grown = keep("x" * 10, 1, 1, Grown(1, 0, LOG_TASK - 10))
    assert (text, grown.total) == ("x" * 10, LOG_TASK)
    assert keep("y", 1, 2, grown).text == TASK_CUT
    assert keep("x" * (LOG_CHUNK + 9), 1, 2, Grown(1, 1, LOG_TASK - LOG_CHUNK)).text == "x" * LOG_CHUNK + TASK_CUT


def test_a_repeated_chunk_counts_once() -> None:
    _, grown = keep("one", 2, 4, NONE)
    assert keep("one", 2, 4, grown) == Kept("one", grown)
    assert keep("late", 1, 9, grown).grown == grown
    assert keep("next", 2, 5, grown).grown.total == 7
