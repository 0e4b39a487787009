"""A run as a graph of states: what follows from what.

An edge leads from the state of the *item* that made a task to each state of that task; into a join from each state that
stands where a branch reached it, or, where none did, from its anchor. Both ends of an edge are always listed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from stoker.api.dialects.exosphere.ids import StateId
from stoker.api.dialects.exosphere.states import RETRY_CREATED, SUCCESS, SUMMARY, State, states, status
from stoker.core.branch import cut, index_at
from stoker.core.compiled import TRIGGER, Compiled, CompiledNode
from stoker.core.model import Task
from stoker.core.overview import present
from stoker.core.states import TaskState
from stoker.engine.overview import MOST, Drawn

MOST_EDGES = 5 * MOST

Edge = tuple[StateId, StateId]


class Picture(NamedTuple):
    """`roots`: what has nothing above it."""

    states: list[State]
    roots: list[State]
    edges: list[Edge]
    summary: dict[str, int]


def picture(drawn: Drawn) -> Picture:
    """The graph of a run; of a very large one, its first states and the edges between them."""
    return _Drawing(drawn).picture()


class _Drawing:
    def __init__(self, drawn: Drawn) -> None:
        self._drawn = drawn
        self._graph = drawn.graph
        self._states: dict[int, list[State]] = {}
        self._at: dict[tuple[int, bytes], Task] = {}
        self._tips: dict[tuple[int, bytes], list[Task]] = {}  # by join and the branch of its anchor
        self._list()

    def picture(self) -> Picture:
        listed = [state for found in self._states.values() for state in found]
        above = {task.id: self._above(task) for task in self._drawn.tasks if task.id in self._states}
        return Picture(
            states=listed,
            roots=[state for state in listed if not above[state.task.id] and self._tops(state.task)],
            edges=list(islice(self._edges(above), MOST_EDGES)),
            summary=_summary(self._drawn),
        )

    def _list(self) -> None:
        """The states of every task, up to the limit, and who stands where."""
        room = MOST
        for task in self._drawn.tasks:
            more = self._drawn.more.get((task.node, task.branch), 0)
            found = list(islice(states(self._drawn.run, task, self._drawn.past[task.id], more), room))
            room -= len(found)
            if found:
                self._states[task.id] = found
                self._at[task.node, task.branch] = task  # of a live run, the newest firing
                self._reach(task)

    def _reach(self, task: Task) -> None:
        if task.state is not TaskState.SUCCEEDED or task.withheld:
            return
        for join in self._graph.nodes[task.node].straight:
            self._tips.setdefault((join, cut(task.branch, self._graph.row_depth[join])), []).append(task)

    def _tops(self, task: Task) -> bool:
        return self._graph.nodes[task.node].parent == TRIGGER

    def _edges(self, above: dict[int, list[StateId]]) -> Iterator[Edge]:
        for task, sources in above.items():
            for state in self._states[task]:
                for source in sources:
                    yield source, state.id

    def _above(self, task: Task) -> list[StateId]:
        """The states from which an edge leads to each state of a task."""
        node = self._graph.nodes[task.node]
        if node.live:
            return [self._present(found) for index in node.of if (found := self._at.get((index, b""))) is not None]
        if node.is_join:
            tips = self._tips.get((node.index, cut(task.branch, self._graph.row_depth[node.index])), [])
            if tips:
                return [found for tip in tips for found in self._items(tip)]
        if node.parent == TRIGGER:
            return []
        parent = self._at.get((node.parent, cut(task.branch, self._graph.nodes[node.parent].depth)))
        if parent is None:
            return []
        if node.is_join:
            return self._items(parent)
        source = StateId(parent.id, present(parent), item_of(self._graph, node, task.branch))
        return [source] if source in self._items(parent) else []

    def _items(self, task: Task) -> list[StateId]:
        """The states of a task that stand for its items, or for what is to come."""
        return [state.id for state in self._states[task.id] if state.id.attempt == present(task)]

    @staticmethod
    def _present(task: Task) -> StateId:
        return StateId(task.id, present(task))


def item_of(graph: Compiled, node: CompiledNode, branch: bytes) -> int:
    """Which item of the task above made the task at a branch."""
    depth = graph.nodes[node.parent].depth
    if len(node.steps) <= depth or node.steps[depth].role != "item" or node.steps[depth].producer != node.parent:
        return 0
    return index_at(branch, depth)


def _summary(drawn: Drawn) -> dict[str, int]:
    """How many states have which status, those included that are not listed."""
    found = dict.fromkeys(SUMMARY, 0)
    for state, count in drawn.by_state.items():
        found[status(drawn.run, state)] += count
    found[SUCCESS] += drawn.further
    found[RETRY_CREATED] += drawn.followed
    return found
