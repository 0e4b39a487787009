"""What may hang below what in a session template."""

from __future__ import annotations

import itertools

import pytest

from stoker.api.dialects.heat import tree

SINGLE = {1: True, 2: False}


def node(id_: int, *parents: int, template: int = 2) -> tree.Node:
    return tree.Node(id=id_, name=f"n{id_}", node_template_id=template, parents=parents)


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([node(1, 1)], "its own parent"),
        ([node(1, 9)], "no node of this template"),
        ([node(1, template=7)], "no node template 7"),
        ([node(1), node(2), node(3, 1, 2, template=1)], "one parent only"),
        ([node(1, 2), node(2, 1)], "are a cycle"),
        ([node(1, 3), node(2, 1), node(3, 2), node(4)], "are a cycle"),
    ],
)
def test_a_draft_is_refused(nodes: list[tree.Node], said: str) -> None:
    assert said in str(tree.fault(nodes, SINGLE))


@pytest.mark.parametrize(
    "nodes", [[], [node(1)], [node(1, 2), node(2)], [node(1), node(2), node(3, 1, 2), node(4, 3, 1)]]
)
def test_a_draft_is_taken(nodes: list[tree.Node]) -> None:
    assert tree.fault(nodes, SINGLE) is None


def test_a_cycle_is_told_from_parent_to_child() -> None:
    around = tree.cycle({each.id: each for each in [node(1, 3), node(2, 1), node(3, 2)]})
    assert around is not None
    assert {*itertools.pairwise(around)} == {(1, 2), (2, 3), (3, 1)}


def test_parents_come_before_children_and_otherwise_the_older_first() -> None:
    nodes = [node(1, 4), node(2), node(3, 1), node(4)]
    assert [each.id for each in tree.topological(nodes)] == [2, 4, 1, 3]


def test_a_node_that_goes_takes_its_edges_along() -> None:
    assert tree.without([node(1), node(2, 1), node(3, 1, 2)], 1) == (node(2), node(3, 2))
