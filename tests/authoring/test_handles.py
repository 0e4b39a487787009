"""What cannot be done with a handle is a TypeError that names the user's line and what to do instead."""

from __future__ import annotations

import inspect
import math

import pytest

import stoker.authoring as stoker


@stoker.node
def one(x=None): ...


@stoker.node
def two(x=None, y=None): ...


def refused(code) -> stoker.Misuse:
    with pytest.raises(TypeError) as caught:
        stoker.graph(code).push_request()
    assert isinstance(caught.value, stoker.Misuse)
    assert caught.value.place.startswith(__file__)
    return caught.value


@pytest.mark.parametrize(
    "use",
    [
        lambda h: 1 if h else 2,
        lambda h: not h,
        lambda h: list(h),
        lambda h: [*h],
        lambda h: f"{h}",
        lambda h: str(h),
        lambda h: h == 1,
        lambda h: h != 1,
        lambda h: h < 1,
        lambda h: h + 1,
        lambda h: 1 + h,
        lambda h: -h,
        lambda h: "x" * h,
        lambda h: int(h),
        lambda h: float(h),
        lambda h: math.sqrt(h),
        lambda h: range(h),
        lambda h: len(h),
        lambda h: sum(h),
        lambda h: max(h, 1),
        lambda h: 1 in h,
        lambda h: h(),
        lambda h: h.total,
        lambda h: h[-1],
        lambda h: h[0:2],
        lambda h: {h},
    ],
)
def test_a_handle_is_no_value(use):
    def program():
        return one(use(one()))

    with pytest.raises(TypeError):
        stoker.graph(program).spec


def test_the_error_names_the_line_and_the_remedy():
    def program():
        handle = one()
        if handle:
            return handle
        return None

    error = refused(program)
    line = inspect.getsourcelines(program)[1] + 2
    assert error.place == f"{__file__}:{line}"
    assert "cannot decide an `if`" in error.message
    assert "stoker.Prune" in error.remedy
    assert error.place in str(error)


def test_a_call_through_the_package_names_the_users_line_too():
    import stoker as package

    graph = package.graph(lambda x: one(x))
    with pytest.raises(package.Rejected) as caught:
        package.run(graph)
    assert caught.value.place.startswith(f"{__file__}:")


def test_a_place_may_require_more_of_its_runner():
    needs = stoker.Requirements(labels={"gpu": "yes"})
    spec = stoker.graph(lambda: one.options(requires=needs)(1)).spec
    assert spec.nodes[0].requires == needs


def test_an_error_found_while_lowering_names_the_line_of_the_call():
    def program():
        first = one.map(x=stoker.each(one(1)))
        second = one.map(x=stoker.each(one(2)))
        return two.map(x=first, y=second)

    error = refused(program)
    assert error.place == f"{__file__}:{inspect.getsourcelines(program)[1] + 3}"
    assert "each(one)" in error.message
    assert "each(one_3)" in error.message


def test_a_handle_can_be_shown_while_debugging():
    shown = []
    stoker.graph(lambda: shown.append(repr(one()["key"]))).spec
    assert shown == ["<handle of one['key']>"]


def test_an_attribute_suggests_a_part():
    assert 'handle["total"]' in refused(lambda: one().total).remedy


def test_a_missing_attribute_is_also_an_attribute_error():
    stoker.graph(lambda: one(hasattr(one(), "anything"))).spec


def test_map_without_a_mapped_handle_is_refused():
    assert "nothing to map over" in refused(lambda: one.map(x=one())).message


def test_each_belongs_into_map():
    assert ".map" in refused(lambda: one(stoker.each([1]))).remedy
    assert "inside another value" in refused(lambda: one.map(x=[stoker.each([1])])).message
    with pytest.raises(stoker.Misuse, match="not over int"):
        stoker.each(3)
    with pytest.raises(stoker.Misuse, match="cannot be iterated"):
        list(stoker.each([1]))


def test_each_over_a_list_of_handles_is_refused():
    assert "put together from handles" in refused(lambda: one.map(x=stoker.each([one(), one()]))).message


