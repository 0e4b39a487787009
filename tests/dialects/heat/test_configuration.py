"""Flat entries as nested JSON, and names that shadow each other."""

from __future__ import annotations

from typing import Any

import pytest

from stoker.api.dialects.heat.configuration import Entry, below, clash, decoded, name_fault, nested


def entries(**values: str) -> dict[str, Entry]:
    return {name.replace("__", "."): Entry(value=value) for name, value in values.items()}


def test_a_prefix_gives_what_lies_under_it_without_itself() -> None:
    assert below(entries(a__b__c="1", a__d="2", ab__x="3"), "a") == {"b": {"c": "1"}, "d": "2"}


def test_a_prefix_may_be_dotted() -> None:
    assert below(entries(a__b__c="1", a__d="2"), "a.b") == {"c": "1"}


def test_a_prefix_that_is_an_entry_gives_its_value() -> None:
    assert below(entries(a__b="1"), "a.b") == {"value": "1"}


def test_an_unknown_prefix_gives_nothing() -> None:
    assert below(entries(a__b="1"), "a.bc") is None


def test_everything_nests() -> None:
    assert nested(entries(a__b="1", c="2")) == {"a": {"b": "1"}, "c": "2"}


@pytest.mark.parametrize(
    ("value_type", "text", "value"),
    [
        (0, "7", "7"),
        (1, "7", 7),
        (1, "7.5", "7.5"),
        (2, "7.5", 7.5),
        (2, "7", 7),
        (2, "NaN", "NaN"),
        (3, "true", True),
        (3, "False", False),
        (3, "yes", "yes"),
        (4, "[1,2]", [1, 2]),
        (4, "{", "{"),
        (4, "null", None),
        (9, "7", "7"),
        (1, None, None),
        (1, "", ""),
    ],
)
def test_a_value_is_read_as_its_type_says_and_as_text_where_it_does_not_parse(
    value_type: int, text: str | None, value: Any
) -> None:
    read = decoded(Entry(value_type=value_type, value=text))
    assert (read, type(read)) == (value, type(value))


def test_a_name_clashes_with_what_lies_inside_and_around_it() -> None:
    names = ["a.b", "ab", "c.d.e"]
    assert clash("a.b.c", names) == "a.b"
    assert clash("c.d", names) == "c.d.e"
    assert clash("a.bc", names) is None
    assert clash("a.b", names) is None


def test_names_that_a_path_could_not_name_are_refused() -> None:
    assert name_fault("all.x") is not None
    assert name_fault("detail") is not None
    assert name_fault("alles.x") is None
