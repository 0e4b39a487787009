from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from stoker.api.dialects.exosphere.work import bodies
from stoker.api.dialects.exosphere.work.bodies import Malformed, Sent, Wrong


def sent(value: Any) -> Sent:
    return Sent(value if isinstance(value, bytes) else json.dumps(value).encode())


def nested(levels: int) -> bytes:
    return b'{"outputs":[{"a":' + b"[" * (levels - 3) + b"]" * (levels - 3) + b"}]}"


def entry(parse: Callable[[Sent], Any], value: Any) -> tuple[str, list[Any], str]:
    with pytest.raises(Malformed) as told:
        parse(sent(value))
    (found,) = told.value.entries
    json.dumps(found, allow_nan=False)
    return found["type"], found["loc"], found["msg"]


def test_outputs_are_kept_as_the_bytes_that_came() -> None:
    found = bodies.outputs(sent(b'{"outputs" : [ {"a" : 1.50, "b":"\\u0000\\u00e9"},{}] , "more": 1}'))
    assert found == [b'{"a" : 1.50, "b":"\\u0000\\u00e9"}', b"{}"]


def test_no_output_is_one_empty_item() -> None:
    assert bodies.outputs(sent({"outputs": []})) == [b"{}"]


@pytest.mark.parametrize("text", [b'"\\ud800"', b'"\xed\xa0\x80"', b'"x\\udfff\\ud800y"'])
def test_lone_surrogates_in_outputs_are_kept(text: bytes) -> None:
    (found,) = bodies.outputs(sent(b'{"outputs":[{"a":' + text + b"}]}"))
    assert json.loads(found) == {"a": json.loads(text)}


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1E+0400", b"9" * 400 + b".0"])
def test_what_json_cannot_say_or_hold_cannot_be_kept(number: bytes) -> None:
    for parse, body in [(bodies.outputs, b'{"outputs":[{"a":%b}]}'), (bodies.data, b'{"data":{"a":%b}}')]:
        with pytest.raises(Wrong, match="NaN or an infinity"):
            parse(sent(body % number))


def test_large_numbers_and_texts_like_numbers_are_kept() -> None:
    values = [b"1e300", b"1e-999", b'"1e999"', b"9" * 400, b"1e0000012"]
    found = bodies.outputs(sent(b'{"outputs":[' + b",".join(b'{"a":%b}' % value for value in values) + b"]}"))
    assert found == [b'{"a":%b}' % value for value in values]


def test_a_number_of_too_many_digits_cannot_be_kept() -> None:
    with pytest.raises(Wrong, match="a number of 5000 digits"):
        bodies.outputs(sent(b'{"outputs":[{"a":' + b"9" * 5000 + b"}]}"))


def test_outputs_nest_as_deep_as_allowed_and_no_deeper() -> None:
    assert bodies.outputs(sent(nested(64)))
    for levels in (65, 5_000, 500_000):
        with pytest.raises(Wrong, match="deeper than 64"):
            bodies.outputs(sent(nested(levels)))


def test_a_body_over_the_limit_cannot_be_kept() -> None:
    for parse in (bodies.outputs, bodies.data):
        with pytest.raises(Wrong, match="8388608 bytes"):
            parse(Sent(b'{"outputs":[]}', whole=False))


def test_an_error_is_told_from_whatever_it_comes_in() -> None:
    assert bodies.error(sent({"error": "it broke", "at": float("nan")})) == "it broke"
    assert bodies.error(sent(b'{"error":"a\\ud800b"}')) == "a\ud800b"
    assert bodies.error(sent(b'{"error":"deep","x":' + b"[" * 99_999 + b"]" * 99_999 + b"}")) == "deep"
    cut = b'{"error": "line\\n\\u00e9 \\"quoted\\" ' + b"x" * 70_000
    assert bodies.error(Sent(cut, whole=False)).startswith('line\né "quoted" xxx')
    assert "over the limit" in bodies.error(Sent(b'{"other":1', whole=False))


@pytest.mark.parametrize(
    ("given", "taken"), [(0, 1), (1, 1), (1500, 1500), (2.0, 2), ("7", 7), (10**30, bodies.LONGEST_MS)]
)
def test_a_delay_is_a_whole_number_of_milliseconds_from_one(given: Any, taken: int) -> None:
    assert bodies.delay_ms(sent({"enqueue_after": given})) == taken


@pytest.mark.parametrize(
    ("parse", "value", "wrong"),
    [
        (bodies.outputs, b"{", ("json_invalid", ["body", 1], "JSON decode error")),
        (bodies.outputs, b"", ("json_invalid", ["body", 0], "JSON decode error")),
        (bodies.outputs, b'{"outputs":[{"a":"\xff"}]}', ("json_invalid", ["body", 18], "JSON decode error")),
        (bodies.outputs, {}, ("missing", ["body", "outputs"], "Field required")),
        (bodies.outputs, {"outputs": {}}, ("list_type", ["body", "outputs"], "Input should be a valid list")),
        (
            bodies.outputs,
            {"outputs": [{}, 1]},
            ("dict_type", ["body", "outputs", 1], "Input should be a valid dictionary"),
        ),
        (bodies.data, {"data": 1}, ("dict_type", ["body", "data"], "Input should be a valid dictionary")),
        (bodies.data, {}, ("missing", ["body", "data"], "Field required")),
        (bodies.error, {"error": 1}, ("string_type", ["body", "error"], "Input should be a valid string")),
        (bodies.error, b"nothing", ("json_invalid", ["body", 0], "JSON decode error")),
        (
            bodies.delay_ms,
            {"enqueue_after": -1},
            ("greater_than_equal", ["body", "enqueue_after"], "Input should be greater than or equal to 0"),
        ),
        (
            bodies.delay_ms,
            {"enqueue_after": "soon"},
            (
                "int_parsing",
                ["body", "enqueue_after"],
                "Input should be a valid integer, unable to parse string as an integer",
            ),
        ),
        (
            bodies.delay_ms,
            {"enqueue_after": True},
            ("int_type", ["body", "enqueue_after"], "Input should be a valid integer"),
        ),
        (
            bodies.delay_ms,
            b'{"enqueue_after":NaN}',
            ("int_type", ["body", "enqueue_after"], "Input should be a valid integer"),
        ),
        (bodies.delay_ms, b"[" * 99_999, ("json_invalid", ["body", 0], "JSON decode error")),
    ],
)
def test_what_is_no_such_body_is_told_as_clients_know_it(
    parse: Callable[[Sent], Any], value: Any, wrong: tuple[str, list[Any], str]
) -> None:
    assert entry(parse, value) == wrong
