"""Where nodes stand and how they fire, for each form in which handles can be passed."""

from __future__ import annotations

import re

import pytest

import stoker.authoring as stoker
from stoker.core.compile import compile_graph
from stoker.core.graph import (
    ITEM_KIND,
    Each,
    Edge,
    Element,
    Expand,
    GraphSpec,
    InputSpec,
    Join,
    ListOf,
    NodeSpec,
    ObjectOf,
    Ref,
    RunInput,
    Store,
    Text,
    Value,
)


@stoker.node
def source(x=None) -> list: ...


@stoker.node
def pages(x=None) -> stoker.Items: ...


@stoker.node
def a(x=None, y=None): ...


@stoker.node
def b(x=None, y=None): ...


@stoker.node
def c(x=None, y=None): ...


@stoker.node
def d(x=None, y=None): ...


def lowered(code) -> GraphSpec:
    request = stoker.graph(code).push_request()
    compile_graph(request.graph, {kind.name: kind for kind in request.kinds})
    return request.graph


def place(spec: GraphSpec, name: str) -> NodeSpec:
    return {node.name: node for node in spec.nodes}[name]


def test_a_node_without_handles_fires_at_the_trigger():
    spec = lowered(lambda: a(x=1))
    assert place(spec, "a").fire == Each()
    assert place(spec, "a").bind == {"x": Value(value=1)}


def test_a_run_input_is_no_way_in():
    spec = lowered(lambda start: a(x=start["part"][0]))
    assert place(spec, "a").fire == Each()
    assert place(spec, "a").bind == {"x": RunInput(name="start", path=("part", 0))}


def test_one_handle_is_an_edge():
    spec = lowered(lambda: b(a()["key"]))
    assert place(spec, "b").fire == Each(way=Edge(node="a"))
    assert place(spec, "b").bind == {"x": Ref(node="a", path=("key",))}


def test_a_handle_above_another_one_is_only_a_reference():
    def program():
        first = a()
        return c(b(first), first)

    assert place(lowered(program), "c").fire == Each(way=Edge(node="b"))


def test_a_diamond_joins_at_where_the_ways_part():
    def program():
        top = a()
        return d(b(top), c(top))

    assert place(lowered(program), "d").fire == Join(anchor="a", of=("b", "c"))


def test_ways_that_part_at_the_trigger_join_there():
    spec = lowered(lambda: d(a(), b()))
    assert place(spec, "d").fire == Join(anchor=None, of=("a", "b"))
    assert place(spec, "d").bind == {"x": Ref(node="a"), "y": Ref(node="b")}


def test_mapping_expands_the_edge():
    spec = lowered(lambda: a.map(x=stoker.each(source()["list"])))
    assert place(spec, "a").fire == Each(way=Edge(node="source", expand=("list",)))
    assert place(spec, "a").bind == {"x": Element(of="source")}
    assert spec.result == Ref(node="a", many=True)


def test_a_mapped_handle_passed_plainly_gathers_at_the_source():
    spec = lowered(lambda: b(a.map(x=stoker.each(source()))["total"]))
    assert place(spec, "b").fire == Join(anchor="source", of=("a",))
    assert place(spec, "b").bind == {"x": Ref(node="a", path=("total",), many=True)}


def test_a_mapped_handle_that_is_mapped_stays_on_its_branch():
    spec = lowered(lambda: b.map(x=a.map(x=stoker.each(source()))))
    assert place(spec, "b").fire == Each(way=Edge(node="a"))


def test_the_element_and_what_was_made_of_it_need_no_join():
    def program():
        ys = source()
        return d.map(x=stoker.each(ys), y=b.map(x=stoker.each(ys)))

    spec = lowered(program)
    assert place(spec, "d").fire == Each(way=Edge(node="b"))
    assert place(spec, "d").bind == {"x": Element(of="source"), "y": Ref(node="b")}


def test_ways_that_part_at_an_element_join_at_an_item_node():
    def program():
        ys = source()
        return d.map(x=b.map(x=stoker.each(ys)), y=c.map(x=stoker.each(ys)))

    spec = lowered(program)
    item = place(spec, "source.item")
    assert item.kind == ITEM_KIND
    assert item.fire == Each(way=Edge(node="source", expand=()))
    assert item.bind == {"item": Element(of="source")}
    assert place(spec, "b").fire == Each(way=Edge(node="source.item"))
    assert place(spec, "b").bind == {"x": Ref(node="source.item")}
    assert place(spec, "d").fire == Join(anchor="source.item", of=("b", "c"))


