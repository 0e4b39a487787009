"""How explanations say times, lists and tasks."""

from __future__ import annotations

from collections.abc import Sequence

from stoker.core.compiled import Compiled
from stoker.core.duration import SECOND, Micros
from stoker.core.graph import Each, Edge
from stoker.core.model import Task
from stoker.engine.shown import branch_of

FEW = 5  # things that are named; of the others is said how many they are
_UNITS: tuple[tuple[str, float, float], ...] = (("s", 1, 120), ("min", 60, 7_200), ("h", 3_600, 172_800))


def span(length: Micros) -> str:
    """A length of time: `12.5 s`, `3 min`."""
    seconds = max(0, length) / SECOND
    for unit, size, below in _UNITS:
        if seconds < below:
            return f"{seconds / size:.{1 if unit == 's' else 0}f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def ahead(left: Micros) -> str:
    """When something is to happen."""
    return f"in {span(left)}" if left > 0 else "now"


def few(things: Sequence[str], count: int | None = None) -> str:
    """`a, b and 3 more`; `count`: how many there are if not all are given."""
    shown = things[:FEW]
    more = (len(things) if count is None else count) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def name_of(graph: Compiled, task: Task) -> str:
    """`task 7 (parse at split[3])`, or what the inline task behind a condition stands for."""
    node = graph.nodes[task.node]
    branch = branch_of(graph, task.node, task.branch)
    at = f" at {branch}" if branch else ""
    return f"task {task.id} ({node.name}{at})"


def condition_of(graph: Compiled, task: Task) -> str:
    """The condition that a task stands behind, and where it leads from."""
    match graph.nodes[task.node].spec.fire:
        case Each(way=Edge(node=source, when=str() as when)):
            return f"the condition `{when}` on the edge from {source!r}"
        case _:
            return "the condition on the edge to it"
