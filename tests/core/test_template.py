"""What bindings take of items and inputs, where there is one, many, or nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from core.samples import compiled, join, node
from stoker.core.graph import Binding, Each, Edge, InputSpec, Ref, RunInput, Text, Value
from stoker.core.model import ItemKey
from stoker.core.template import Below, Found, Place, inputs
from stoker.core.values import BadPath, encode

RUN, ROOT, TASK = 1, 0, 1


def bound(binding: Binding, *, item: object = None, given: dict[str, object] | None = None, below: Any = None) -> Any:
    """What the node after `root`, or (`below`) a join of it, is given. Nothing (...) if the input is left out."""
    fire = join("root", anchor="root") if below is not None else Each(way=Edge(node="root"))
    graph = compiled(
        node("root", kind="one" if below is None else "many"),
        node("task", fire, bind={"x": binding}),
        inputs={"i": InputSpec(required=False)},
    )
    found = Found(
        {ItemKey(RUN, ROOT, b"", 0): encode(item)},
        {Below(RUN, ROOT, b""): [encode(each) for each in below or ()]},
        {RUN: {name: encode(value) for name, value in (given or {}).items()}},
    )
    body = inputs(graph, Place(RUN, TASK, b""), {"x": binding}, found)
    return msgspec.json.decode(body["x"]) if body else ...


def test_a_reference_that_finds_nothing_says_so_in_its_own_words() -> None:
    with pytest.raises(BadPath, match=r"there is nothing at \$.a"):
        bound(Ref(node="root", path=("a",)), item={})
    with pytest.raises(BadPath, match="no a for task"):
        bound(Ref(node="root", path=("a",), says="no a for task"), item={})


def test_a_gathered_item_without_the_field_gives_null_if_it_may() -> None:
    ref = Ref(node="root", path=("a",), many=True)
    assert bound(msgspec.structs.replace(ref, sparse=True), below=[{"a": 1}, {}, 3]) == [1, None, None]
    with pytest.raises(BadPath):
        bound(ref, below=[{"a": 1}, {}])


def test_a_lone_item_is_no_list_and_several_are_one() -> None:
    ref = Ref(node="root", path=("a",), many=True, lone=True, sparse=True)
    assert bound(ref, below=[{"a": "x"}]) == "x"
    assert bound(ref, below=[{"a": "x"}, {}]) == ["x", None]
    assert bound(ref, below=[]) == []
    with pytest.raises(BadPath):
        bound(ref, below=[{}])


def test_an_item_that_is_no_object_is_taken_for_one_if_it_may() -> None:
    ref = Ref(node="root", path=("value",), boxed=True)
    assert (bound(ref, item=5), bound(ref, item=[5]), bound(ref, item={"value": 6})) == (5, [5], 6)
    with pytest.raises(BadPath):
        bound(ref, item={"other": 6})
    with pytest.raises(BadPath):
        bound(Ref(node="root", path=("other",), boxed=True), item=5)


def test_a_text_shows_other_values_as_compact_json_and_may_be_read_as_json() -> None:
    whole = Text(parts=(Value(value="<"), Ref(node="root"), Value(value=">")))
    assert bound(whole, item={"a": [1, None, True], "b": "c d"}) == '<{"a":[1,null,true],"b":"c d"}>'
    assert bound(whole, item="text") == "<text>"
    listed = Text(parts=(Value(value="["), Ref(node="root"), Value(value="]")), parsed=True)
    assert bound(listed, item=5) == [5]
    with pytest.raises(BadPath, match=r"the text '\[text\]' is not JSON"):
        bound(listed, item="text")


def test_an_input_that_was_not_given_is_replaced_or_left_out() -> None:
    assert bound(RunInput(name="i")) is None
    replaced = RunInput(name="i", otherwise=Text(parts=(Value(value="was "), Ref(node="root"))))
    assert (bound(replaced, item=5), bound(replaced, item=5, given={"i": "is"})) == ("was 5", "is")
    assert bound(replaced, item=5, given={"i": None}) == "was 5"
    left_out = Text(parts=(RunInput(name="i", optional=True),))
    assert (bound(left_out), bound(left_out, given={"i": "is"})) == (..., "is")
