"""Every problem that a graph can have, with its place; and what a sound graph becomes."""

from __future__ import annotations

import re
import time
from pathlib import Path as File

import pytest

from core.samples import KINDS, after, compiled, graph, join, node, problems
from stoker.core import check_edges, check_nodes, spine
from stoker.core.compile import compile_graph
from stoker.core.compiled import Kid, Step
from stoker.core.graph import (
    ITEM_KIND,
    LOOP_KIND,
    Each,
    Edge,
    Element,
    Expand,
    GraphSpec,
    InputSpec,
    Iteration,
    Join,
    KindSpec,
    ListOf,
    Loop,
    NodeSpec,
    ObjectOf,
    Ref,
    Retry,
    RunInput,
    Value,
)
from stoker.core.laned import with_lanes
from stoker.errors import Invalid

STRICT = KindSpec(
    name="strict",
    input={"properties": {"x": {"type": "integer"}}, "required": ["x"], "additionalProperties": False},
    output={"type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string"}}},
)
KNOWN = {**KINDS, "strict": STRICT}
TEN = Expand(over=Value(value=list(range(10))))
A_TO_B = (node("a"), node("b", after("a")))

LOOP = (
    node("l", kind=LOOP_KIND, bind={"state": Value(value=0)}, loop=Loop(next="e", until="true")),
    node("s", Iteration(of="l"), kind=ITEM_KIND),
    node("e", join("s", anchor="s", policy="all_done"), kind=ITEM_KIND, bind={"state": Ref(node="s")}),
)