def test_a_diamond_in_a_mapped_graph_joins_per_element():
    @stoker.graph
    def inner(x):
        top = a(x)
        return d(b(top), c(top))

    spec = lowered(lambda: inner.map(x=stoker.each(source())))
    assert place(spec, "inner.a").fire == Each(way=Edge(node="source", expand=()))
    assert place(spec, "inner.d").fire == Join(anchor="inner.a", of=("inner.b", "inner.c"))


def test_inside_a_mapped_graph_a_mapped_handle_gathers_per_element():
    @stoker.graph
    def inner(x):
        return c(b.map(x=stoker.each(a(x))))

    spec = lowered(lambda: inner.map(x=stoker.each(source())))
    assert place(spec, "inner.c").fire == Join(anchor="inner.a", of=("inner.b",))


def test_a_nested_element_is_expanded_behind_its_item_node():
    @stoker.graph
    def inner(x):
        return b(a.map(x=stoker.each(x)))

    spec = lowered(lambda: inner.map(x=stoker.each(source())))
    assert place(spec, "inner.a").fire == Each(way=Edge(node="source.item", expand=()))
    assert place(spec, "inner.b").fire == Join(anchor="source.item", of=("inner.a",))


def test_a_constant_in_a_mapped_graph_is_made_per_element():
    @stoker.graph
    def inner(x):
        return a(x=1)

    spec = lowered(lambda: inner.map(x=stoker.each(source())))
    assert place(spec, "inner.a").fire == Each(way=Edge(node="source", expand=()))
    assert place(spec, "inner.a").bind == {"x": Value(value=1)}


def test_a_literal_is_expanded_by_the_node_itself():
    spec = lowered(lambda: b.map(x=a.map(x=stoker.each([1, 2]))))
    assert place(spec, "a").fire == Each()
    assert place(spec, "a").expand == Expand(over=Value(value=[1, 2]))
    assert place(spec, "a").bind == {"x": Element(of="a")}
    assert place(spec, "b").fire == Each(way=Edge(node="a"))


def test_a_run_input_is_expanded_by_the_node_itself():
    spec = lowered(lambda start: c(b.map(x=stoker.each(start))))
    assert place(spec, "b").expand == Expand(over=RunInput(name="start"))
    assert place(spec, "c").fire == Join(anchor=None, of=("b",))


def test_an_element_of_an_own_expand_is_known_further_down():
    def program(start):
        e = stoker.each(start)
        return d.map(x=e, y=b.map(x=e))

    spec = lowered(program)
    assert place(spec, "d").fire == Each(way=Edge(node="b"))
    assert place(spec, "d").bind == {"x": Element(of="b"), "y": Ref(node="b")}


def test_nodes_over_the_same_run_input_share_an_item_node():
    def program(start):
        return d.map(x=b.map(x=stoker.each(start)), y=c.map(x=stoker.each(start)))

    spec = lowered(program)
    assert place(spec, "start.item").expand == Expand(over=RunInput(name="start"))
    assert place(spec, "b").fire == Each(way=Edge(node="start.item"))
    assert place(spec, "b").expand is None
    assert place(spec, "d").fire == Join(anchor="start.item", of=("b", "c"))


def test_a_list_is_gone_over_per_element_inside_a_mapped_graph():
    @stoker.graph
    def inner(x):
        return b(a.map(x=stoker.each([1, 2])), x)

    spec = lowered(lambda: inner.map(x=stoker.each(source())))
    assert place(spec, "inner.a").fire == Each(way=Edge(node="source.item"))
    assert place(spec, "inner.a").expand == Expand(over=Value(value=[1, 2]))
    assert place(spec, "inner.b").fire == Join(anchor="source.item", of=("inner.a",))


def test_what_does_not_lie_above_the_source_makes_a_join_with_an_expand_of_its_own():
    def program():
        return d.map(x=stoker.each(source()), y=a())

    spec = lowered(program)
    assert place(spec, "d").fire == Join(anchor=None, of=("source", "a"))
    assert place(spec, "d").expand == Expand(over=Ref(node="source"))
    assert place(spec, "d").bind == {"x": Element(of="d"), "y": Ref(node="a")}


