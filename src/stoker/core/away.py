"""Nodes whose kind is of another namespace than their graph: how such a kind is told from those of the graph's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from stoker.core.compiled import Compiled
from stoker.core.graph import GraphSpec, KindSpec, NodeSpec


def at_home(spec: GraphSpec, namespace: str) -> GraphSpec:
    """The same graph, in which nodes do not name the namespace that it is in itself."""
    if all(node.namespace != namespace for node in spec.nodes):
        return spec
    nodes = [
        msgspec.structs.replace(node, namespace=None) if node.namespace == namespace else node for node in spec.nodes
    ]
    return msgspec.structs.replace(spec, nodes=tuple(nodes))


def namespaces(spec: GraphSpec) -> list[str]:
    """The other namespaces that a graph takes kinds of."""
    return sorted({node.namespace for node in spec.nodes if node.namespace is not None})


def kind_key(node: NodeSpec) -> str:
    """What the kind of a node is called among the kinds that its graph knows."""
    return node.kind if node.namespace is None else _key(node.namespace, node.kind)


def by_key(kinds: Iterable[KindSpec]) -> dict[str, KindSpec]:
    """Kinds as they are kept with a version, by what its nodes call them."""
    return {kind.name if kind.namespace is None else _key(kind.namespace, kind.name): kind for kind in kinds}


def _key(namespace: str, kind: str) -> str:
    return f"{namespace}\n{kind}"  # no name has a line end


def with_homes(graph: Compiled, numbers: Mapping[str, int]) -> Compiled:
    """The same graph, with the numbers of the namespaces in which its tasks are offered, where those are others."""
    nodes = tuple(
        node if node.spec.namespace is None else msgspec.structs.replace(node, home=numbers.get(node.spec.namespace))
        for node in graph.nodes
    )
    return msgspec.structs.replace(graph, nodes=nodes)
