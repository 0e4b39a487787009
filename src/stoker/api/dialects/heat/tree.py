"""The nodes of a session template: what may hang below what."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

import msgspec


class Node(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A node of the editable draft. `parents`: ids of nodes of the same template."""

    id: int
    name: str
    node_template_id: int
    default_configuration: str = "{}"
    parents: tuple[int, ...] = ()


def fault(nodes: Iterable[Node], single: Mapping[int, bool]) -> str | None:
    """What is wrong with a draft as a whole. `single`: by node template, whether its nodes take one parent only."""
    known = {node.id: node for node in nodes}
    for node in known.values():
        for parent in node.parents:
            if parent == node.id:
                return f"the node {node.name!r} is its own parent"
            if parent not in known:
                return f"the parent {parent} of the node {node.name!r} is no node of this template"
        if node.node_template_id not in single:
            return f"there is no node template {node.node_template_id}, which the node {node.name!r} names"
        if len(node.parents) > 1 and single[node.node_template_id]:
            return (
                f"the node {node.name!r} takes one parent only, since its node template has acceptsMultipleInputs false"
            )
    if around := cycle(known):
        return f"the nodes {' → '.join(known[id_].name for id_ in around)} are a cycle"
    return None


def repeated(names: Iterable[str]) -> str | None:
    """A name that two nodes have."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def cycle(nodes: Mapping[int, Node]) -> list[int] | None:
    """Nodes of which each is a parent of the next, the first one again at the end; None where there is no cycle."""
    try:
        TopologicalSorter({node.id: node.parents for node in nodes.values()}).prepare()
    except CycleError as error:
        around: list[int] = error.args[1]
        return around
    return None


def topological(nodes: Iterable[Node]) -> list[Node]:
    """Parents before children, otherwise as they were made."""
    known = {node.id: node for node in nodes}
    places = {id_: place for place, id_ in enumerate(known)}
    sorter = TopologicalSorter({node.id: node.parents for node in known.values()})
    sorter.prepare()
    order: list[Node] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=places.__getitem__)
        order += [known[id_] for id_ in ready]
        sorter.done(*ready)
    return order


def without(nodes: Iterable[Node], id_: int) -> tuple[Node, ...]:
    """The draft without a node, and without the edges from it."""
    return tuple(
        msgspec.structs.replace(node, parents=tuple(parent for parent in node.parents if parent != id_))
        for node in nodes
        if node.id != id_
    )


def unique(ids: Collection[int]) -> tuple[int, ...]:
    """Each id once, in the order of first mention."""
    return tuple(dict.fromkeys(ids))