def test_a_mapped_handle_with_an_outer_one_waits_for_the_gathered_list():
    def program():
        return d.map(x=b.map(x=stoker.each(source()))["part"], y=a())

    spec = lowered(program)
    assert place(spec, "d").fire == Join(anchor=None, of=("b", "a"))
    assert place(spec, "d").expand == Expand(over=Ref(node="b", many=True))
    assert place(spec, "d").bind["x"] == Element(of="d", path=("part",))


def test_an_outer_handle_is_brought_along_into_a_mapped_graph():
    @stoker.graph
    def inner(x, config):
        return c(b.map(x=stoker.each(x), y=config), config)

    spec = lowered(lambda: inner.map(x=stoker.each(source()), config=a()))
    pack = place(spec, "inner.item")
    assert pack.kind == ITEM_KIND
    assert pack.fire == Join(anchor=None, of=("source", "a"))
    assert pack.expand == Expand(
        over=ListOf(items=(ObjectOf(fields={"0": Ref(node="a"), "each": Ref(node="source")}),))
    )
    assert place(spec, "inner.b").bind["y"] == Ref(node="inner.item", path=("0",))


def test_the_items_of_a_node_map_without_each():
    spec = lowered(lambda: b(a.map(x=pages())))
    assert place(spec, "a").fire == Each(way=Edge(node="pages"))
    assert place(spec, "a").bind == {"x": Ref(node="pages")}
    assert place(spec, "b").fire == Join(anchor=None, of=("a",))


def test_the_items_of_a_node_passed_plainly_gather():
    spec = lowered(lambda: a(pages()))
    assert place(spec, "a").fire == Join(anchor=None, of=("pages",))
    assert place(spec, "a").bind == {"x": Ref(node="pages", many=True)}


def test_ways_that_part_at_an_item_join_at_an_item_node():
    def program():
        page = pages()
        return d.map(x=b.map(x=page), y=c.map(x=page))

    spec = lowered(program)
    assert place(spec, "pages.item").fire == Each(way=Edge(node="pages"))
    assert place(spec, "d").fire == Join(anchor="pages.item", of=("b", "c"))


def test_all_done_joins_at_the_start_of_its_scope_and_may_lack_its_inputs():
    def program():
        return b.options(join="all_done")(a(), 1)

    spec = lowered(program)
    assert place(spec, "b").fire == Join(anchor=None, of=("a",), policy="all_done")
    assert place(spec, "b").bind["x"] == Ref(node="a", optional=True)


def test_all_done_in_a_mapped_graph_joins_at_the_item():
    @stoker.graph
    def inner(x, whole):
        return c.options(join="all_done")(b(a(x)), whole)

    def program():
        ys = source()
        return inner.map(x=stoker.each(ys), whole=ys)

    spec = lowered(program)
    assert place(spec, "inner.c").fire == Join(anchor="source.item", of=("inner.b",), policy="all_done")
    assert place(spec, "inner.c").bind == {"x": Ref(node="inner.b", optional=True), "y": Ref(node="source")}


def test_handles_inside_lists_and_objects_are_bound_in_place():
    spec = lowered(lambda start: c([a(), 1], {"k": (b(), start)}))
    assert place(spec, "c").bind == {
        "x": ListOf(items=(Ref(node="a"), Value(value=1))),
        "y": ObjectOf(fields={"k": ListOf(items=(Ref(node="b"), RunInput(name="start")))}),
    }


@pytest.mark.parametrize(
    ("returned", "result"),
    [
        (lambda h: None, None),
        (lambda h: h, Ref(node="a")),
        (lambda h: (h, h["k"]), ListOf(items=(Ref(node="a"), Ref(node="a", path=("k",))))),
        (lambda h: {"x": h, "one": 1}, ObjectOf(fields={"x": Ref(node="a"), "one": Value(value=1)})),
    ],
)
def test_what_the_graph_returns_is_the_result(returned, result):
    assert lowered(lambda: returned(a())).result == result


def test_repeated_calls_get_numbered_names():
    @stoker.graph
    def inner(x):
        return a(x)

    spec = lowered(lambda: [a(1), a(2), a.options(name="third")(3), inner(4), inner(5)])
    assert [node.name for node in spec.nodes] == ["a", "a_2", "third", "inner.a", "inner.a_2"]
    assert {node.kind for node in spec.nodes} == {"a"}


