"""The conditions of random graphs, and the rule that what became of each edge is what Python makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from stoker.core.branch import cut, indexes
from stoker.core.graph import Each
from stoker.core.model import Task
from stoker.core.states import TaskState, Verb
from stoker.selftest.look import Look, Rule

Told = Mapping[str, Callable[[Any, int], Any]]
"""Conditions in CEL and in Python, of an item and an index; what raises, or gives no boolean, cannot be told."""

CONDITIONS: Told = {
    "index < 2": lambda _, index: index < 2,
    "size(item.parts) > 0": lambda item, _: len(item["parts"]) > 0,
    "item.id != inputs.seed": lambda item, _: bool(item["id"]),
    "item.nothing > 1": lambda item, _: item["nothing"] > 1,
}


def verdict(told: Told, when: str, item: Any, index: int) -> TaskState | None:
    """What a task behind the edge is to be; None: what it comes to."""
    try:
        found = told[when](item, index)
    except (TypeError, KeyError):
        return TaskState.FAILED
    if not isinstance(found, bool):
        return TaskState.FAILED
    return None if found else TaskState.SKIPPED


def _conditions_are_told_as_python_does(look: Look) -> Iterator[str]:
    for task in look.of.tasks:
        when = look.node(task).when
        if when is None or when.source not in CONDITIONS:
            continue
        item = _arrived(look, task)
        wanted = verdict(CONDITIONS, when.source, item, [0, *indexes(task.branch)][-1])
        found = task.state if task.code == "condition" else None
        if found is not wanted or (found is not None and task.ended is not Verb.NONE):
            yield f"{look.name(task)} with the code {task.code!r}: {when.source!r} of {item} wants {wanted}"


def _arrived(look: Look, task: Task) -> Any:
    """What came over the edge: an item of the node above, or an element of it."""
    node = look.node(task)
    above, way = look.graph.nodes[node.parent], node.spec.fire
    assert isinstance(way, Each)
    assert way.way
    rest = indexes(task.branch)[above.depth :]
    number = rest.pop(0) if above.kind.items == "many" else 0
    found = look.document(look.items[above.index, cut(task.branch, above.depth)][number])
    for key in way.way.expand or ():
        found = found[key]
    return found if way.way.expand is None else found[rest[0]]


RULES: tuple[Rule, ...] = (_conditions_are_told_as_python_does,)
