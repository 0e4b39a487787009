"""A graph of plain steps evaluated plainly: loops over lists, nothing stored, nothing counted, nobody asked.

It holds for graphs whose tasks all SUCCEED: then every join fires, with everything below its anchor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from typing import Any, NamedTuple

from stoker.core.graph import (
    ITEM_KIND,
    Binding,
    Each,
    Edge,
    Element,
    GraphSpec,
    Join,
    ListOf,
    NodeSpec,
    ObjectOf,
    Path,
    Ref,
    RunInput,
    Value,
)
from stoker.selftest import plain

Way = tuple[int, ...]  # the numbers in a branch
Items = dict[Way, list[Any]]


class Place(NamedTuple):
    """Where a task stands. `elements`: by node, the element of its expansion that the way goes through."""

    way: Way
    elements: Mapping[str, Any]


def is_plain(spec: GraphSpec) -> bool:
    """Whether what its nodes make is a function of what they are given."""
    return all(node.kind in (plain.PLAIN, plain.PLAINS, ITEM_KIND) for node in spec.nodes)


def evaluate(spec: GraphSpec, inputs: Mapping[str, Any]) -> dict[str, Items]:
    """The items of every task, by node and way."""
    evaluation = _Evaluation(spec, inputs)
    before = {node.name: list(_before(node)) for node in spec.nodes}
    for name in TopologicalSorter(before).static_order():
        evaluation.run(evaluation.nodes[name])
    return evaluation.items


def _before(node: NodeSpec) -> Iterator[str]:
    match node.fire:
        case Each(way=Edge(node=name)):
            yield name
        case Join(anchor=anchor, of=of):
            yield from of
            if anchor is not None:
                yield anchor
        case _:
            pass


class _Evaluation:
    def __init__(self, spec: GraphSpec, inputs: Mapping[str, Any]) -> None:
        self.nodes = {node.name: node for node in spec.nodes}
        self._inputs = inputs
        self._places: dict[str, list[Place]] = {}
        self._lengths: dict[str, int] = {}  # of the ways of a node
        self.items: dict[str, Items] = {}

    def run(self, node: NodeSpec) -> None:
        arrived = list(self._arrive(node))
        self._places[node.name] = list(self._expand(node, arrived))
        self.items[node.name] = {place.way: self._settle(node, place) for place in self._places[node.name]}

    # --- where its tasks stand ---

    def _arrive(self, node: NodeSpec) -> Iterator[Place]:
        match node.fire:
            case Each(way=Edge(node=parent, expand=expand)):
                self._lengths[node.name] = self._lengths[parent] + self._many(parent) + (expand is not None)
                for place in self._places[parent]:
                    for number, item in enumerate(self.items[parent][place.way]):
                        way = (*place.way, number) if self._many(parent) else place.way
                        yield from self._below(parent, Place(way, place.elements), item, expand)
            case Join(anchor=str() as anchor):
                self._lengths[node.name] = self._lengths[anchor]
                yield from self._places[anchor]
            case _:
                self._lengths[node.name] = 0
                yield Place((), {})

    @staticmethod
    def _below(parent: str, place: Place, item: Any, expand: Path | None) -> Iterator[Place]:
        if expand is None:
            yield place
            return
        for number, element in enumerate(_pick(item, expand)):
            yield Place((*place.way, number), {**place.elements, parent: element})

    def _expand(self, node: NodeSpec, places: list[Place]) -> Iterator[Place]:
        if node.expand is None:
            yield from places
            return
        for place in places:
            for number, element in enumerate(self._bind(node, place, node.expand.over)):
                yield Place((*place.way, number), {**place.elements, node.name: element})
        self._lengths[node.name] += 1

    def _many(self, name: str) -> bool:
        return self.nodes[name].kind == plain.PLAINS

    # --- what they make ---

    def _settle(self, node: NodeSpec, place: Place) -> list[Any]:
        if node.kind == ITEM_KIND:
            return [self._element(node, place)]
        given = {name: self._bind(node, place, binding) for name, binding in node.bind.items()}
        asked = given["name"], given["widths"], given["given"]
        return plain.items(*asked) if node.kind == plain.PLAINS else [plain.item(*asked)]

    def _element(self, node: NodeSpec, place: Place) -> Any:
        """What an inline task settles with: the element of its own expand, or of the way in."""
        if node.expand is not None:
            return place.elements[node.name]
        match node.fire:
            case Each(way=Edge(node=parent, expand=expand)) if expand is not None:
                return place.elements[parent]
        return None

    def _bind(self, node: NodeSpec, place: Place, binding: Binding) -> Any:
        match binding:
            case Value(value=value):
                return value
            case ListOf(items=items):
                return [self._bind(node, place, item) for item in items]
            case ObjectOf(fields=fields):
                return {name: self._bind(node, place, field) for name, field in fields.items()}
            case RunInput(name=name, path=path):
                return _pick(self._inputs.get(name), path)
            case Element(of=name, path=path):
                return _pick(place.elements[name], path)
            case Ref(path=path, many=True):
                return [_pick(item, path) for item in self._gathered(node, place, binding)]
            case Ref():
                return self._one(place, binding)
        raise AssertionError(binding)

    def _gathered(self, node: NodeSpec, place: Place, ref: Ref) -> list[Any]:
        """All items of a node below the anchor task, in the order of their ways."""
        assert isinstance(node.fire, Join)
        above = place.way[: 0 if node.fire.anchor is None else self._lengths[node.fire.anchor]]
        items = self.items[ref.node]
        return [item for way in sorted(items) if way[: len(above)] == above for item in items[way]]

    def _one(self, place: Place, ref: Ref) -> Any:
        found = self.items[ref.node].get(place.way[: self._lengths[ref.node]])
        if found is None:
            assert ref.optional, f"{ref.node} has no item at {place.way}"
            return None
        return _pick(found[0], ref.path)


def _pick(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value
