"""Nodes that several ways lead to: they run once for each path, so each path gets a copy of them, and of what follows.

A branch says through which items a task was reached, and for that a node has one way in. So a graph is lowered, when it
is compiled, to one in which that is so: a copy knows the node that it is a copy of, and is shown under its name. A
join has one copy for each of its anchor, and gathers from all copies below that.

Paths multiply. Where there would be more copies than a graph may have nodes, each node keeps one, and behind every
other way stands a node that FAILS the run when a task gets there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from msgspec.structs import replace

from stoker.core.compiled import mapped
from stoker.core.graph import (
    ITEM_KIND,
    Binding,
    Each,
    Edge,
    Element,
    Expand,
    GraphSpec,
    Join,
    NodeSpec,
    Ref,
    Splice,
)
from stoker.core.names import head
from stoker.core.order import ordered
from stoker.errors import Problem

MOST = 5_000  # copies, the nodes themselves among them
_SHOWN = 180  # bytes of a name in that of a copy


@dataclass(frozen=True, slots=True, eq=False)
class Copy:
    """A node on one path. `above`: what its way in comes from, or a join's anchor. `beyond`: nodes not copied there."""

    name: str
    origin: str
    above: Copy | None
    way: Edge | None = None
    beyond: list[str] = field(default_factory=list)

    def up(self) -> Iterator[Copy]:
        """Itself, and all above it."""
        copy: Copy | None = self
        while copy is not None:
            yield copy
            copy = copy.above


@dataclass(frozen=True, slots=True)
class Unfolded:
    """`origins`: by the name of a copy, the node that it is one of. `beyond`: by node, what fails those who get there.

    `paths`: over how many a node is reached that several ways lead to.
    """

    spec: GraphSpec
    origins: dict[str, str] = field(default_factory=dict)
    beyond: dict[str, str] = field(default_factory=dict)
    paths: dict[str, int] = field(default_factory=dict)


def ways(node: NodeSpec) -> tuple[Edge, ...]:
    """All ways into a node that fires for each item."""
    match node.fire:
        case Each(way=Edge() as way):
            return (way, *node.fire.ways)
        case Each(ways=several):
            return several
        case _:
            return ()


def problems(spec: GraphSpec) -> Iterator[Problem]:
    """Ways that cannot be told apart, or be copied."""
    for node in spec.nodes:
        found = ways(node)
        if len(found) < 2:
            continue
        place = f"node {node.name!r}"
        if len({(way.node, way.expand) for way in found}) < len(found):
            yield Problem(code="bad_way", place=place, message="two of the ways that lead to it are the same.")
        if any(other.loop is not None for other in spec.nodes):
            message = "several ways lead to it, and the graph has a loop, which cannot be reached over each of them."
            yield Problem(code="bad_way", place=place, message=message, remedy="Let it be a join of them.")


def unfolded(spec: GraphSpec) -> Unfolded:
    """The same graph with one way into each node. One in which something else is wrong is left as it is."""
    if not any(len(ways(node)) > 1 for node in spec.nodes) or any(problems(spec)):
        return Unfolded(replace(spec, nodes=tuple(map(_single, spec.nodes))) if _listed(spec) else spec)
    names = {node.name: at for at, node in enumerate(spec.nodes)}
    before = [_before(node) for node in spec.nodes]
    if len(names) < len(before) or any(name not in names for each in before for name in each):
        return Unfolded(spec)
    order = ordered([[names[name] for name in each] for each in before])
    if len(order) < len(before):
        return Unfolded(spec)
    return _Unfolding(spec, [spec.nodes[at] for at in order]).result()


def _listed(spec: GraphSpec) -> bool:
    return any(isinstance(node.fire, Each) and len(node.fire.ways) == 1 for node in spec.nodes)


def _single(node: NodeSpec) -> NodeSpec:
    found = ways(node)
    return replace(node, fire=Each(way=found[0])) if len(found) == 1 else node


def _before(node: NodeSpec) -> list[str]:
    if isinstance(node.fire, Join):
        return [*node.fire.of, *([node.fire.anchor] if node.fire.anchor is not None else [])]
    return [way.node for way in ways(node)]


