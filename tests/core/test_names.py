from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.core.names import MAX_NAME, MAX_TEXT, fault, text


@pytest.mark.parametrize("name", ["a", "split page", "Größe", "数", "a/b:c", "😀", "x" * MAX_NAME, "é" * 100])
def test_an_ordinary_name_has_no_fault(name: str) -> None:
    assert fault(name) is None


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("", "at least one character"),
        (None, "at least one character"),
        (3, "at least one character"),
        ("a\nb", "control character"),
        ("a\0", "control character"),
        ("\x7f", "control character"),
        ("\u009f", "control character"),
        ("a\ud800", "lone surrogate"),
        ("e\u0301", "normal form C"),
        ("x" * (MAX_NAME + 1), "201 bytes; the limit is 200"),
        ("é" * 101, "202 bytes; the limit is 200"),
    ],
)
def test_a_bad_name_is_told_what_is_wrong(name: object, wrong: str) -> None:
    found = fault(name)
    assert found is not None
    assert wrong in found
    found.encode()


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50))
def test_ordinary_text_is_kept_as_it_is(value: str) -> None:
    assert text(value) == value


def test_what_cannot_be_stored_becomes_a_replacement_character() -> None:
    assert text("a\0b") == "a\ufffdb"
    assert text("a\ud800b") == "a\ufffdb"
    assert text("a\udc00b") == "a\ufffdb"
    assert text("end\ud83d") == "end\ufffd"
    assert text("\ufeffmark") == "\ufeffmark"


def test_two_halves_of_a_pair_become_the_character() -> None:
    assert text("\ud83d\ude00") == "😀"


@given(st.text(st.characters(), max_size=30))
def test_stored_text_is_always_encodable_and_without_nul(value: str) -> None:
    found = text(value)
    assert b"\0" not in found.encode()
    assert text(found) == found


@pytest.mark.parametrize("character", ["a", "é", "数", "😀", "\0"])
@pytest.mark.parametrize("over", [0, 1, 2, 3])
def test_long_text_is_cut_at_the_limit_between_characters(character: str, over: int) -> None:
    value = "a" * over + character * MAX_TEXT
    found = text(value)
    assert MAX_TEXT - 3 <= len(found.encode()) <= MAX_TEXT
    assert value.replace("\0", "\ufffd").startswith(found)


def test_text_at_the_limit_is_not_cut() -> None:
    assert text("a" * MAX_TEXT) == "a" * MAX_TEXT
