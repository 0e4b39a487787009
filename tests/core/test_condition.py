"""What may be a condition, what it reads, and what it says when it cannot be told."""

from __future__ import annotations

import pytest

from stoker.core.condition import MAX_BRACKETS, MAX_SIZE, Around, BadCondition, Untold, parse
from stoker.core.values import encode

ITEM = {"rows": 150, "name": "xy", "half": 0.5, "list": [1, 2, 3], "none": None, "big": 2**63}


def told(source: str, *, item: object = ITEM, index: int = 0, inputs: object = None, store: object = None) -> bool:
    return parse(source).holds(encode(item), index, Around(encode(inputs or {}), encode(store or {})))


@pytest.mark.parametrize(
    "source",
    [
        "item.rows > 100",
        "item.rows == 150.0 && item.half < 1",
        "has(item.rows) && !has(item.nope)",
        "item.none == null",
        "item.list.exists(x, x > 2)",
        "item.list.filter(x, x > 1).map(x, x * 2) == [4, 6]",
        "item.name.startsWith('x') || item.nope",
        r"item.name.matches(r'^[a-z]+$')",
        "'(((((' != item.name",
        "size(item.list) == 3 // and no more",
        "item.big > 1",
        "item['name'] in ['xy']",
        "type(item.rows) == int",
        "timestamp('2020-02-01T00:00:00Z').getMonth() == 1",
        '"""all(x, [1].all(y, true))""" != item.name',
    ],
)
def test_an_expression_is_told_of_an_item(source: str) -> None:
    assert told(source)
    assert not told(f"!({source.partition(' //')[0]})")


def test_it_may_read_index_inputs_and_store() -> None:
    assert told("index == 3 && inputs.a == store.b", index=3, inputs={"a": 1}, store={"b": 1})
    assert not told("index == 3", index=2)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("item.rows >", "it is not an expression: <input>:1:"),
        ("", "it is not an expression"),
        ("item.a > 1 and item.b", "; CEL writes && for and, || for or, ! for not"),
        ("rows > 1", "no variable 'rows'; there are index, inputs, item, store"),
        ("item.rows > now()", "no function 'now'"),
        ("item.list.all(x, item.list.all(y, x < y))", "inside of another one"),
        ("item.list.exists(x, [[1].map(y, y)] == [])", "inside of another one"),
        ("'it\\'s' == item.list.all(x, [x].all(y, true))", "inside of another one"),
        (r"r'\' == item.list.all(x, [x].all(y, true))", "inside of another one"),
        ("x" * (MAX_SIZE + 1), f"longer than {MAX_SIZE} bytes"),
        ("(" * (MAX_BRACKETS + 1) + "true" + ")" * (MAX_BRACKETS + 1), f"more than {MAX_BRACKETS} opening brackets"),
        ("item.a.?b", "not an expression"),
        ("\ud800 == item", "not an expression"),
        ("item == '\0'[0", "not an expression"),
    ],
)
def test_what_is_no_condition_is_refused_with_the_reason(source: str, why: str) -> None:
    with pytest.raises(BadCondition) as refused:
        parse(source)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("item.nope > 1", "there is no 'nope'"),
        ("item.name > 1", "not of types that go together"),
        ("item.rows", "its result is a number, not true or false"),
        ("item.name", "its result is a text"),
        ("item.none", "its result is null"),
        ("item.rows / 0 > 1", "divides by zero"),
        ("item.list[9] == 1", "index out of bounds"),
        ("9223372036854775807 + item.rows > 1", "a number is too large"),
        ("int(item.name) > 1", "invalid digit"),
        ("inputs.nope", "there is no 'nope'"),
    ],
)
def test_what_cannot_be_told_says_why(source: str, why: str) -> None:
    with pytest.raises(Untold) as untold:
        told(source)
    assert why in str(untold.value)


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        ("!" * 900 + "true", "true"),
        ("-" * 900 + "1 == 1", "true"),
        ("true" + " && true" * 100, "true"),
        ("1" + "+1" * 400 + " == 1", "false"),
        ("item" + ".b" * 400, "there is no 'b'"),
        ("[" * 50 + "]" * 50, "its result is a list"),
        ("size(" * 40 + "'a'" + ")" * 40, "Undefined variable or function: 'size'"),
        ("true ? 1 : " * 80 + "1", "its result is a number"),
    ],
)
def test_the_deepest_expressions_end_well(source: str, outcome: str) -> None:
    """A parser that recurses must not overrun its stack; what it makes of them is its own."""
    try:
        found = str(told(source)).lower()
    except (BadCondition, Untold) as error:
        found = str(error)
    assert outcome in found


def test_only_what_is_read_of_inputs_and_store_is_converted() -> None:
    around = Around(encode({"a": 1, "b": 2}), encode({"c": 3}))
    assert around.of(parse("inputs.a == 1")) == {"inputs": {"a": 1}}
    assert around.of(parse("'b' in inputs")) == {"inputs": {"a": 1, "b": 2}}
    assert around.of(parse("inputs.a == 1 && inputs['b'] == 2")) == {"inputs": {"a": 1, "b": 2}}
    assert around.of(parse("item.store == store.c")) == {"store": {"c": 3}}
    assert around.of(parse("index == 1")) == {}