BAD: list[tuple[str, str, str, GraphSpec]] = [
    ("bad_name", "graph", "normal form C", GraphSpec(name="e\u0301", nodes=A_TO_B)),
    ("bad_name", "nodes[1]", "at least one character", graph(node("a"), node(""))),
    ("empty_graph", "graph", "at least one node", graph()),
    ("limit", "graph", "at most 5000 nodes; this one has 5001", graph(*(node(f"n{i}") for i in range(5001)))),
    ("duplicate_node", "nodes[1]", "the name 'a' is taken", graph(node("a"), node("a"))),
    ("unknown_kind", "node 'a'", "no kind 'two' is registered", graph(node("a", kind="two"))),
    ("bad_option", "node 'a'", "between 0 and 9, not 10", graph(node("a", priority=10))),
    ("bad_option", "node 'a'", "between 0 and 9, not -1", graph(node("a", priority=-1))),
    ("bad_option", "node 'a'", "max_losses is at least 1, not 0", graph(node("a", max_losses=0))),
    ("bad_option", "node 'a'", "a timeout is longer than 0", graph(node("a", timeout="0s"))),
    ("bad_option", "node 'a'", "a timeout is longer than 0", graph(node("a", timeout="0ms"))),
    ("bad_option", "node 'a'", "a timeout is longer than 0", graph(node("a", timeout=0.0))),
    ("bad_option", "node 'a'", "not 'later'", graph(node("a", timeout="later"))),
    ("bad_option", "node 'a'", "retry attempts", graph(node("a", retry=Retry(attempts=0)))),
    ("unknown_node", "node 'a'", "it comes after 'z'", graph(node("a", after("z")))),
    ("unknown_node", "node 'a'", "it comes after 'z'", graph(node("a", join("z")))),
    ("unknown_node", "node 'b'", "it comes after 'z'", graph(node("a"), node("b", join("a", anchor="z")))),
    ("unknown_node", "node 'a', input 'x'", "it refers to 'z'", graph(node("a", bind={"x": Ref(node="z")}))),
    (
        "unknown_node",
        "node 'a', input 'x'",
        "it refers to 'z'",
        graph(node("a", bind={"x": ListOf(items=(ObjectOf(fields={"y": Element(of="z")}),))})),
    ),
    ("unknown_node", "node 'a', expand", "it refers to 'z'", graph(node("a", expand=Expand(over=Ref(node="z"))))),
    ("unknown_node", "result", "it refers to 'z'", graph(node("a"), result=Ref(node="z"))),
    ("unknown_input", "node 'a', input 'x'", "no input 'y'", graph(node("a", bind={"x": RunInput(name="y")}))),
    (
        "unknown_input",
        "node 'a'",
        "'strict' has no input 'y'",
        graph(node("a", kind="strict", bind={"x": Value(value=1), "y": Value(value=1)})),
    ),
    ("missing_input", "node 'a'", "the input 'x' of kind 'strict' is not bound", graph(node("a", kind="strict"))),
    (
        "bad_expand",
        "node 'b'",
        "has a plain way in",
        graph(node("a"), node("b", after("a", ("parts",)), expand=TEN)),
    ),
    ("bad_expand", "node 'b'", "of one item", graph(node("a", kind="many"), node("b", after("a"), expand=TEN))),
    ("cycle", "graph", "wait for each other", graph(node("a", after("b")), node("b", after("a")))),
    ("cycle", "graph", "the nodes a → a wait", graph(node("a", after("a")))),
    ("cycle", "graph", "wait for each other", graph(node("a", join("b")), node("b", after("a")))),
    (
        "cycle",
        "graph",
        "wait for each other",
        graph(node("a", after("b")), node("b", join("c", anchor="a")), node("c")),
    ),
    ("bad_join", "node 'j'", "at least one node", graph(node("j", join()))),
    (
        "bad_anchor",
        "node 'j'",
        "its anchor 'b' does not lie above 'a'",
        graph(*A_TO_B, node("j", join("a", anchor="b"))),
    ),
    (
        "bad_anchor",
        "node 'j'",
        "its anchor 'b' does not lie above 'c'",
        graph(*A_TO_B, node("c", after("a")), node("j", join("b", "c", anchor="b"))),
    ),
    (
        "bad_anchor",
        "node 'k'",
        "its anchor 'b' does not lie above 'j'",
        graph(*A_TO_B, node("j", join("b", anchor="a")), node("k", join("j", anchor="b"))),
    ),
    (
        "schema_mismatch",
        "node 'a', input 'x'",
        "the literal gives string, where integer is wanted",
        graph(node("a", kind="strict", bind={"x": Value(value="1")})),
    ),
    (
        "bad_ref",
        "node 'b', input 'x'",
        "only a join whose anchor lies above 'a'",
        graph(node("a"), node("b", after("a"), bind={"x": Ref(node="a", many=True)})),
    ),
    (
        "bad_ref",
        "node 'j', input 'x'",
        "only a join whose anchor lies above 'a'",
        graph(*A_TO_B, node("c", after("b")), node("j", join("c", anchor="b"), bind={"x": Ref(node="a", many=True)})),
    ),
    (
        "bad_ref",
        "node 'j', input 'x'",
        "nothing leads from 'c' into this join",
        graph(*A_TO_B, node("c", after("a")), node("j", join("b", anchor="a"), bind={"x": Ref(node="c", many=True)})),
    ),
    (
        "bad_ref",
        "node 'j', input 'x'",
        "nothing leads from 'c' into this join",
        graph(*A_TO_B, node("c", after("a")), node("j", join("b", anchor="a"), bind={"x": Ref(node="c")})),
    ),
    (
        "bad_ref",
        "node 'j', input 'x'",
        "nothing leads from 'j' into this join",
        graph(node("a"), node("j", join("a"), bind={"x": Ref(node="j")})),
    ),
    (
        "bad_ref",
        "node 'j', input 'x'",
        "nothing leads from 'c' into this join",
        graph(node("a"), node("j", join("a"), bind={"x": Ref(node="c")}), node("c", after("j"))),
    ),
    (
        "bad_ref",
        "node 'b', input 'x'",
        "'a' has many items; refer to them with many=true",
        graph(
            node("a", kind="many"),
            node("j", join("a", anchor="a")),
            node("b", join("j", anchor="a"), bind={"x": Ref(node="a")}),
        ),
    ),
    (
        "bad_ref",
        "node 'b', input 'x'",
        "'c' does not lie above it",
        graph(*A_TO_B[:1], node("b", after("a"), bind={"x": Ref(node="c")}), node("c", after("a"))),
    ),
    (
        "bad_ref",
        "node 'j', input 'x'",
        "'b' can have several items here",
        graph(node("a"), node("b", after("a", ())), node("j", join("b", anchor="a"), bind={"x": Ref(node="b")})),
    ),
    (
        "bad_ref",
        "node 'j', expand",
        "'b' can have several items here",
        graph(node("a"), node("b", after("a", ())), node("j", join("b"), expand=Expand(over=Ref(node="b")))),
    ),
    (
        "bad_ref",
        "result",
        "'b' can have several items",
        graph(node("a"), node("b", after("a", ())), result=Ref(node="b")),
    ),
    (
        "bad_element",
        "node 'b', input 'x'",
        "no expansion of 'a' lies above it",
        graph(node("a"), node("b", after("a"), bind={"x": Element(of="a")})),
    ),
    (
        "bad_element",
        "node 'b', expand",
        "no expansion of 'b' lies above it",
        graph(node("a"), node("b", after("a"), expand=Expand(over=Element(of="b")))),
    ),
    (
        "bad_loop",
        "node 'd', input 'x'",
        "'s' cannot be read here",
        graph(*LOOP, node("d", after("l"), bind={"x": Ref(node="s")})),
    ),
    ("bad_loop", "node 'd'", "out of which no edge leads", graph(*LOOP, node("d", join("l", "s")))),
    ("bad_loop", "result", "'s' cannot be read here", graph(*LOOP, result=Ref(node="s", many=True))),
    ("bad_element", "result", "a result has no element", graph(node("a", expand=TEN), result=Element(of="a"))),
]


