from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.core.values import (
    MAX_DEPTH,
    BadPath,
    as_list,
    as_object,
    as_text,
    decoded,
    elements,
    encode,
    fields,
    pick,
    show,
    too_deep,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ((), b'{"a": [1, {"b": "x"}], "0": null}'),
        (("a",), b'[1, {"b": "x"}]'),
        (("a", 1, "b"), b'"x"'),
        (("a", 0), b"1"),
        (("0",), b"null"),
    ],
)
def test_pick_gives_the_bytes_at_a_path(path: tuple[str | int, ...], found: bytes) -> None:
    assert pick(b'{"a": [1, {"b": "x"}], "0": null}', path) == found


@pytest.mark.parametrize(
    ("path", "place"),
    [(("b",), "$.b"), (("a", 2), "$.a[2]"), (("a", "x"), "$.a.x"), (("a", 0, "x"), "$.a[0].x"), ((0,), "$[0]")],
)
def test_pick_says_where_a_value_ends(path: tuple[str | int, ...], place: str) -> None:
    with pytest.raises(BadPath) as caught:
        pick(b'{"a": [1]}', path)
    assert str(caught.value) == f"there is nothing at {place}"


def test_elements_are_the_parts_of_a_list_as_they_were_written() -> None:
    assert elements(b'[1, "two" , [3], {"f" : 4}]') == [b"1", b'"two"', b"[3]", b'{"f" : 4}']
    assert elements(b'{"parts": []}', ("parts",)) == []


@pytest.mark.parametrize("body", [b"{}", b'"text"', b"3", b"null"])
def test_what_is_no_list_has_no_elements(body: bytes) -> None:
    with pytest.raises(BadPath, match=r"what is at \$\.at is not a list"):
        elements(b'{"at": ' + body + b"}", ("at",))


@given(st.lists(JSON, max_size=4), st.dictionaries(st.text(max_size=4), JSON, max_size=4))
def test_parts_put_together_are_the_whole(parts: list[object], fields: dict[str, object]) -> None:
    assert json.loads(as_list(json.dumps(part).encode() for part in parts)) == parts
    assert json.loads(as_object({key: json.dumps(value).encode() for key, value in fields.items()})) == fields


@given(st.lists(JSON, max_size=5))
def test_elements_take_apart_what_as_list_put_together(parts: list[object]) -> None:
    bodies = [json.dumps(part).encode() for part in parts]
    assert elements(as_list(bodies)) == bodies


def test_a_path_is_shown_as_people_write_it() -> None:
    assert show(()) == "$"
    assert show(("parts", 0, "name")) == "$.parts[0].name"


def _depth(value: object) -> int:
    match value:
        case list():
            return 1 + max(map(_depth, value), default=0)
        case dict():
            return 1 + max(map(_depth, value.values()), default=0)
    return 0


@given(JSON, st.integers(0, 4))
def test_too_deep_counts_what_nests(value: object, limit: int) -> None:
    assert too_deep(json.dumps(value).encode(), limit) == (_depth(value) > limit)


def test_the_limit_itself_is_allowed() -> None:
    assert not too_deep(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert too_deep(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


def test_brackets_beside_each_other_or_in_texts_do_not_nest() -> None:
    assert not too_deep(json.dumps([[]] * 1000).encode(), 2)
    assert not too_deep(json.dumps(['[[[{{{"\\' * 50, 'x\\\\"[[[']).encode(), 1)


def test_texts_with_lone_surrogates_are_picked_and_spliced_like_others() -> None:
    body = b'{"a": "x\\ud800", "b": ["\\udfff", 1], "c": {"d": "fine"}}'
    assert pick(body, ("c", "d")) == b'"fine"'
    assert json.loads(pick(body, ("a",))) == "x\ud800"
    assert [json.loads(element) for element in elements(body, ("b",))] == ["\udfff", 1]
    assert fields(body)["b"] == b'["\\udfff",1]'
    assert json.loads(encode(as_text(pick(body, ("a",))) + " is text")) == "x\ud800 is text"


@pytest.mark.parametrize("body", [b'"\\ud800"', b'["\\ud800"]', b'{"\\ud800": }'])
def test_what_has_no_fields_has_none_with_lone_surrogates_either(body: bytes) -> None:
    with pytest.raises(BadPath, match=r"nothing at \$\.a"):
        pick(body, ("a",))


def test_lone_surrogates_become_replacements_where_a_value_is_needed() -> None:
    body = rb'{"a": "\ud800 \ud83d\ude00 \\ud800 \udfff\n", "b": 1}'
    assert decoded(body) == {"a": "\ufffd \U0001f600 \\ud800 \ufffd\n", "b": 1}
    with pytest.raises(msgspec.DecodeError):
        decoded(rb'{"a": "\ud800"')
