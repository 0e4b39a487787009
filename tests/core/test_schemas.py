"""Only a plain contradiction of types is a mismatch."""

from __future__ import annotations

from typing import Any

import pytest

from core.samples import after, graph, join, node, problems
from stoker.core.graph import Binding, Element, GraphSpec, InputSpec, KindSpec, NodeSpec, Ref, RunInput, Value


def wrong(binding: Binding, wanted: object, output: dict[str, Any] | None = None, *more: NodeSpec) -> str | None:
    """What is said of binding the input `x` (of this schema) of a node after `a` (with this output)."""
    kinds = {
        "out": KindSpec(name="out", output=output or {}),
        "in": KindSpec(name="in", input={"properties": {"x": wanted}}),
    }
    fire = more[0].fire if more else after("a")
    spec = graph(node("a", kind="out"), node("b", fire, kind="in", bind={"x": binding}), inputs=INPUTS)
    return _told(spec, kinds)


def _told(spec: GraphSpec, kinds: dict[str, KindSpec]) -> str | None:
    found = problems(spec, kinds)
    assert all((each.code, each.place) == ("schema_mismatch", "node 'b', input 'x'") for each in found)
    return found[0].message if found else None


INPUTS = {"n": InputSpec(schema={"type": "integer"}), "free": InputSpec()}
INT, TEXT, NUMBER = {"type": "integer"}, {"type": "string"}, {"type": "number"}


def array(items: object) -> dict[str, Any]:
    return {"type": "array", "items": items}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (1, INT),
        (1, NUMBER),
        (1.0, INT),
        (1.5, NUMBER),
        ("a", TEXT),
        (None, {"type": ["string", "null"]}),
        ([1], array(TEXT)),
        ({}, {"type": "object"}),
        (True, {}),
        (True, True),
        (1, {"enum": ["a"]}),
        (1, {"anyOf": [TEXT]}),
    ],
)
def test_a_literal_that_may_fit_is_left_alone(value: object, wanted: object) -> None:
    assert wrong(Value(value=value), wanted) is None


@pytest.mark.parametrize(
    ("value", "wanted", "message"),
    [
        ("1", INT, "the literal gives string, where integer is wanted."),
        (True, INT, "the literal gives boolean, where integer is wanted."),
        (None, {"type": ["string", "integer"]}, "the literal gives null, where integer or string is wanted."),
        (1.5, INT, "the literal 1.5 is not an integer."),
        ([], {"type": "object"}, "the literal gives array, where object is wanted."),
    ],
)
def test_a_literal_that_cannot_fit_is_named(value: object, wanted: dict[str, Any], message: str) -> None:
    assert wrong(Value(value=value), wanted) == message


def test_a_run_input_is_compared_with_its_own_schema() -> None:
    assert wrong(RunInput(name="n"), TEXT) == "the run's input 'n' gives integer, where string is wanted."
    assert wrong(RunInput(name="n"), INT) is None
    assert wrong(RunInput(name="free"), TEXT) is None
    assert wrong(RunInput(name="n", path=("deep",)), TEXT) is None


def test_a_reference_is_compared_with_what_lies_at_its_path() -> None:
    output = {"type": "object", "properties": {"n": INT, "list": array({"properties": {"t": TEXT}}), "any": True}}
    assert wrong(Ref(node="a"), INT, output) == "'a' gives object, where integer is wanted."
    assert wrong(Ref(node="a", path=("n",)), INT, output) is None
    assert wrong(Ref(node="a", path=("n",)), TEXT, output) == "'a' gives integer, where string is wanted."
    assert wrong(Ref(node="a", path=("list", 0, "t")), INT, output) == "'a' gives string, where integer is wanted."
    assert wrong(Ref(node="a", path=("unknown",)), INT, output) is None
    assert wrong(Ref(node="a", path=("any",)), INT, output) is None
    assert wrong(Ref(node="a", path=("n", "x")), INT, output) is None


def test_a_number_may_turn_out_to_be_an_integer() -> None:
    assert wrong(Ref(node="a"), INT, NUMBER) is None
    assert wrong(Ref(node="a"), NUMBER, INT) is None


def test_a_gathered_reference_is_a_list() -> None:
    gather = node("b", join("a"))
    assert wrong(Ref(node="a", many=True), array(INT), INT, gather) is None
    assert wrong(Ref(node="a", many=True), array({}), INT, gather) is None
    assert wrong(Ref(node="a", many=True), INT, INT, gather) == "'a' gives array, where integer is wanted."
    told = wrong(Ref(node="a", many=True), array(TEXT), INT, gather)
    assert told == "each element of 'a' gives integer, where string is wanted."


def test_an_element_is_compared_with_what_the_edge_expands() -> None:
    output = {"type": "object", "properties": {"parts": array(INT)}}
    expanding = node("b", after("a", ("parts",)))
    assert wrong(Element(of="a"), INT, output, expanding) is None
    assert wrong(Element(of="a"), TEXT, output, expanding) == "an element of 'a' gives integer, where string is wanted."
    assert wrong(Element(of="a"), TEXT, {"properties": {"parts": True}}, expanding) is None
    whole = node("b", after("a", ()))
    assert wrong(Element(of="a"), TEXT, array(INT), whole) == "an element of 'a' gives integer, where string is wanted."


def test_schemas_that_are_no_objects_say_nothing() -> None:
    kinds = {"odd": KindSpec(name="odd", input={"properties": []}, output={"properties": 3, "items": [INT]})}
    spec = graph(node("a", kind="odd"), node("b", after("a"), kind="odd", bind={"x": Ref(node="a", path=("p", 0))}))
    assert _told(spec, kinds) is None
