"""Conditions on the edges of a graph: what is wrong with them, and how they are lowered to those that are evaluated.

A condition is evaluated for each task that an `each` way may make, and nowhere else. An edge into a join, or into a
node with its own expand, gets an inline node behind a conditional way: it stands SUCCEEDED, SKIPPED or FAILED as a task
like all others, so joins count it, and `firing.recount` need not know what a condition is.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from msgspec.structs import replace

from stoker.core.compiled import mapped
from stoker.core.condition import BadCondition, parse
from stoker.core.graph import (
    ITEM_KIND,
    Binding,
    Each,
    Edge,
    Expand,
    GraphSpec,
    Join,
    NodeSpec,
    Ref,
)
from stoker.errors import Problem

MAX_SHOWN = 60  # characters of each name in that of an inline node


def conditional(spec: GraphSpec) -> bool:
    return any(True for node in spec.nodes for _ in conditions(node))


def conditions(node: NodeSpec) -> Iterator[tuple[str, str]]:
    """The ways into a node that have a condition: where each comes from, and the condition."""
    match node.fire:
        case Each(way=None, ways=ways):
            yield from ((way.node, way.when) for way in ways if way.when is not None)
        case Each(way=Edge(node=name, when=str() as when)):
            yield name, when
        case Join(when=ways):
            yield from ways.items()
        case _:
            pass


def problems(node: NodeSpec, inputs: Container[str]) -> Iterator[Problem]:
    """What is wrong with the conditions on the edges into a node. `inputs`: those that the graph declares."""
    for name, source in conditions(node):
        place = f"node {node.name!r}, the edge from {name!r}"
        if isinstance(node.fire, Join) and name not in node.fire.of:
            message = "it has a condition, but there is no such edge."
            yield Problem(code="bad_condition", place=place, message=message, remedy="List the node in `of`.")
        try:
            read = parse(source).around.get("inputs") or ()
        except BadCondition as error:
            message = f"the condition {source[:200]!r} cannot be used: {error}."
            remedy = 'It is a CEL expression that is true or false, like "item.rows > 100".'
            yield Problem(code="bad_condition", place=place, message=message, remedy=remedy)
        else:
            for missing in sorted(each for each in read if each not in inputs):
                message = f"the condition {source[:200]!r} reads the input {missing!r}, which the graph does not have."
                remedy = "Declare the input, or read one that is there; what a run keeps besides is its `store`."
                yield Problem(code="unknown_input", place=place, message=message, remedy=remedy)


def lowered(spec: GraphSpec) -> GraphSpec:
    """The same graph, with conditions on `each` ways alone. What is added stands at the end, so indexes stay."""
    if not conditional(spec):
        return spec
    taken = {node.name for node in spec.nodes}
    nodes: list[NodeSpec] = []
    added: list[NodeSpec] = []
    for node in spec.nodes:
        ways = dict(conditions(node)) if isinstance(node.fire, Join) or node.expand else {}
        if isinstance(node.fire, Join):
            ways = {name: when for name, when in ways.items() if name in node.fire.of}
        doors = {name: _door(name, node.name, when, taken) for name, when in ways.items()}
        nodes.append(_behind(node, {name: door.name for name, door in doors.items()}) if doors else node)
        added.extend(doors.values())
    return replace(spec, nodes=(*nodes, *added))


def _door(source: str, target: str, when: str, taken: set[str]) -> NodeSpec:
    name = f"{source[:MAX_SHOWN]}→{target[:MAX_SHOWN]}"
    while name in taken:
        name += "'"
    taken.add(name)
    return NodeSpec(name=name, kind=ITEM_KIND, fire=Each(way=Edge(node=source, when=when)))


def _behind(node: NodeSpec, doors: dict[str, str]) -> NodeSpec:
    """A node whose ways lead through inline nodes. A join reads from them: an edge that is false carries nothing."""
    if isinstance(node.fire, Each):
        (door,) = doors.values()
        return replace(node, fire=Each(way=Edge(node=door)))
    assert isinstance(node.fire, Join)
    return replace(
        node,
        fire=replace(node.fire, of=tuple(doors.get(name, name) for name in node.fire.of), when={}),
        bind={name: _through(binding, doors) for name, binding in node.bind.items()},
        expand=None if node.expand is None else Expand(over=_through(node.expand.over, doors)),
    )


def _through(binding: Binding, doors: dict[str, str]) -> Binding:
    def turn(leaf: Binding) -> Binding:
        return replace(leaf, node=doors[leaf.node]) if isinstance(leaf, Ref) and leaf.node in doors else leaf

    return mapped(binding, turn)
