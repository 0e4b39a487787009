"""The order in which the nodes of a graph come: each behind all that it reads or waits for; a loop behind its body."""

from __future__ import annotations

from collections.abc import Iterator

from stoker.core.compiled import TRIGGER, Compiled, binding_refs
from stoker.core.graph import Binding, Element, Ref, RunInput


def reads(graph: Compiled, node: int) -> set[int]:
    """The nodes whose items lead to a node, or are read there."""
    found = {graph.nodes[node].parent, *graph.nodes[node].of}
    for leaf in _leaves(graph, node):
        match leaf:
            case Ref(node=name) | Element(of=name):
                found.add(graph.names[name])
            case _:
                pass
    return found - {TRIGGER, node}


def inputs_read(graph: Compiled, node: int) -> set[str]:
    """The inputs of the run that a node is given."""
    return {leaf.name for leaf in _leaves(graph, node) if isinstance(leaf, RunInput)}


def _leaves(graph: Compiled, node: int) -> Iterator[Binding]:
    spec = graph.nodes[node].spec
    for binding in [*spec.bind.values(), *([spec.expand.over] if spec.expand else [])]:
        yield from binding_refs(binding)


def sequence(graph: Compiled) -> list[int]:
    """All nodes in that order; those that are free to be anywhere in the order of the graph."""
    ends = {node.ends: node.index for node in graph.nodes if node.ends is not None}
    starts = {node.loop.start: node.index for node in graph.nodes if node.loop is not None}
    found: dict[int, None] = {}

    def before(node: int) -> Iterator[int]:
        if node in starts:  # a round begins with what its loop begins with
            yield from reads(graph, starts[node])
            return
        yield from reads(graph, node)
        if node in ends:
            yield ends[node]

    for root in range(len(graph.nodes)):
        stack = [(root, iter(sorted(before(root))))]
        path = {root}
        while stack:
            node, rest = stack[-1]
            step = next((each for each in rest if each not in found and each not in path), None)
            if step is None:
                stack.pop()
                path.discard(node)
                found.setdefault(node)
            else:
                path.add(step)
                stack.append((step, iter(sorted(before(step)))))
    return list(found)