@pytest.mark.parametrize(("code", "place", "message", "spec"), BAD)
def test_a_problem_has_its_code_and_its_place(code: str, place: str, message: str, spec: GraphSpec) -> None:
    (found,) = problems(spec, KNOWN)
    assert (found.code, found.place) == (code, place)
    assert message in found.message


def test_every_code_of_the_compiler_is_shown_above() -> None:
    passes = (check_nodes, spine, check_edges)
    source = "".join(File(module.__file__).read_text() for module in passes)
    codes = set(re.findall(r'self\.problem\(\s*"(\w+)"', source))
    assert codes == {code for code, *_ in BAD} | {"unreachable"}


def test_every_ring_is_told_and_what_lies_behind_them() -> None:
    spec = graph(
        node("a", after("c")),
        node("b", after("a")),
        node("c", after("b")),
        node("d", after("d")),
        node("e", join("c", "d", "f")),
        node("f"),
    )
    assert [(one.code, one.place, one.message) for one in problems(spec)] == [
        ("cycle", "graph", "the nodes b → c → a → b wait for each other."),
        ("cycle", "graph", "the nodes d → d wait for each other."),
        ("unreachable", "node 'e'", "it comes after nodes that wait for each other, so it can never run."),
    ]


def test_all_problems_are_reported_at_once() -> None:
    spec = GraphSpec(
        name="",
        nodes=(
            node("a", kind="none", priority=12, max_losses=0),
            node("a", after("z")),
            node("c", kind="strict", bind={"y": RunInput(name="q")}, timeout="x"),
        ),
        result=Ref(node="r"),
    )
    with pytest.raises(Invalid) as caught:
        compile_graph(spec, KNOWN)
    assert [problem.code for problem in caught.value.problems] == [
        "bad_name",
        "duplicate_node",
        "unknown_kind",
        "bad_option",
        "bad_option",
        "unknown_node",
        "bad_option",
        "unknown_input",
        "unknown_input",
        "missing_input",
        "unknown_node",
    ]
    shown = str(caught.value)
    assert "has 11 problems" in shown
    assert "  - node 'a': no kind 'none' is registered. Push it with the graph" in shown


def test_all_bad_joins_and_all_bad_references_are_reported_at_once() -> None:
    joins = graph(*A_TO_B, node("j", join("a", anchor="b")), node("k", join()), node("l", join("a", anchor="j")))
    assert [(each.code, each.place) for each in problems(joins)] == [
        ("bad_anchor", "node 'j'"),
        ("bad_join", "node 'k'"),
        ("bad_anchor", "node 'l'"),
    ]
    bind = {"x": Ref(node="c"), "y": Ref(node="a", many=True), "z": Element(of="a")}
    assert len(problems(graph(*A_TO_B, node("c", after("b"), bind=bind)))) == 3


