"""Random authoring programs, and what they mean: evaluated by scopes in plain Python, with nothing of the compiler.

A program is a list of steps over an environment of handles. `Traced` runs it with real nodes and graphs; `Eager` runs
it with values that know for which elements they stand.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, field
from typing import Any

import stoker.authoring as stoker
from stoker.authoring.graphs import Graph


def digest(*args: Any) -> int:
    return zlib.crc32(repr([arg for arg in args if arg is not None]).encode())


@stoker.node
def scalar(a=None, b=None, c=None):
    return digest("scalar", a, b, c) % 1000


@stoker.node
def flat(a=None, b=None, c=None):
    seed = digest("flat", a, b, c)
    return [(seed + i) % 1000 for i in range(seed % 4)]


@stoker.node
def deep(a=None, b=None, c=None):
    seed = digest("deep", a, b, c)
    return [[(seed + i * 7 + j) % 1000 for j in range((seed + i) % 3)] for i in range(seed % 4)]


@stoker.node
def several(a=None, b=None, c=None) -> stoker.Items:
    seed = digest("several", a, b, c)
    return stoker.Items([(seed + i) % 1000 for i in range(seed % 4)])


@stoker.node
def lists(a=None, b=None, c=None) -> stoker.Items:
    seed = digest("lists", a, b, c)
    return stoker.Items([[(seed + i * 5 + j) % 1000 for j in range((seed + i) % 3)] for i in range(seed % 3)])


NODES = {node.name: node for node in (scalar, flat, deep, several, lists)}
DEPTH = {"scalar": 0, "flat": 1, "deep": 2, "several": 0, "lists": 1}
MANY = {"several", "lists"}
FUNCTIONS = {
    name: (lambda node=node, name=name, **args: node.code(**args).values if name in MANY else [node.code(**args)])
    for name, node in NODES.items()
}


@dataclass(frozen=True)
class Arg:
    """A handle by its place in the environment, or each of its elements."""

    at: int
    spread: bool = False


@dataclass(frozen=True)
class Step:
    """Call or map a node, or (`body`) a graph whose parameters come first in its environment."""

    node: str
    args: tuple[Arg, ...]
    mapped: bool
    body: tuple[Step, ...] = ()


def steps(dice: random.Random, count: int, known: int = 1, level: int = 0) -> list[Step]:
    made: list[Step] = []
    for _ in range(count):
        mapped = dice.random() < 0.6
        args = tuple(
            Arg(dice.randrange(known), mapped and dice.random() < 0.5)
            for _ in range(dice.randint(0 if level else 1, 3))
        )
        if level < 2 and dice.random() < 0.25 and args:
            body = tuple(steps(dice, dice.randint(1, 4), known + len(args), level + 1))
            made.append(Step("", args, mapped, body))
        else:
            made.append(Step(dice.choice([*NODES, "scalar", "flat"]), args, mapped))
        known += 1
    return made


# --- by the real thing ---


class Traced:
    """Runs steps inside a graph function."""

    def __init__(self, program: list[Step], first: list[int]) -> None:
        self.program = program
        self.first = first

    def graph(self) -> Graph:
        def program(start):
            handles = [start]
            for step in self.program:
                handles.append(self.step(step, handles))
            return {str(index): handle for index, handle in enumerate(handles)}

        return stoker.graph(program)

    def step(self, step: Step, handles: list[Any]) -> Any:
        args = dict(
            zip("abc", [stoker.each(handles[a.at]) if a.spread else handles[a.at] for a in step.args], strict=False)
        )
        if not step.body:
            node = NODES[step.node]
            return node.map(**args) if step.mapped else node(**args)

        def inner(a=None, b=None, c=None):
            known = [*handles, *[a, b, c][: len(step.args)]]
            for within in step.body:
                known.append(self.step(within, known))
            return known[-1]

        graph = stoker.graph(inner)
        return graph.map(**args) if step.mapped else graph(**args)


# --- by plain evaluation ---


class Unrelated(Exception):
    """The arguments of a step do not fit together."""


@dataclass(eq=False)
class Area:
    """The elements that a scope stands for, by index."""

    parent: Area | None
    indexes: list[tuple[int, ...]]
    inner: dict[Any, tuple[Area, Scoped]] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        return 0 if self.parent is None else self.parent.depth + 1

    def encloses(self, other: Area) -> bool:
        at: Area | None = other
        while at is not None and at is not self:
            at = at.parent
        return at is self


@dataclass(eq=False)
class Scoped:
    area: Area
    values: dict[tuple[int, ...], Any]
    depth: int

    def at(self, area: Area, index: tuple[int, ...]) -> Any:
        """What a plain use at one element of `area` sees."""
        if self.area.encloses(area):
            return self.values[index[: len(next(iter(self.area.indexes), ()))]]
        if area.encloses(self.area):
            return [self.values[found] for found in sorted(self.values) if found[: len(index)] == index]
        raise Unrelated


class Eager:
    def __init__(self, program: list[Step], first: list[int]) -> None:
        self.program = program
        self.root = Area(None, [()])
        self.first = Scoped(self.root, {(): first}, 1)

    def values(self) -> list[Scoped]:
        known = [self.first]
        for step in self.program:
            known.append(self.step(step, known, self.root))
        return known

    def result(self) -> dict[str, Any]:
        return {str(index): value.at(self.root, ()) for index, value in enumerate(self.values())}

    def step(self, step: Step, known: list[Scoped], caller: Area) -> Scoped:
        args = [self.each(known[a.at], caller) if a.spread else known[a.at] for a in step.args]
        area = self.deepest(args, caller) if step.mapped else caller
        if step.body:
            inside = [*known, *args]
            for within in step.body:
                inside.append(self.step(within, inside, area))
            return inside[-1]
        for arg in args:
            if not arg.area.encloses(area) and (step.mapped or not area.encloses(arg.area)):
                raise Unrelated
        code = FUNCTIONS[step.node]
        items = {
            index: code(**dict(zip("abc", [arg.at(area, index) for arg in args], strict=False)))
            for index in area.indexes
        }
        if step.node not in MANY:
            return Scoped(area, {index: found[0] for index, found in items.items()}, DEPTH[step.node])
        return self.inner(area, items, DEPTH[step.node], object())[1]

    def deepest(self, args: list[Scoped], caller: Area) -> Area:
        mapped = [arg.area for arg in args if caller.encloses(arg.area) and arg.area is not caller]
        if not mapped:
            raise Unrelated
        area = max(mapped, key=lambda found: found.depth)
        if not all(arg.area.encloses(area) for arg in args):
            raise Unrelated
        return area

    def each(self, source: Scoped, caller: Area) -> Scoped:
        if source.depth == 0:
            raise Unrelated
        if caller.encloses(source.area):
            area = source.area
        elif source.area.encloses(caller):
            area = caller
        else:
            raise Unrelated
        values = {index: source.at(area, index) for index in area.indexes}
        return self.inner(area, values, source.depth - 1, source)[1]

    @staticmethod
    def inner(area: Area, lists: dict[Any, list[Any]], depth: int, key: object) -> tuple[Area, Scoped]:
        if key not in area.inner:
            values = {(*index, at): value for index, found in lists.items() for at, value in enumerate(found)}
            inside = Area(area, sorted(values))
            area.inner[key] = inside, Scoped(inside, values, depth)
        return area.inner[key]
