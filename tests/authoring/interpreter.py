"""What a `GraphSpec` means when nothing fails: a direct reading of each, join and expand, slow and obvious."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stoker.core.graph import (
    ITEM_KIND,
    Each,
    Edge,
    Element,
    GraphSpec,
    Join,
    ListOf,
    NodeSpec,
    ObjectOf,
    Ref,
    RunInput,
    Value,
)

NOTHING = object()


@dataclass(eq=False)
class Did:
    """One task: the way to it, the task above it (and which of its items), the elements it goes through."""

    node: str
    branch: tuple[int, ...]
    above: Did | None
    item: int
    elements: dict[str, Any]
    element: Any = NOTHING
    items: list[Any] = field(default_factory=list)


class Interpreter:
    def __init__(self, spec: GraphSpec, functions: dict[str, Callable[..., list[Any]]], inputs: dict[str, Any]) -> None:
        self.spec = spec
        self.functions = functions
        self.inputs = inputs
        self.done: dict[str, list[Did]] = {}

    def result(self) -> Any:
        for node in self.spec.nodes:
            tasks = [own for task in self.fire(node) for own in self.expand(node, task)]
            self.done[node.name] = tasks
            for task in tasks:
                bound = {name: self.bind(binding, node, task) for name, binding in node.bind.items()}
                if node.kind == ITEM_KIND:  # as the engine has it: the element, and nothing else
                    task.items = [None if task.element is NOTHING else task.element]
                else:
                    task.items = self.functions[node.kind](**bound)
        return self.bind(self.spec.result, None, None)

    def fire(self, node: NodeSpec) -> list[Did]:
        match node.fire:
            case Each(way=None):
                return [Did(node.name, (), None, 0, {})]
            case Each(way=Edge(node=name, expand=None)):
                return [
                    Did(node.name, (*task.branch, number), task, number, task.elements)
                    for task in self.done[name]
                    for number in range(len(task.items))
                ]
            case Each(way=Edge(node=name, expand=path)):
                return [
                    Did(node.name, (*task.branch, number, at), task, number, {**task.elements, name: element}, element)
                    for task in self.done[name]
                    for number, item in enumerate(task.items)
                    for at, element in enumerate(part(item, path))
                ]
            case Join(anchor=None, of=of):
                assert all(name in self.done for name in of)
                return [Did(node.name, (0,), None, 0, {})]
            case Join(anchor=anchor, of=of):
                assert all(name in self.done for name in of)
                return [Did(node.name, (*task.branch, 0), task, 0, task.elements) for task in self.done[anchor]]
        raise AssertionError(node.fire)

    def expand(self, node: NodeSpec, task: Did) -> list[Did]:
        if node.expand is None:
            return [task]
        found = self.bind(node.expand.over, node, task)
        return [
            Did(node.name, (*task.branch, at), task.above, task.item, {**task.elements, node.name: element}, element)
            for at, element in enumerate(found)
        ]

    def bind(self, binding: Any, node: NodeSpec | None, task: Did | None) -> Any:
        match binding:
            case Value(value=value):
                return value
            case RunInput(name=name, path=path):
                return part(self.inputs[name], path)
            case ListOf(items=items):
                return [self.bind(item, node, task) for item in items]
            case ObjectOf(fields=fields):
                return {name: self.bind(item, node, task) for name, item in fields.items()}
            case Element(of=name, path=path):
                return part(task.elements[name], path)
            case Ref():
                return self.ref(binding, node, task)
        raise AssertionError(binding)

    def ref(self, ref: Ref, node: NodeSpec | None, task: Did | None) -> Any:
        above, item = (task.above, task.item) if task else (None, 0)
        while above is not None and not ref.many:
            if above.node == ref.node:
                return part(above.items[item], ref.path)
            above, item = above.above, above.item
        assert node is None or isinstance(node.fire, Join), f"{node} refers to {ref.node}, which is not above it"
        anchor = task.above.branch if task and task.above else ()
        members = [did for did in self.done[ref.node] if did.branch[: len(anchor)] == anchor]
        found = [part(value, ref.path) for did in sorted(members, key=lambda did: did.branch) for value in did.items]
        if ref.many:
            return found
        assert len(found) == 1, f"{len(found)} items of {ref.node}"
        return found[0]


def part(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        value = value[key]
    return value