def test_a_sound_graph_says_how_tasks_stand_and_what_they_touch() -> None:
    found = compiled(
        node("years", kind="one"),
        node("month", after("years", ("months",)), kind="many"),
        node("day", after("month")),
        node("total", join("day", anchor="month")),
        node("report", join("total", anchor="years", policy="all_done"), tolerated=True),
        node("end", join("report")),
    )
    years, month, day, total, report, end = (
        found.place(n) for n in ("years", "month", "day", "total", "report", "end")
    )
    steps = (Step(years.index, "element", ("months",)), Step(month.index, "item"))
    assert (years.steps, month.steps, day.steps) == ((), steps[:1], steps)
    assert (total.steps, report.steps, end.steps) == (steps[:1], (), ())
    assert (years.feeds, month.feeds, day.feeds) == ((end.index,), (report.index,), (total.index,))
    assert (total.feeds, report.feeds, end.feeds) == ((report.index,), (end.index,), ())
    assert day.touches == (total.index, report.index, end.index)
    assert (years.opens, month.opens, found.opens) == ((report.index,), (total.index,), (end.index,))
    assert (years.straight, day.straight, total.straight) == ((), (total.index,), (report.index,))
    assert found.row_depth == {total.index: 1, report.index: 0, end.index: 0}
    assert found.kids == (Kid(years.index, None, False, (end.index,)),)
    assert years.kids == (Kid(month.index, ("months",), False, (report.index,)),)
    assert month.kids == (Kid(day.index, None, True, (total.index,)),)
    assert (report.all_done, total.all_done) == (True, False)


def test_a_task_counts_for_the_nearest_join_above_it_and_not_for_those_behind() -> None:
    """A later join with the same anchor learns of it through the first."""
    found = compiled(*A_TO_B, node("j", join("b", anchor="a")), node("k", join("j", anchor="a")))
    assert found.place("b").feeds == (found.names["j"],)
    assert found.place("j").feeds == (found.names["k"],)
    both = compiled(*A_TO_B, node("j", join("b", anchor="a")), node("k", join("j", "b", anchor="a")))
    assert both.place("b").feeds == (both.names["j"], both.names["k"])


def test_a_join_knows_which_single_items_it_cannot_do_without() -> None:
    bind = {
        "b": Ref(node="b"),
        "c": ListOf(items=(Ref(node="c", optional=True),)),
        "many": Ref(node="b", many=True),
        "above": Ref(node="a"),
    }
    found = compiled(*A_TO_B, node("c", after("a")), node("j", join("b", "c", anchor="a"), bind=bind))
    assert found.place("j").must_have == (found.names["b"],)
    assert found.place("j").plain
    own = compiled(*A_TO_B, node("j", join("b", anchor="a"), expand=Expand(over=Ref(node="b", path=("parts",)))))
    assert own.place("j").must_have == (own.names["b"],)


@pytest.mark.parametrize(
    ("nodes", "plain"),
    [
        ((node("j", join("b", anchor="a")),), True),
        ((node("c", after("b")), node("j", join("c", anchor="a"), bind={"x": Ref(node="b")})), True),
        ((node("c", after("a", ())), node("j", join("b", "c", anchor="a"))), False),
        ((node("c", after("a"), kind="many"), node("j", join("b", "c", anchor="a"))), False),
        (
            (
                node("k", join("b", anchor="a", policy="all_done")),
                node("j", join("k", anchor="a"), bind={"x": Ref(node="b")}),
            ),
            False,
        ),
    ],
)
def test_a_join_is_plain_if_its_straight_parents_prove_all_its_items(nodes: tuple[NodeSpec, ...], plain: bool) -> None:
    assert compiled(*A_TO_B, *nodes).place("j").plain is plain


def test_what_may_be_bound_may_be_bound() -> None:
    sound = graph(
        node("a", bind={"x": RunInput(name="q", path=("deep", 0))}),
        node("b", after("a", ()), kind="many", bind={"e": Element(of="a", path=("k",)), "a": Ref(node="a")}),
        node("c", after("b"), bind={"b": Ref(node="b"), "e": Element(of="a")}),
        node("d", after("c"), expand=Expand(over=Element(of="a"))),
        node("e", after("d"), bind={"d": Element(of="d"), "own": Ref(node="d")}),
        node("f", join("e", anchor="b"), bind={"b": Ref(node="b", many=True), "e": Ref(node="e", many=True)}),
        node("g", join("f"), bind={"c": Ref(node="c", many=True), "a": Ref(node="a")}),
        inputs={"q": InputSpec()},
        result=ObjectOf(fields={"g": Ref(node="g"), "all": Ref(node="e", many=True), "q": RunInput(name="q")}),
    )
    assert problems(sound) == ()


