from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.samples import after, compiled, node
from stoker.core.branch import END, ROOT, cut, index_at, indexes, step
from stoker.core.compiled import text_of
from stoker.core.graph import Expand, Value

INDEX = st.one_of(st.integers(0, 300), st.integers(0, 2**40))
STEPS = st.lists(INDEX, max_size=5)


def written(steps: list[int]) -> bytes:
    return b"".join(step(index) for index in steps)


@given(STEPS, STEPS)
def test_branches_sort_as_their_indexes_do(left: list[int], right: list[int]) -> None:
    assert (written(left) < written(right)) == (left < right)


@given(STEPS, STEPS)
def test_the_branches_below_a_prefix_are_one_range(prefix: list[int], other: list[int]) -> None:
    start, branch = written(prefix), written(other)
    assert (start <= branch < start + END) == (other[: len(prefix)] == prefix)


@given(STEPS)
def test_the_indexes_of_a_branch_read_back(steps: list[int]) -> None:
    branch = written(steps)
    assert indexes(branch) == steps
    assert [index_at(branch, position) for position in range(len(steps))] == steps


@given(STEPS, st.integers(0, 5))
def test_a_cut_keeps_the_first_steps(steps: list[int], depth: int) -> None:
    depth = min(depth, len(steps))
    assert cut(written(steps), depth) == written(steps[:depth])


@given(st.integers(0, 253), INDEX, INDEX)
def test_another_way_in_sorts_after_every_item_of_the_first(ordinal: int, first: int, second: int) -> None:
    assert step(first, ordinal) < step(second, ordinal + 1) < END


def test_the_root_is_the_branch_without_steps() -> None:
    assert written([]) == ROOT
    assert indexes(ROOT) == []
    assert cut(ROOT, 0) == ROOT


def test_a_branch_reads_as_the_way_to_the_task() -> None:
    graph = compiled(
        node("split", kind="many"),
        node("side", after("split")),
        node("page", after("side"), expand=Expand(over=Value(value=[1]))),
        node("word", after("page", ("words",))),
        node("letter", after("word")),
    )
    branch = step(3) + step(0) + step(300)
    assert text_of(graph, graph.names["word"], branch) == "split[3]/page[0]/page[300]"
    assert text_of(graph, graph.names["letter"], branch) == "split[3]/page[0]/page[300]"
    assert text_of(graph, graph.names["split"], ROOT) == ""


def test_a_task_that_ended_before_its_own_expand_reads_as_where_it_stands() -> None:
    graph = compiled(node("split", kind="many"), node("page", after("split"), kind="many"))
    wide = compiled(node("split"), node("page", after("split"), expand=Expand(over=Value(value=[1]))))
    assert text_of(graph, graph.names["page"], step(3)) == "split[3]"
    assert text_of(wide, wide.names["page"], ROOT) == ""