class _Unfolding:
    def __init__(self, spec: GraphSpec, order: list[NodeSpec]) -> None:
        self.spec = spec
        self.taken = {node.name for node in spec.nodes}
        self.numbers = defaultdict[str, int](lambda: 2)
        self.copies: dict[str, list[Copy]] = {}
        self.made = len(spec.nodes)
        for node in order:
            self.copies[node.name] = self._copies(node)
        self.leads = self._leads(order)
        self.stops = {
            copy: Copy(self._name(copy.origin), copy.beyond[0], copy)
            for copies in self.copies.values()
            for copy in copies
            if copy.beyond
        }

    def result(self) -> Unfolded:
        firsts, others = [], []
        for node in self.spec.nodes:
            first, *more = [self._node(node, copy) for copy in self.copies[node.name]]
            firsts.append(first)
            others += more
        for copy, stop in self.stops.items():
            others.append(NodeSpec(name=stop.name, kind=ITEM_KIND, fire=Each(way=Edge(node=copy.name, when="true"))))
        result = self.spec.result
        all_copies = [copy for copies in self.copies.values() for copy in copies]
        return Unfolded(
            spec=replace(
                self.spec,
                nodes=(*firsts, *others),
                result=None if result is None else mapped(result, self._in_result),
            ),
            origins={copy.name: copy.origin for copy in (*all_copies, *self.stops.values())},
            beyond={stop.name: _too_many(stop.origin) for stop in self.stops.values()},
            paths={node.name: len(self.copies[node.name]) for node in self.spec.nodes if len(ways(node)) > 1},
        )

    def _copies(self, node: NodeSpec) -> list[Copy]:
        found = [(above, way) for above, way in self._ways(node)]
        if self.made + len(found) - 1 > MOST:
            for above, _ in found[1:]:
                assert above is not None, "what nothing is above has one way in"
                above.beyond.append(node.name)
            found = found[:1]
        self.made += len(found) - 1
        names = [node.name, *(self._name(node.name) for _ in found[1:])]
        return [Copy(name, node.name, above, way) for name, (above, way) in zip(names, found, strict=True)]

    def _ways(self, node: NodeSpec) -> Iterator[tuple[Copy | None, Edge | None]]:
        """Where each copy of a node stands."""
        if isinstance(node.fire, Join) and node.fire.anchor is not None:
            yield from ((anchor, None) for anchor in self.copies[node.fire.anchor])
        elif found := ways(node):
            yield from ((above, way) for way in found for above in self.copies[way.node])
        else:
            yield None, None

    def _name(self, origin: str) -> str:
        while (name := f"{head(origin, _SHOWN)}~{self.numbers[origin]}") in self.taken:
            self.numbers[origin] += 1
        self.taken.add(name)
        return name

    def _leads(self, order: list[NodeSpec]) -> dict[str, set[str]]:
        """By node that was not copied somewhere, the joins that it leads to."""
        wanted = {name for copies in self.copies.values() for copy in copies for name in copy.beyond}
        after: dict[str, list[str]] = {}
        for node in order:
            for name in _before(node):
                after.setdefault(name, []).append(node.name)
        found: dict[str, set[str]] = {}
        for name in wanted:
            seen, stack = {name}, [name]
            while stack:
                new = [each for each in after.get(stack.pop(), ()) if each not in seen]
                seen.update(new)
                stack += new
            found[name] = seen
        return found

    def _node(self, node: NodeSpec, copy: Copy) -> NodeSpec:
        turn = partial(self._leaf, copy)
        return replace(
            node,
            name=copy.name,
            fire=self._fire(node, copy),
            bind={name: mapped(binding, turn) for name, binding in node.bind.items()},
            expand=None if node.expand is None else Expand(over=mapped(node.expand.over, turn)),
        )

    def _fire(self, node: NodeSpec, copy: Copy) -> Each | Join:
        if not isinstance(node.fire, Join):
            assert isinstance(node.fire, Each)
            return Each(way=None if copy.above is None or copy.way is None else replace(copy.way, node=copy.above.name))
        of = {each.name: name for name in node.fire.of for each in self._below(name, copy.above)}
        stopped = [
            stop.name
            for above, stop in self.stops.items()
            if any(node.name in self.leads[name] for name in above.beyond)
            and (copy.above is None or copy.above in above.up())
        ]
        return replace(
            node.fire,
            anchor=None if copy.above is None else copy.above.name,
            of=(*of, *stopped),
            when={name: node.fire.when[origin] for name, origin in of.items() if origin in node.fire.when},
        )

    def _below(self, name: str, anchor: Copy | None) -> list[Copy]:
        """The copies of a node at an anchor, or below it."""
        return [copy for copy in self.copies[name] if anchor is None or anchor in copy.up()]

    def _leaf(self, copy: Copy, leaf: Binding) -> Binding:
        """What a reference of a node means in one of its copies: what is above on this path, or below the anchor."""
        match leaf:
            case Ref(node=name) | Element(of=name) if name in self.copies:
                pass
            case _:
                return leaf
        for each in copy.up():
            if each.origin == name:
                return replace(leaf, of=each.name) if isinstance(leaf, Element) else replace(leaf, node=each.name)
        if isinstance(leaf, Ref) and copy.way is None and (found := self._below(name, copy.above)):
            return _spliced(leaf, found)
        return leaf

    def _in_result(self, leaf: Binding) -> Binding:
        return _spliced(leaf, self.copies[leaf.node]) if isinstance(leaf, Ref) and leaf.node in self.copies else leaf


def _spliced(ref: Ref, copies: list[Copy]) -> Binding:
    if len(copies) == 1:
        return replace(ref, node=copies[0].name)
    return Splice(of=tuple(replace(ref, node=copy.name) for copy in copies))


def _too_many(name: str) -> str:
    return (
        f"more than {MOST} paths lead through the graph, which is the limit, and this one, to {name!r}, is beyond it. "
        "Let a join unite the ways."
    )
