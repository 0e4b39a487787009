"""Arguments as trees of handles, and what becomes of them: which points they need, other handles, bindings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from stoker.authoring.scopes import Point
from stoker.core.graph import Binding, ListOf, ObjectOf, Path, RunInput, Store, Text, Value


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part of what a point gives. `spared`: what is bound if it gives nothing."""

    point: Point
    path: Path = ()
    spared: Any = UNSET

    def moved(self, to: Mapping[Point, Leaf]) -> Leaf:
        """The same value where it was brought to."""
        found = to.get(self.point)
        return self if found is None else Leaf(found.point, found.path + self.path, self.spared)


@dataclass(frozen=True, slots=True)
class Joined:
    """The parts of a text."""

    parts: tuple[Tree, ...]


Tree = Leaf | Value | RunInput | Store | Joined | list["Tree"] | dict[str, "Tree"]


def points(*trees: Tree) -> list[Point]:
    """Every point in the trees, once, in order."""
    found: dict[Point, None] = {}
    stack = list(reversed(trees))
    while stack:
        match stack.pop():
            case Leaf(point):
                found[point] = None
            case list(items) | Joined(items):
                stack.extend(reversed(items))
            case dict(fields):
                stack.extend(reversed(fields.values()))
            case _:
                pass
    return list(found)


def replaced(tree: Tree, to: Mapping[Point, Leaf]) -> Tree:
    """The tree with handles where they were brought to."""
    match tree:
        case Leaf():
            return tree.moved(to)
        case list():
            return [replaced(item, to) for item in tree]
        case Joined(parts):
            return Joined(tuple(replaced(part, to) for part in parts))
        case dict():
            return {name: replaced(item, to) for name, item in tree.items()}
        case _:
            return tree


def binding(tree: Tree, of: Callable[[Leaf], Binding]) -> Binding:
    """The tree as a binding, with `of` deciding how a handle is read."""
    match tree:
        case Leaf():
            return of(tree)
        case list():
            return ListOf(items=tuple(binding(item, of) for item in tree))
        case Joined(parts):
            return Text(parts=tuple(binding(part, of) for part in parts))
        case dict():
            return ObjectOf(fields={name: binding(item, of) for name, item in tree.items()})
        case _:
            return tree
