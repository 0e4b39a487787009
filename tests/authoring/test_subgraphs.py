"""`stoker.subgraph` in a graph: what it compiles to, what is pushed along, what cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest

import stoker
from stoker.core.graph import SUBGRAPH_KIND, Subgraph


@stoker.node
def square(n: int) -> int:
    return n * n


@stoker.graph
def leaf(n: int):
    return square(n)


@stoker.graph
def middle(n: int):
    return stoker.subgraph(leaf)(n)


def test_a_graph_is_pushed_behind_those_that_it_runs_and_with_all_of_their_kinds() -> None:
    @stoker.graph
    def top(ns: list[int]):
        return stoker.subgraph(middle).map(n=stoker.each(ns)), stoker.subgraph(leaf)(2)

    request = top.push_request()
    assert [spec.name for spec in request.inner] == ["leaf", "middle"]
    assert [kind.name for kind in request.kinds] == ["square"]
    assert [(node.name, node.kind, node.subgraph) for node in request.graph.nodes] == [
        ("middle", SUBGRAPH_KIND, Subgraph(graph="middle")),
        ("leaf", SUBGRAPH_KIND, Subgraph(graph="leaf")),
    ]


def test_a_graph_may_be_named_and_its_place_too() -> None:
    @stoker.graph
    def top():
        return stoker.subgraph("elsewhere", name="there")(n=1)

    (node,) = top.spec.nodes
    assert (node.name, node.subgraph) == ("there", Subgraph(graph="elsewhere"))
    assert top.push_request().inner == ()


def test_a_graph_that_runs_itself_is_refused() -> None:
    @stoker.graph
    def first():
        return stoker.subgraph(second)()

    @stoker.graph
    def second():
        return stoker.subgraph(first)()

    with pytest.raises(TypeError, match="'first' runs itself"):
        _ = first.spec


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: stoker.subgraph(square)(1), "neither a graph"),
        (lambda: stoker.subgraph("elsewhere")(1), "given by name"),
        (lambda: stoker.subgraph(leaf)(1, 2), "too many positional"),
        (lambda: stoker.subgraph(leaf)(m=2), "missing a required argument"),
    ],
)
def test_a_call_that_cannot_be_meant_is_refused_where_it_is_written(call: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        _ = stoker.graph(name="wrong")(call).spec


def test_a_subgraph_outside_of_a_graph_is_refused() -> None:
    with pytest.raises(TypeError, match="outside of a graph"):
        stoker.subgraph(leaf)(1)
