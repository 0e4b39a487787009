"""Graphs that run other graphs as child runs: which versions a push means, what those take, how deep it goes."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from stoker.core.graph import GraphSpec, KindSpec, NodeSpec, Subgraph
from stoker.core.own import as_kind
from stoker.core.words import counted
from stoker.engine.ports import Reader
from stoker.errors import Invalid, Problem

MAX_DEPTH = 16  # runs above each other, the uppermost included


class Pinned(NamedTuple):
    """A graph with the number of every version that it runs, and these versions as kinds."""

    spec: GraphSpec
    kinds: dict[str, KindSpec]


async def pinned(reader: Reader, namespace: int, spec: GraphSpec) -> Pinned:
    """What a push means just now. Invalid lists what cannot be run as a child."""
    pinning = _Pinning(reader, namespace, spec)
    nodes = [await pinning.node(node) for node in spec.nodes]
    if pinning.problems:
        raise Invalid(
            f"the graph {spec.name!r} has {counted(len(pinning.problems), 'problem')}",
            code="invalid_graph",
            problems=pinning.problems,
        )
    return Pinned(msgspec.structs.replace(spec, nodes=tuple(nodes)), pinning.kinds)


class _Inner(NamedTuple):
    """`depth`: how many runs stand above each other. `names`: of all graphs in it."""

    number: int
    spec: GraphSpec
    depth: int
    names: frozenset[str]


class _Pinning:
    def __init__(self, reader: Reader, namespace: int, spec: GraphSpec) -> None:
        self._reader = reader
        self._namespace = namespace
        self._spec = spec
        self._known: dict[Subgraph, _Inner | None] = {}
        self.kinds: dict[str, KindSpec] = {}
        self.problems: list[Problem] = []

    async def node(self, node: NodeSpec) -> NodeSpec:
        """The node, with the version it means."""
        if node.subgraph is None:
            return node
        place, named = f"node {node.name!r}", node.subgraph.graph
        if named == self._spec.name:
            self._refuse("recursion", place, f"the graph {named!r} runs itself.")
            return node
        inner = await self._found(node.subgraph)
        if inner is None:
            which = "" if node.subgraph.version is None else f"version {node.subgraph.version} of "
            self._refuse("unknown_graph", place, f"there is no {which}graph {named!r} here.", "Push it first.")
            return node
        if inner.spec.mode != "once":
            self._refuse("bad_option", place, f"a run of {named!r}, which is a live graph, never ends.")
        if self._spec.name in inner.names:
            self._refuse("recursion", place, f"the graph {named!r} runs {self._spec.name!r} in turn.")
        if inner.depth >= MAX_DEPTH:
            self._refuse("limit", place, f"more than {MAX_DEPTH} runs would stand above each other.")
        pin = Subgraph(graph=named, version=inner.number)
        self.kinds[as_kind(pin)] = _kind(pin, inner.spec)
        return msgspec.structs.replace(node, subgraph=pin)

    def _refuse(self, code: str, place: str, message: str, remedy: str = "") -> None:
        self.problems.append(Problem(code=code, place=place, message=message, remedy=remedy))

    async def _found(self, wanted: Subgraph) -> _Inner | None:
        if wanted not in self._known:
            self._known[wanted] = await self._look(wanted)
        return self._known[wanted]

    async def _look(self, wanted: Subgraph) -> _Inner | None:
        """Versions are immutable and run only older ones, so this comes to an end."""
        number = wanted.version
        if number is None:
            newest = await self._reader.rows("latest_version", self._namespace, wanted.graph)
            if not newest:
                return None
            number = newest[0][1]
        for *_, body in await self._reader.rows("version_by_number", self._namespace, wanted.graph, number):
            spec = msgspec.json.decode(body, type=GraphSpec)
            inner = [await self._found(node.subgraph) for node in spec.nodes if node.subgraph is not None]
            below = [each for each in inner if each is not None]
            names = frozenset({spec.name}).union(*(each.names for each in below))
            return _Inner(number, spec, 1 + max((each.depth for each in below), default=0), names)
        return None


def _kind(pin: Subgraph, inner: GraphSpec) -> KindSpec:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: each.schema for name, each in inner.inputs.items()},
        "required": [name for name, each in inner.inputs.items() if each.required],
        "additionalProperties": False,
    }
    return KindSpec(name=as_kind(pin), input=schema, description=inner.description)