def test_the_order_in_which_nodes_are_written_does_not_matter() -> None:
    nodes = (*A_TO_B, node("c", after("a")), node("j", join("b", "c", anchor="a")))
    there, back = compiled(*nodes), compiled(*reversed(nodes))
    for one in there.nodes:
        other = back.place(one.name)
        assert {there.nodes[i].name for i in one.touches} == {back.nodes[i].name for i in other.touches}


def test_the_item_kind_needs_no_registration_and_cannot_be_replaced() -> None:
    kinds = {ITEM_KIND: KindSpec(name=ITEM_KIND, items="many")}
    found = compile_graph(graph(node("a", kind=ITEM_KIND)), kinds)
    assert found.nodes[0].inline
    assert found.nodes[0].kind.items == "one"


def test_each_node_gets_its_queue() -> None:
    found = compile_graph(graph(*A_TO_B), KINDS, {"a": 7})
    assert [each.lane for each in found.nodes] == [7, 0]
    assert [each.lane for each in with_lanes(found, {"b": 3}).nodes] == [0, 3]


def test_options_are_read_once() -> None:
    (only,) = compiled(node("a", timeout="1m", retry=Retry(base="1s"))).nodes
    assert (only.times.attempt, only.retry.base) == (60_000_000, 1_000_000)


def _chain(length: int) -> GraphSpec:
    return graph(*(node(f"n{i}", after(f"n{i - 1}") if i else None) for i in range(length)))


def _fan(width: int) -> GraphSpec:
    names = [f"n{i}" for i in range(width)]
    return graph(node("a"), *(node(name, after("a")) for name in names), node("j", join(*names, anchor="a")))


def _joins(length: int) -> GraphSpec:
    gather = (Join(anchor=f"n{i - 1}", of=(f"n{i - 1}",)) if i else Each() for i in range(length))
    return graph(*(node(f"n{i}", fire) for i, fire in enumerate(gather)))


def _layers(layers: int, width: int) -> GraphSpec:
    names = [[f"n{i}.{j}" for j in range(width)] for i in range(layers)]
    fire = [[join(*names[i - 1]) if i else Each() for _ in range(width)] for i in range(layers)]
    return graph(*(node(name, fire[i][j]) for i, layer in enumerate(names) for j, name in enumerate(layer)))


@pytest.mark.parametrize(
    "spec", [_chain(5_000), _fan(3_000), _joins(5_000), _layers(20, 40)], ids=["chain", "fan", "joins", "layers"]
)
def test_large_graphs_compile_without_recursion_or_squares(spec: GraphSpec) -> None:
    start = time.process_time()
    found = compile_graph(spec, KINDS)
    assert len(found.nodes) == len(spec.nodes)
    assert time.process_time() - start < 2


def test_an_edge_with_an_expansion_of_the_item_itself_is_not_a_plain_edge() -> None:
    plain, whole = Edge(node="a"), Edge(node="a", expand=())
    assert compiled(node("a"), node("b", Each(way=plain))).place("b").steps == ()
    assert compiled(node("a"), node("b", Each(way=whole))).place("b").steps == (Step(0, "element", ()),)


def test_a_diamond_that_multiplies_is_a_warning() -> None:
    xs = Ref(node="a", path=("xs",))
    inside = node("c", after("b"), expand=Expand(over=xs))
    found = compiled(node("a"), node("b", after("a", ("xs",))), inside)
    (told,) = found.warnings
    assert told.startswith("node 'c' goes over the list of 'a' again on each branch that it has fanned out to")
    other = node("c", after("b"), expand=Expand(over=Ref(node="a", path=("ys",))))
    beside = node("c", after("a"), expand=Expand(over=xs))
    for fine in (other, beside):
        assert compiled(node("a"), node("b", after("a", ("xs",))), fine).warnings == ()
