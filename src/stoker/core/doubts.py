"""What a graph may well mean, and probably does not: told at a push, never refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stoker.core.compiled import CompiledNode, binding_refs
from stoker.core.graph import Ref


def doubts(nodes: Sequence[CompiledNode], paths: Mapping[str, int]) -> tuple[str, ...]:
    """`paths`: over how many each node is reached that several ways lead to."""
    repeated = [
        f"{count} paths lead to the node {name!r}, which runs once for each. A join would unite them."
        for name, count in paths.items()
    ]
    return (*repeated, *(told for node in nodes if (told := _multiplies(nodes, node))))


def _multiplies(nodes: Sequence[CompiledNode], node: CompiledNode) -> str:
    """A diamond that multiplies: a list is gone over again on each branch that the same list has fanned out to."""
    if node.spec.expand is None:
        return ""
    fanned = {(nodes[step.producer].name, step.path) for step in node.steps if step.role == "element"}
    for leaf in binding_refs(node.spec.expand.over):
        if isinstance(leaf, Ref) and not leaf.many and (leaf.node, leaf.path) in fanned:
            return (
                f"node {node.name!r} goes over the list of {leaf.node!r} again on each branch that it has fanned out "
                "to, so the tasks multiply. Bind the element of the branch, or gather the branches first."
            )
    return ""
