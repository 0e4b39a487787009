"""Conditions on edges: what is wrong with them, how they are lowered, and what a false one does to what follows."""

from __future__ import annotations

from msgspec.structs import replace

from core.samples import Desk, compiled, graph, join, node, problems
from stoker.core.edges import lowered
from stoker.core.graph import ITEM_KIND, Each, Edge, Element, Expand, InputSpec, Join, KindSpec, ObjectOf, Ref, Value

BIG, SMALL = "item.rows > 100", "item.rows <= 100"


def if_(name: str, when: str, expand: tuple[str | int, ...] | None = None) -> Each:
    return Each(way=Edge(node=name, expand=expand, when=when))


def gathering(*of: str, anchor: str | None = None, **when: str) -> Join:
    return Join(anchor=anchor, of=of, when=when)


def test_problems_name_the_edge_and_all_are_told_at_once() -> None:
    spec = graph(
        node("a"),
        node("b", if_("a", "item.rows >")),
        node("c", if_("a", "rows > 1")),
        node("d", gathering("b", "c", c="nothing", z="true")),
    )
    assert [(one.code, one.place) for one in problems(spec)] == [
        ("bad_condition", "node 'b', the edge from 'a'"),
        ("bad_condition", "node 'c', the edge from 'a'"),
        ("bad_condition", "node 'd', the edge from 'c'"),
        ("bad_condition", "node 'd', the edge from 'z'"),
    ]


def test_a_condition_reads_inputs_that_the_graph_has() -> None:
    reads = node("b", if_("a", "inputs.there > 1 && has(inputs.gone) && store.anything == 'x'"))
    spec = replace(graph(node("a"), reads), inputs={"there": InputSpec()})
    (wrong,) = problems(spec)
    assert (wrong.code, wrong.place) == ("unknown_input", "node 'b', the edge from 'a'")
    assert "the input 'gone'" in wrong.message


def test_a_graph_without_conditions_is_not_touched() -> None:
    spec = graph(node("a"), node("b", join("a")))
    assert lowered(spec) is spec


def test_an_edge_into_a_join_leads_through_a_node_of_its_own() -> None:
    bind = {"all": ObjectOf(fields={"x": Ref(node="b", many=True), "y": Ref(node="c")})}
    spec = graph(node("a"), node("b", kind="many"), node("c"), node("j", gathering("b", "c", b=BIG), bind=bind))
    *given, door = lowered(spec).nodes
    assert [one.name for one in given] == ["a", "b", "c", "j"]
    assert (door.name, door.kind, door.fire) == ("b→j", ITEM_KIND, if_("b", BIG))
    assert given[3].fire == join("b→j", "c")
    assert given[3].bind == {"all": ObjectOf(fields={"x": Ref(node="b→j", many=True), "y": Ref(node="c")})}


def test_names_of_added_nodes_are_free_and_short() -> None:
    long = "x" * 150
    spec = graph(node(long), node("a"), node("a→j"), node("j", gathering(long, "a", a="true", **{long: "true"})))
    names = [one.name for one in compiled(*spec.nodes).nodes]
    assert names[4:] == ["a→j'", f"{'x' * 60}→j"]


def test_a_node_with_its_own_expand_has_its_condition_on_what_arrives() -> None:
    on = Desk(
        node("a"),
        node("b", if_("a", "item > 1"), expand=Expand(over=Value(value=[1, 2])), bind={"x": Element(of="b")}),
    )
    on.complete("a", value=1)
    assert (on.states("a→b"), on.states("b"), on.run_state) == (["SKIPPED"], [], "SUCCEEDED")


def test_a_false_edge_makes_a_skipped_task_and_a_true_one_a_ready_one() -> None:
    on = Desk(node("a"), node("b", if_("a", BIG)), node("c", if_("a", SMALL)))
    on.complete("a", value={"rows": 150})
    assert (on.states("b"), on.states("c"), on.task("c").code) == (["READY"], ["SKIPPED"], "condition")
    on.complete("b")
    assert on.run_state == "SUCCEEDED"


def test_a_condition_that_cannot_be_told_fails_the_task_that_would_have_been_made() -> None:
    on = Desk(node("a"), node("b", if_("a", BIG)), node("j", join("b")), node("k", join("b", policy="all_done")))
    on.complete("a", value={})
    assert (on.states("b"), on.task("b").code, on.task("j").code) == (["FAILED"], "condition", "failed")
    assert on.memory.history[-1].message == (
        "the condition 'item.rows > 100' on the edge from 'a' cannot be told: there is no 'rows'"
    )
    on.complete("k")
    assert on.run_state == "FAILED"


def test_a_tolerated_node_takes_an_untold_condition_as_pruned() -> None:
    on = Desk(node("a"), node("b", if_("a", BIG), tolerated=True), node("j", join("b")))
    on.complete("a", value={})
    assert (on.states("b"), on.task("j").code, on.run_state) == (["FAILED"], "pruned", "SUCCEEDED")


def test_what_failed_by_its_condition_is_not_retried_since_it_would_fail_again() -> None:
    on = Desk(node("a"), node("b", if_("a", BIG)), node("c", kind="one"))
    on.complete("a", value={})
    on.fail("c")
    assert on.memory.retry(1)
    assert (on.states("b"), on.states("c")) == (["FAILED"], ["READY"])


def test_two_ways_that_part_by_a_condition_meet_again() -> None:
    bind = {"x": Ref(node="b", optional=True), "y": Ref(node="c", default=7)}
    on = Desk(node("a"), node("b", if_("a", BIG)), node("c", if_("a", SMALL)), node("d", join("b", "c"), bind=bind))
    on.complete("a", value={"rows": 1})
    on.complete("c")
    assert on.states("d") == ["READY"]
    on.complete("d")
    assert on.run_state == "SUCCEEDED"


def test_a_join_behind_nothing_but_false_edges_is_pruned() -> None:
    on = Desk(node("a"), node("b", if_("a", "false")), node("c", if_("a", "false")), node("d", join("b", "c")))
    on.complete("a")
    assert (on.task("d").code, on.run_state) == ("pruned", "SUCCEEDED")


def test_an_input_whose_edge_was_false_is_named_by_the_skipped_join() -> None:
    bind = {"one": Ref(node="a"), "other": Ref(node="b")}
    on = Desk(node("a"), node("b"), node("j", gathering("a", "b", b="item > 1"), bind=bind))
    on.complete("a")
    on.complete("b", value=1)
    assert (on.states("j"), on.task("j").code) == (["SKIPPED"], "input_missing: other")


def test_a_join_gathers_only_what_its_edge_carries() -> None:
    bind = {"all": Ref(node="a", many=True)}
    on = Desk(node("a", kind="many"), node("j", gathering("a", a="item != 2 && index < 3"), bind=bind))
    on.complete("a", items=[1, 2, 3, 4])
    assert on.states("a→j") == ["SUCCEEDED", "SKIPPED", "SUCCEEDED", "SKIPPED"]
    assert on.memory.gathered[on.task("j").id, "a→j"] == [b"1", b"3"]


def test_schemas_are_compared_through_an_edge_with_a_condition() -> None:
    kinds = {
        "text": KindSpec(name="text", output={"type": "string"}),
        "number": KindSpec(name="number", input={"properties": {"x": {"type": "integer"}}}),
    }
    spec = graph(node("a", kind="text"), node("j", gathering("a", a="true"), kind="number", bind={"x": Ref(node="a")}))
    assert [one.code for one in problems(spec, kinds)] == ["schema_mismatch"]