def test_a_call_that_does_not_fit_is_refused():
    assert "unexpected keyword argument 'z'" in refused(lambda: one(z=1)).message

    @stoker.node
    def needs(x): ...

    assert "missing a required argument: 'x'" in refused(lambda: needs()).message


def test_two_functions_of_one_name_are_refused():
    def make():
        @stoker.node
        def same(): ...

        return same

    first, second = make(), make()
    assert "two different nodes" in refused(lambda: [first(), second()]).message


def test_a_constant_must_be_json():
    assert "JSON" in refused(lambda: one(object())).message
    assert "nan" in refused(lambda: one([math.nan])).message
    assert "text keys" in refused(lambda: one({1: one()})).message


def test_a_file_is_no_constant():
    assert "parameter of the graph" in refused(lambda: one(stoker.File("x.csv"))).remedy


def test_a_handle_of_another_graph_is_refused():
    kept = []
    stoker.graph(lambda: kept.append(one())).spec
    assert "another graph" in refused(lambda: one(kept[0])).message


def test_a_graph_that_calls_itself_is_refused():
    @stoker.graph
    def loop(x):
        return loop(x)

    with pytest.raises(stoker.Misuse, match="calls itself"):
        loop.spec


@pytest.mark.parametrize("when", [lambda item: True, 1, "", "  ", True])
def test_a_condition_is_a_text(when):
    with pytest.raises(stoker.Misuse, match=r"when= is a CEL expression as a text, not .*item\.rows > 100"):
        one.options(when=when)


def test_only_a_handle_of_a_node_is_optional():
    with pytest.raises(stoker.Misuse, match="optional\\(\\) takes a handle, not 5"):
        stoker.optional(5)
    graph = stoker.graph(lambda x: one(stoker.optional(x)))
    with pytest.raises(stoker.Misuse, match="always has a value"):
        graph.spec


def test_graphs_and_maps_are_for_graphs():
    graph = stoker.graph(lambda: one())
    with pytest.raises(stoker.Misuse, match="outside of a graph"):
        graph()
    with pytest.raises(stoker.Misuse, match="outside of a graph"):
        graph.map()
    with pytest.raises(stoker.Misuse, match="outside of a graph"):
        one.map(x=[1])
    with pytest.raises(stoker.Misuse, match="outside of a graph"):
        one.options(name="other")(1)


def test_a_mapped_graph_cannot_use_elements_of_another_source():
    @stoker.graph
    def inner(x, y):
        return two(x, y)

    def program():
        other = one.map(x=stoker.each(one(1)))
        return inner.map(x=stoker.each(one(2)), y=other)

    assert "mixes elements" in refused(program).message


def test_a_graph_takes_named_inputs_and_is_a_plain_function():
    with pytest.raises(stoker.Misuse, match=r"\*rest"):
        stoker.graph(lambda *rest: None)
    with pytest.raises(stoker.Misuse, match=r"\*\*rest"):
        stoker.graph(lambda **rest: None)

    async def wrong(): ...

    with pytest.raises(stoker.Misuse, match="only wires nodes"):
        stoker.graph(wrong)


def test_a_graph_takes_no_task():
    def program(task: stoker.Task): ...

    with pytest.raises(stoker.Misuse, match="Only nodes run as tasks"):
        stoker.graph(program).spec


@pytest.mark.parametrize("bad", [{"attempts": 0}, {"base": "soon"}, {"cap": -1}, {"strategy": "x"}, {"jitter": "x"}])
def test_a_retry_that_means_nothing_is_refused(bad):
    with pytest.raises(stoker.Misuse):
        stoker.Retry(**bad)


@pytest.mark.parametrize("bad", [{"timeout": "later"}, {"priority": 10}, {"max_losses": 0}, {"retry": 3}])
def test_an_option_that_means_nothing_is_refused(bad):
    with pytest.raises(stoker.Misuse):
        stoker.node(**bad)(lambda: None)
