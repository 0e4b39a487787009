"""What a live graph may be, and what is refused, with its place."""

from __future__ import annotations

from typing import Any

import pytest

from core.samples import after, compiled, graph, join, node, problems
from stoker.core.graph import INPUT_KIND, Element, Expand, InputSpec, OnChange, Ref, RunInput, Value

INPUTS = {"x": InputSpec()}


def on_change(*of: str) -> OnChange:
    return OnChange(of=of)


def wrong(*nodes: Any, **options: Any) -> list[tuple[str, str]]:
    spec = graph(*nodes, mode="live", **{"inputs": INPUTS, **options})
    return [(problem.code, problem.place) for problem in problems(spec)]


def test_the_inputs_of_a_live_graph_are_nodes_behind_its_own() -> None:
    live = compiled(node("a", on_change("x")), mode="live", inputs=INPUTS)
    assert [(each.name, each.inline) for each in live.nodes] == [("a", False), ("x", True)]
    assert [live.nodes[kid.node].name for kid in live.place("x").kids] == ["a"]
    assert live.place("a").of == (1,)
    assert live.kids == ()


def test_a_node_that_comes_after_none_fires_at_the_trigger() -> None:
    live = compiled(node("a"), node("b", on_change()), mode="live", inputs=INPUTS)
    assert [live.nodes[kid.node].name for kid in live.kids] == ["a", "b"]


def test_a_node_must_have_what_it_refers_to_unless_that_is_optional() -> None:
    live = compiled(
        node("a", on_change("x")),
        node("b", on_change("x", "a"), bind={"p": RunInput(name="x"), "q": Ref(node="a", optional=True)}),
        node("c", OnChange(of=("x", "a"), require_all=True)),
        mode="live",
        inputs=INPUTS,
    )
    assert [each.must_have for each in live.nodes[:3]] == [(), (3,), (0, 3)]


@pytest.mark.parametrize(
    ("nodes", "code", "place"),
    [
        ([node("a"), node("b", after("a"))], "bad_live", "node 'b'"),
        ([node("a"), node("b", join("a"))], "bad_live", "node 'b'"),
        ([node("a", expand=Expand(over=Value(value=[1])))], "bad_live", "node 'a'"),
        ([node("a", kind="many"), node("b", on_change("a"))], "bad_live", "node 'b'"),
        ([node("a"), node("b", on_change("a"), bind={"p": Ref(node="a", many=True)})], "bad_live", "node 'b'"),
        ([node("a"), node("b", on_change("a"), bind={"p": Element(of="a")})], "bad_live", "node 'b'"),
        ([node("a"), node("b", bind={"p": Ref(node="a")})], "bad_live", "node 'b'"),
        ([node("a", bind={"p": RunInput(name="x")})], "bad_live", "node 'a'"),
        ([node("x")], "duplicate_node", "nodes[0]"),
        ([node("a", kind=INPUT_KIND)], "bad_live", "node 'a'"),
        ([node("a", on_change("nobody"))], "unknown_node", "node 'a'"),
        ([node("a", on_change("b")), node("b", on_change("a"))], "cycle", "graph"),
    ],
)
def test_what_cannot_be_live_is_refused_with_its_place(nodes: list[Any], code: str, place: str) -> None:
    assert (code, place) in wrong(*nodes)


def test_a_live_graph_has_no_result() -> None:
    assert wrong(node("a"), result=Ref(node="a")) == [("bad_live", "result")]


def test_a_graph_of_mode_once_has_no_node_that_fires_on_change() -> None:
    spec = graph(node("a"), node("b", on_change("a")))
    assert [problem.code for problem in problems(spec)] == ["bad_fire"]
