"""Nodes that several ways lead to run once for each path."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from core.samples import KINDS, Desk, after, compiled, graph, join, node, problems
from stoker.core import paths
from stoker.core.compile import compile_graph
from stoker.core.graph import Each, Edge, Element, Expand, KindSpec, NodeSpec, Ref, Splice, Value
from stoker.core.model import ItemKey
from stoker.core.template import Below, Found, Place, render
from stoker.core.values import encode


def over(*names: str) -> Each:
    return Each(ways=tuple(Edge(node=name) for name in names))


def diamonds(count: int, kind: str = "one") -> list[NodeSpec]:
    nodes = [node("a0", kind=kind)]
    for at in range(count):
        nodes += [node(f"{side}{at}", after(f"a{at}"), kind=kind) for side in "bc"]
        nodes.append(node(f"a{at + 1}", over(f"b{at}", f"c{at}"), kind=kind))
    return nodes


def test_the_point_of_a_diamond_runs_once_for_each_side() -> None:
    on = Desk(*diamonds(1))
    for name in ("a0", "b0", "c0", "a1", "a1~2"):
        on.complete(name)
    assert [on.run_state, on.memory.runs[1].tasks] == ["SUCCEEDED", 5]
    assert [one.name for one in on.memory.graph.nodes] == ["a0", "b0", "c0", "a1", "a1"]


def test_each_path_counts_behind_each_other() -> None:
    found = compiled(*diamonds(4))
    assert [sum(one.name == f"a{at}" for one in found.nodes) for at in range(5)] == [1, 2, 4, 8, 16]
    assert found.warnings[-1] == "16 paths lead to the node 'a4', which runs once for each. A join would unite them."


def test_a_single_way_among_ways_is_that_way() -> None:
    assert compiled(node("a"), node("b", over("a"))).nodes[1].spec.fire == after("a")


def test_a_copy_reads_what_is_above_it_on_its_own_path() -> None:
    element = {"x": Ref(node="b0"), "y": Ref(node="a0")}
    spec = graph(*diamonds(1), node("z", after("a1"), bind={"a": Ref(node="a1"), "y": Ref(node="a0")}))
    copies = [one.spec.bind for one in compile_graph(spec, KINDS).nodes if one.name == "z"]
    assert copies == [
        {"a": Ref(node="a1"), "y": Ref(node="a0")},
        {"a": Ref(node="a1~2"), "y": Ref(node="a0")},
    ]
    bad = graph(*diamonds(1)[:-1], node("a1", over("b0", "c0"), bind=element))
    assert [(one.code, one.message) for one in problems(bad)] == [
        ("bad_ref", "'b0' does not lie above it, nor between its anchor and itself.")
    ]


def test_an_element_is_that_of_the_path() -> None:
    kinds = {**KINDS, "list": KindSpec(name="list")}
    spec = graph(
        node("a"),
        node("b", after("a")),
        node("d", Each(ways=(Edge(node="a"), Edge(node="b"))), expand=Expand(over=Value(value=[1, 2]))),
        node("e", after("d"), bind={"x": Element(of="d")}),
    )
    bind = [one.spec.bind["x"] for one in compile_graph(spec, kinds).nodes if one.name == "e"]
    assert bind == [Element(of="d"), Element(of="d~2")]


def test_a_join_waits_for_all_paths_below_its_anchor() -> None:
    on = Desk(*diamonds(1), node("j", join("a1", anchor="a0")))
    for name in ("a0", "b0", "a1"):
        on.complete(name)
    assert on.states("j") == []
    on.complete("c0")
    on.complete("a1~2")
    assert on.states("j") == ["READY"]


def test_a_join_on_a_copied_anchor_is_one_for_each() -> None:
    on = Desk(*diamonds(1), node("x", after("a1")), node("j", join("x", anchor="a1")))
    for name in ("a0", "b0", "c0", "a1", "a1~2", "x"):
        on.complete(name)
    assert (on.states("j"), on.states("j~2")) == (["READY"], [])
    on.fail("x~2", retryable=False)
    assert on.states("j~2") == ["SKIPPED"]


def test_what_all_paths_gave_is_one_list_in_branch_order() -> None:
    """Branch by branch: the side of the diamond counts before the index within it."""
    nodes = [replace(one, kind="many") for one in diamonds(1)]
    found = compiled(*nodes, node("j", join("a1", anchor="a0"), bind={"x": Ref(node="a1", many=True)}))
    binding = found.place("j").spec.bind["x"]
    assert binding == Splice(of=(Ref(node="a1", many=True), Ref(node="a1~2", many=True)))
    below, keys = {}, {}
    for copy in ("a1", "a1~2"):
        index = found.names[copy]
        need = Below(1, index, b"")
        branches = [b"\0\1" + bytes([at]) + b"\0\1" + bytes([to]) for at in (0, 1) for to in (0, 1)]
        keys[need] = [ItemKey(1, index, branch, 0) for branch in branches]
        below[need] = [encode(f"{copy}:{branch[2]}{branch[5]}") for branch in branches]
    body = render(found, Place(1, found.names["j"], b""), binding, Found({}, below, {}, {}, keys))
    assert msgspec.json.decode(body) == [
        f"{copy}:{at}{to}" for at in (0, 1) for copy in ("a1", "a1~2") for to in (0, 1)
    ]


def test_several_paths_to_what_is_read_once_are_a_problem() -> None:
    spec = graph(*diamonds(1), node("j", join("a1", anchor="a0"), bind={"x": Ref(node="a1")}))
    wrong = "'a1' can have several items here; refer to them with many=true."
    assert [one.message for one in problems(spec)] == [wrong]
    assert wrong in [one.message for one in problems(replace(graph(*diamonds(1)), result=Ref(node="a1")))]


def test_ways_are_different_and_have_no_loop_about_them() -> None:
    twice = graph(node("a"), node("b", Each(ways=(Edge(node="a"), Edge(node="a")))))
    assert [(one.code, one.place) for one in problems(twice)] == [("bad_way", "node 'b'")]


def test_a_ring_or_an_unknown_node_is_told_as_in_any_graph() -> None:
    ring = graph(node("a"), node("b", over("a", "c")), node("c", after("b")))
    assert [one.code for one in problems(ring)] == ["cycle"]
    assert [one.code for one in problems(graph(node("a"), node("b", over("a", "z"))))] == ["unknown_node"]


def test_conditions_stand_on_the_ways_that_have_them() -> None:
    on = Desk(
        node("a"),
        node("b", after("a")),
        node("d", Each(ways=(Edge(node="a", when="item > 1"), Edge(node="b", when="item <= 1")))),
        node("j", join("d")),
    )
    on.complete("a", value=1)
    on.complete("b", value=1)
    assert (on.states("d"), on.states("d~2"), on.states("j")) == (["SKIPPED"], ["READY"], [])
    on.complete("d~2")
    assert on.states("j") == ["READY"]


def test_paths_beyond_the_limit_fail_where_they_begin() -> None:
    """Each node keeps one path; a join that waits for the others sees that they failed."""
    before, paths.MOST = paths.MOST, 12  # type: ignore[misc]  # a limit that a small graph reaches
    try:
        on = Desk(*diamonds(3), node("z", after("a3")), node("j", join("z", anchor="a0")))
        found = compiled(*diamonds(14))
    finally:
        paths.MOST = before  # type: ignore[misc]  # as it was
    assert len(found.nodes) < 12 + 2 * len(diamonds(14))
    while on.memory.live():
        task = on.memory.tasks[on.memory.live()[0]]
        on.complete(on.memory.graph.nodes[task.node].spec.name)
    assert on.run_state == "FAILED"
    failed = [task for task in on.memory.tasks.values() if task.state.name == "FAILED"]
    assert {task.code for task in failed} == {"limit"}
    assert on.states("j") == ["SKIPPED"]
    beyond = {on.memory.graph.nodes[task.node].beyond for task in failed}
    assert all("more than 12 paths lead through the graph" in each for each in beyond)
