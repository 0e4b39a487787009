"""`stoker.loop` in a graph: what it compiles to, what it gives, what cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest

import stoker
from stoker.core.graph import ITEM_KIND, LOOP_KIND, Each, Edge, Iteration, Join, Loop, Ref


@stoker.node
def halve(state: dict[str, Any]) -> dict[str, Any]:
    return {"n": state["n"] / 2, "steps": state["steps"] + 1}


@stoker.node
def start(n: float) -> dict[str, Any]:
    return {"n": n, "steps": 0}


@stoker.node
def double(x: float) -> float:
    return 2 * x


@stoker.node
def pair(n: float, steps: int) -> dict[str, Any]:
    return {"n": n, "steps": steps}


@stoker.graph
def halved(n: float):
    return stoker.loop(halve, start(n), until="item.n < 1.0")["steps"]


def test_a_loop_is_a_held_node_with_a_start_and_an_end_of_each_iteration() -> None:
    _, held, first, step, last = halved.spec.nodes
    assert (held.kind, held.fire) == (LOOP_KIND, Each(way=Edge(node="start")))
    assert held.loop == Loop(next="halve.next", until="item.n < 1.0")
    assert (first.name, first.kind, first.fire) == ("halve.state", ITEM_KIND, Iteration(of="halve"))
    assert (step.name, step.fire) == ("halve.halve", Each(way=Edge(node="halve.state")))
    assert (last.name, last.fire) == ("halve.next", Join(anchor="halve.state", of=("halve.halve",), policy="all_done"))
    assert last.bind == {"state": Ref(node="halve.halve")}


def test_a_loop_gives_its_last_state() -> None:
    assert stoker.run(halved, n=10) == 4


def test_a_graph_is_looped_and_mapped_and_looped_inside_of_a_loop() -> None:
    @stoker.graph
    def thrice(state):
        return stoker.loop(halve, state, while_="index < 3", name="inner")

    @stoker.graph
    def both(n: float):
        ended = stoker.loop(thrice, start(n), until="item.n < 1.0")
        return pair(ended["n"], ended["steps"])

    @stoker.graph
    def all_of(ns: list[float]):
        return both.map(n=stoker.each(ns))

    assert stoker.run(all_of, ns=[7, 100]) == [{"n": 0.875, "steps": 3}, {"n": 0.1953125, "steps": 9}]


def test_an_iteration_fans_out_and_gathers() -> None:
    @stoker.graph
    def grow(state):
        return {"xs": double.map(x=stoker.each(state["xs"])), "by": state["by"]}

    @stoker.graph
    def grown(xs: list[float]):
        return stoker.loop(grow, {"xs": xs, "by": 2}, until="item.xs.all(x, x > 10.0)")["xs"]

    assert stoker.run(grown, xs=[1, 5, 8]) == [16, 80, 128]


def test_what_lies_above_a_loop_is_known_in_it_and_all_else_is_state() -> None:
    @stoker.graph
    def known(n: float):
        begun = start(n)

        @stoker.graph
        def step(state):
            return pair(double(state["n"]), begun["steps"])

        return stoker.loop(step, begun, until="item.n > 10.0")

    assert stoker.run(known, n=3) == {"n": 12, "steps": 0}

    @stoker.graph
    def unknown(n: float):
        other = double(n)

        @stoker.graph
        def step(state):
            return pair(other, state["steps"])

        return stoker.loop(step, start(n), until="item.n > 10.0")

    with pytest.raises(TypeError, match="does not lie above the loop"):
        _ = unknown.spec


def test_what_is_in_a_loop_stays_there() -> None:
    kept: list[Any] = []

    @stoker.graph
    def step(state):
        kept.append(halve(state))
        return kept[-1]

    @stoker.graph
    def leaking(n: float):
        stoker.loop(step, start(n), until="item.n < 1.0")
        return kept[-1]["n"]

    with pytest.raises(stoker.Rejected, match="cannot be read here"):
        stoker.run(leaking, n=3)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: stoker.loop(halve, {}), "one of the two"),
        (lambda: stoker.loop(halve, {}, until="true", while_="true"), "one of the two"),
        (lambda: stoker.loop(halve, {}, until="item.n <"), "cannot be used"),
        (lambda: stoker.loop(halve, {}, until="inputs.n > 1"), "reads `item`"),
        (lambda: stoker.loop(halve, {}, until="true", max_iterations=0), "from 1"),
        (lambda: stoker.loop(3, {}, until="true"), "neither a node nor a graph"),
    ],
)
def test_a_loop_that_cannot_be_meant_is_refused_where_it_is_written(call: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        _ = stoker.graph(name="wrong")(call).spec


def test_a_loop_outside_of_a_graph_is_refused() -> None:
    with pytest.raises(TypeError, match="outside of a graph"):
        stoker.loop(halve, {}, until="true")