def test_a_graph_called_in_a_graph_is_inlined():
    @stoker.graph
    def inner(x, factor=2):
        return b(a(x), factor)

    spec = lowered(lambda start: c(inner(start)))
    assert [node.name for node in spec.nodes] == ["inner.a", "inner.b", "c"]
    assert place(spec, "inner.b").bind == {"x": Ref(node="inner.a"), "y": Value(value=2)}


def test_a_mapped_graph_returns_handles_of_each_element():
    @stoker.graph
    def inner(x):
        return a(x), b(x)

    def program():
        first, second = inner.map(x=stoker.each(source()))
        return c(first, second)

    spec = lowered(program)
    assert place(spec, "c").fire == Join(anchor="source", of=("inner.a", "inner.b"))


def test_options_of_a_node_and_of_its_place_reach_the_graph():
    @stoker.node(retry=stoker.Retry(5, base="1s"), timeout="5m", priority=7, tolerated=True, max_losses=2)
    def careful(): ...

    spec = lowered(lambda: [careful(), careful.options(priority=1, timeout=3, tolerated=False)()])
    first, second = spec.nodes
    assert (first.retry, first.timeout, first.priority, first.tolerated, first.max_losses) == (
        stoker.Retry(5, base="1s"),
        "5m",
        7,
        True,
        2,
    )
    assert (second.timeout, second.priority, second.tolerated) == (3, 1, False)


def test_times_and_losses_of_a_node_and_of_its_place_reach_the_graph():
    @stoker.node(task_timeout="1h", queue_timeout=60, losses_are_failures=True)
    def bounded(): ...

    spec = lowered(lambda: [bounded(), bounded.options(task_timeout="2h", max_losses=1, losses_are_failures=False)()])
    first, second = spec.nodes
    assert (first.task_timeout, first.queue_timeout, first.losses_are_failures, first.max_losses) == (
        *("1h", 60, True),
        None,
    )
    assert (second.task_timeout, second.queue_timeout, second.losses_are_failures, second.max_losses) == (
        *("2h", 60, False),
        1,
    )


def test_what_a_graph_says_for_its_nodes_goes_with_them_into_another_graph():
    """Its own nodes keep what they say, and those of the outer graph are left to that."""

    @stoker.node(timeout="1s")
    def own(): ...

    @stoker.node
    def plain(): ...

    @stoker.graph(timeout="2s", max_losses=7)
    def inner():
        own()
        return plain()

    @stoker.graph(timeout="3s", retry=stoker.Retry(9), on_failure="stop")
    def outer():
        plain()
        return inner()

    assert (outer.spec.defaults.timeout, outer.spec.defaults.retry, outer.spec.on_failure) == (
        *("3s", stoker.Retry(9)),
        "stop",
    )
    found = {each.name: (each.timeout, each.max_losses, each.retry) for each in outer.spec.nodes}
    assert found == {
        "plain": (None, None, None),
        "inner.own": ("1s", 7, None),
        "inner.plain": ("2s", 7, None),
    }
    assert inner.spec.nodes[1].timeout is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"on_failure": "halt"}, "on_failure='halt' is unknown"),
        ({"timeout": "soon"}, "timeout='soon': a duration is"),
        ({"queue_timeout": 0}, "queue_timeout=0: it is longer than 0"),
        ({"max_losses": 0}, "max_losses is an integer from 1, not 0"),
        ({"retry": 3}, "retry=3 is not a policy"),
    ],
)
def test_a_wrong_option_of_a_graph_is_named(options: dict[str, object], says: str):
    with pytest.raises(stoker.Misuse, match=re.escape(says)):
        stoker.graph(**options)


def test_a_long_chain_is_lowered_in_reasonable_time():
    def program():
        handle = a()
        for _ in range(2000):
            handle = b(handle)
        return handle

    assert len(lowered(program).nodes) == 2001


# --- conditions ---


def test_a_condition_stands_on_the_way_in():
    spec = lowered(lambda: b.options(when="item.ok")(a()))
    assert place(spec, "b").fire == Each(way=Edge(node="a", when="item.ok"))


