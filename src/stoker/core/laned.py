"""The queues that the tasks of a compiled graph stand in, and the limits that hold them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from stoker.core.compiled import Compiled
from stoker.core.graph import NodeSpec


def with_lanes(graph: Compiled, lanes: Mapping[str, int], gates: Mapping[str, int] | None = None) -> Compiled:
    """The same graph, each node in its queue and under its limit."""
    limits = gates or {}
    nodes = tuple(
        msgspec.structs.replace(node, lane=lanes.get(node.name, 0), **under(node.spec, node.name, limits))
        for node in graph.nodes
    )
    return msgspec.structs.replace(graph, nodes=nodes)


def under(node: NodeSpec, name: str, gates: Mapping[str, int]) -> dict[str, int | None]:
    """The limit of a node, as a compiled one has it."""
    by_value = node.limit is not None and bool(node.limit.by)
    return {"template" if by_value else "gate": gates.get(name)}
