"""Scopes and points: where a handle's tasks stand, and what lies above it on its branch.

Both form trees. A scope is the graph's, or the one that each element of a source opens. A point is a node, or the
element that a scope starts with; `up` is the last thing that its branch went through. So "above" is an ancestor, and
what several ways have in common is found by walking up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from stoker.core.graph import Binding, Path


@dataclass(eq=False, slots=True)
class Point:
    """`name` is the node; "" is an element that no node stands for. `many`: its task has several items."""

    scope: Scope
    up: Point | None
    name: str = ""
    many: bool = False


@dataclass(frozen=True, slots=True)
class ByEdge:
    """An edge expands the list at `path` of the source's item."""

    source: Point
    path: Path


@dataclass(frozen=True, slots=True)
class ByItems:
    """The items of a node that settles with several."""

    source: Point


@dataclass(frozen=True, slots=True)
class ByList:
    """A literal or an input of the run, expanded by the first node in the scope itself."""

    over: Binding


@dataclass(eq=False, slots=True)
class Scope:
    """`start` is the element (None: the graph's scope). `carrier`: the node whose own expand opens a `ByList` scope."""

    parent: Scope | None
    label: str = "the graph"
    origin: ByEdge | ByItems | ByList | None = None
    key: tuple[object, ...] = ()
    start: Point | None = None
    carrier: str = ""
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        self.depth = 0 if self.parent is None else self.parent.depth + 1


def start_of(scope: Scope) -> Point:
    """The element that a scope starts with."""
    assert scope.start is not None, "only the graph's own scope has no start"
    return scope.start


def encloses(outer: Scope, inner: Scope) -> bool:
    """Whether `inner` is `outer` or lies below it."""
    scope: Scope | None = inner
    while scope is not None and scope.depth > outer.depth:
        scope = scope.parent
    return scope is outer


def below(inner: Scope, outer: Scope) -> bool:
    """Whether `inner` lies strictly below `outer`."""
    return inner is not outer and encloses(outer, inner)


def ancestors(point: Point | None) -> Iterator[Point]:
    """The point itself and all that lies above it, nearest first."""
    while point is not None:
        yield point
        point = point.up


def above(upper: Point, lower: Point | None) -> bool:
    """Whether `upper` is `lower` or lies above it."""
    return any(upper is point for point in ancestors(lower))


def ways(points: Sequence[Point]) -> list[Point]:
    """The points without those that lie above another one: what is left are the ways in."""
    passed = {id(point) for start in points for point in ancestors(start.up)}
    return [point for point in dict.fromkeys(points) if id(point) not in passed]


def nearest_common(points: Sequence[Point], scope: Scope) -> Point | None:
    """The nearest point on every way whose tasks stand exactly once in the scope."""
    rest = [{id(point) for point in ancestors(way)} for way in points[1:]]
    for point in ancestors(points[0]):
        if point.scope is scope and not point.many and all(id(point) in seen for seen in rest):
            return point
    return None