def test_a_condition_of_a_join_stands_on_all_its_edges():
    spec = lowered(lambda: c.options(when="item.ok")(a(), b()))
    assert place(spec, "c").fire == Join(of=("a", "b"), when={"a": "item.ok", "b": "item.ok"})


def test_what_the_trigger_fires_gets_an_edge_to_have_a_condition_on():
    spec = lowered(lambda: a.options(when="store.x > 1")(5))
    assert place(spec, "a.item") == NodeSpec(name="a.item", kind=ITEM_KIND)
    assert place(spec, "a").fire == Each(way=Edge(node="a.item", when="store.x > 1"))


def test_a_condition_on_mapped_elements_is_on_each_of_them():
    spec = lowered(lambda: b.options(when="item > 1").map(x=stoker.each(source())))
    assert place(spec, "b").fire == Each(way=Edge(node="source", expand=(), when="item > 1"))
    spec = lowered(lambda: b.options(when="item > 1").map(x=stoker.each([1, 2])))
    assert place(spec, "b").fire == Each(way=Edge(node="each.item", when="item > 1"))
    assert place(spec, "b").expand is None
    assert place(spec, "each.item").expand == Expand(over=Value(value=[1, 2]))
    spec = lowered(lambda: b.options(when="item > 1").map(x=pages()))
    assert place(spec, "b").fire == Each(way=Edge(node="pages", when="item > 1"))


def test_ways_that_part_at_an_element_by_conditions_meet_again_there():
    def graph():
        xs = stoker.each(source())
        big, small = b.options(when="item > 1").map(x=xs), c.options(when="item <= 1").map(x=xs)
        return d.map(stoker.optional(big), stoker.optional(small, "none"))

    spec = lowered(graph)
    assert place(spec, "b").fire == Each(way=Edge(node="source.item", when="item > 1"))
    assert place(spec, "d").fire == Join(anchor="source.item", of=("b", "c"))
    assert place(spec, "d").bind == {
        "x": Ref(node="b", optional=True),
        "y": Ref(node="c", optional=True, default="none"),
    }


def test_an_optional_result_is_null_where_there_is_none():
    spec = lowered(lambda: stoker.optional(b.options(when="item")(a())["part"]))
    assert spec.result == Ref(node="b", path=("part",), optional=True)


def test_a_condition_where_handles_are_brought_together_is_refused():
    def graph():
        xs = source()
        return c.options(when="true").map(a.map(x=stoker.each(xs)), b(xs))

    with pytest.raises(stoker.Misuse, match="needs a handle that is not above each element"):
        lowered(graph)


# --- texts and the store ---


def test_a_text_of_parts_and_values_of_the_store():
    spec = lowered(lambda x: b(stoker.text("s3://", stoker.store("bucket"), "/", a(x)["id"]), stoker.store("n", 3)))
    assert place(spec, "b").bind == {
        "x": Text(parts=(Value(value="s3://"), Store(name="bucket"), Value(value="/"), Ref(node="a", path=("id",)))),
        "y": Store(name="n"),
    }
    assert place(spec, "b").fire == Each(way=Edge(node="a"))
    assert spec.store == {"bucket": InputSpec(), "n": InputSpec(required=False, default=3)}


def test_a_text_stays_on_the_branch_of_a_mapped_handle():
    spec = lowered(lambda: b.map(x=stoker.text("<", a.map(x=stoker.each(source())), ">")))
    assert place(spec, "b").bind == {"x": Text(parts=(Value(value="<"), Ref(node="a"), Value(value=">")))}


def test_a_list_of_the_store_can_be_mapped_over():
    spec = lowered(lambda: a.map(x=stoker.each(stoker.store("files"))))
    assert place(spec, "a").expand == Expand(over=Store(name="files"))


def test_a_key_of_the_store_has_one_default():
    with pytest.raises(stoker.Misuse, match="has another default here than before"):
        lowered(lambda: a(stoker.store("n", 1), stoker.store("n", 2)))


def test_the_store_is_for_graphs():
    with pytest.raises(stoker.Misuse, match=r"store\('n'\) stands outside of a graph"):
        stoker.store("n")


def test_a_formatted_handle_says_how_to_write_a_text():
    with pytest.raises(stoker.Misuse, match=r"cannot be formatted.*stoker.text"):
        lowered(lambda x: a(f"<{x}>"))
