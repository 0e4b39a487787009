"""What a fork of a run takes over and what of it runs anew: a plan, made of the tasks and join rows of the run.

A fork starts at a node, or at one task of it. That and all below it is left out; every other task is taken over as it
stands. The joins that it leads to are open again in the copy, and their counters are counted anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from stoker.core.branch import cut, indexes
from stoker.core.compiled import TRIGGER, Compiled, CompiledNode, text_of
from stoker.core.firing import recount
from stoker.core.graph import ITEM_KIND
from stoker.core.model import JoinKey, JoinRow, JoinState, Run, Spread, Task
from stoker.core.spread import standing
from stoker.core.states import RunState, TaskState
from stoker.core.topology import inputs_read, reads
from stoker.errors import Conflict, Invalid, NotFound

FEW = 5


class Start(NamedTuple):
    """Where a fork starts. `doors`: inline nodes with the conditions on its ways in. `task`: only this one."""

    node: int
    doors: tuple[int, ...] = ()
    task: Task | None = None


class Way(NamedTuple):
    """A way in that is gone once more: the tasks of a node after a task (None: after the trigger).

    `at`: only what stood there.
    """

    node: int
    parent: Task | None
    at: Task | None = None


class Forking(msgspec.Struct, frozen=True, kw_only=True):
    """`kept`: tasks to take over. `again`: tasks that are left out. `rows`: of the copy, by the keys of the run."""

    kept: list[Task]
    again: list[Task]
    rows: dict[JoinKey, JoinRow]
    ways: list[Way]


# --- where ---


def start(graph: Compiled, run: Run, tasks: Sequence[Task], name: str, branch: str | None) -> Start:
    """The start of a fork. Conflict, NotFound: there cannot be one."""
    place = f"runs/{run.id}"
    if graph.live:
        raise Conflict(
            f"run {run.id} is live: its nodes fire anew by themselves.",
            code="live_run",
            place=place,
            remedy=f"`stoker runs fire {run.id} NODE` has a node run again.",
        )
    if run.state is RunState.RUNNING:
        raise Conflict(
            f"run {run.id} is still running; what a fork takes over stands still.",
            code="still_running",
            place=place,
            remedy="Wait for its end, or cancel it first.",
        )
    node = _node(graph, name)
    if branch is None:
        return Start(node.index, tuple(_doors(graph, node.index)))
    found = [task for task in tasks if task.node == node.index]
    for task in found:
        if text_of(graph, task.node, task.branch) == branch:
            return Start(node.index, (), task)
    few = ", ".join(repr(text_of(graph, task.node, task.branch)) for task in found[:FEW]) or "none"
    raise NotFound(
        f"{name!r} has no task at {branch!r} in run {run.id}.",
        code="no_task",
        place=f"from {name}@{branch}",
        remedy=f"It has tasks at {few}{', …' if len(found) > FEW else ''}.",
    )


def _node(graph: Compiled, name: str) -> CompiledNode:
    shown = [node.name for node in graph.nodes if node.held or not node.inline]
    if name not in shown:
        raise NotFound(
            f"the graph {graph.spec.name!r} has no node {name!r} that is run.",
            code="no_node",
            place=f"from {name}",
            remedy=f"Its nodes: {', '.join(map(repr, shown))}.",
        )
    node = graph.place(name)
    around = [graph.nodes[at].parent for at in _above(graph, node.index) if at in _begun(graph)]
    if around:
        loop = graph.nodes[around[-1]].name
        raise Conflict(
            f"{name!r} is in the body of the loop {loop!r}, whose rounds follow one from the other.",
            code="loop",
            place=f"from {name}",
            remedy=f"Fork from {loop!r}.",
        )
    return node


def _above(graph: Compiled, node: int) -> Iterator[int]:
    """A node and those on its branch above it."""
    while node != TRIGGER:
        yield node
        node = graph.nodes[node].parent


def _begun(graph: Compiled) -> set[int]:
    """The nodes that rounds of loops begin with."""
    return {node.loop.start for node in graph.nodes if node.loop is not None}


def _doors(graph: Compiled, node: int) -> Iterator[int]:
    """The inline nodes that lead to this node alone."""
    begun = _begun(graph)
    for door in graph.nodes:
        to = {kid.node for kid in door.kids} | set(door.straight)
        if door.kind.name == ITEM_KIND and not door.is_join and door.index not in begun and to == {node}:
            yield door.index


# --- what may be edited ---


def sources(graph: Compiled, start: Start) -> set[int]:
    """The nodes whose items lead to the start, or are read there."""
    found = {above for index in (start.node, *start.doors) for above in reads(graph, index)}
    return found - {start.node, *start.doors}


def edited(graph: Compiled, start: Start, kept: Sequence[Task], name: str, branch: str) -> Task:
    """The task whose item is edited. Invalid: the start does not read it, or it gave none."""
    known = sorted(graph.nodes[index].name for index in sources(graph, start))
    place = f"edit of {name}{f'@{branch}' if branch else ''}"
    if name not in known:
        where = graph.nodes[start.node].name
        raise Invalid(
            f"{name!r} is not right before {where!r}.",
            code="bad_edit",
            place=place,
            remedy=f"What {where!r} reads: {', '.join(map(repr, known)) or 'only inputs of the run'}.",
        )
    there = [task for task in kept if task.node == graph.names[name] and task.state is TaskState.SUCCEEDED]
    for task in there:
        if text_of(graph, task.node, task.branch) == branch:
            return task
    few = ", ".join(repr(text_of(graph, task.node, task.branch)) for task in there[:FEW]) or "nowhere"
    raise Invalid(
        f"{name!r} has no item at {branch!r}.", code="bad_edit", place=place, remedy=f"It has items at {few}."
    )


def unaware(
    graph: Compiled, start: Start, plan: Forking, nodes: Collection[int], inputs: Collection[str] = ()
) -> list[str]:
    """The nodes that have read items of these nodes, or these inputs, too, and are taken over as they were."""
    there = {task.node for task in plan.kept} - {start.node, *start.doors}
    return sorted(
        graph.nodes[index].name
        for index in there
        if sources(graph, Start(index)) & set(nodes) or inputs_read(graph, index) & set(inputs)
    )


# --- the plan ---


def plan(
    graph: Compiled,
    run: Run,
    tasks: Sequence[Task],
    rows: Mapping[JoinKey, JoinRow],
    spreads: Sequence[Spread],
    start: Start,
) -> Forking:
    """What a fork takes over. Conflict where something of that was cut off when the run was stopped."""
    below = Below(graph, run.id, rows, tasks, start)
    kept = [task for task in tasks if not below.has(task.node, task.branch)]
    unmade = [next(standing(row)) for row in spreads if not below.has(row.node, row.branch)]
    _whole(graph, run, [*kept, *unmade], start)
    ways = list(_ways(graph, kept, start))
    if not ways and not below.anew:
        name = graph.nodes[start.node].name
        raise Conflict(
            f"{name!r} was not reached in run {run.id}: nothing leads to it.",
            code="not_reached",
            place=f"from {name}",
            remedy=f"Fork from a node before it; `stoker explain run:{run.id}` says what became of those.",
        )
    staying = {key: row for key, row in rows.items() if not below.has(graph.nodes[key.join].parent, key.branch)}
    decided = {
        key: msgspec.structs.replace(row, state=JoinState.OPEN) if key in below.anew else row
        for key, row in staying.items()
    }
    return Forking(
        kept=kept,
        again=[task for task in tasks if below.has(task.node, task.branch)],
        rows=_counted(graph, run.id, kept, decided, ways),
        ways=ways,
    )


class Below:
    """What stands at the start of a fork and below it. `anew`: the joins that are decided anew."""

    def __init__(
        self, graph: Compiled, run: int, rows: Mapping[JoinKey, JoinRow], tasks: Sequence[Task], start: Start
    ) -> None:
        self._graph = graph
        self._run = run
        self._whole = set() if start.task is not None else {start.node, *start.doors}
        self._one = None if start.task is None else (start.node, start.task.branch)
        self.anew: set[JoinKey] = set()
        node = graph.nodes[start.node]
        if node.is_join and not _in_place(graph, start):
            self._whole.discard(start.node)
            self.anew = {key for key in rows if key.join == start.node and _at(key, start)}
            self._one = None
        places = [(key.join, key.branch) for key in self.anew]
        places += [(task.node, task.branch) for task in tasks if self.has(task.node, task.branch)]
        places += [(way.node, way.parent.branch if way.parent else b"") for way in _ways(graph, tasks, start)]
        while places:
            at, branch = places.pop()
            for join in graph.nodes[at].feeds:
                key = self._key(join, branch)
                if key in rows and key not in self.anew:
                    self.anew.add(key)
                    places.append((key.join, key.branch))

    def has(self, node: int, branch: bytes) -> bool:
        for at in _above(self._graph, node):
            if at in self._whole:
                return True
            if self._one is not None and at == self._one[0]:
                here = branch if at == node else cut(branch, self._graph.nodes[at].depth)
                if here == self._one[1]:
                    return True
            if self._graph.nodes[at].is_join and self._key(at, branch) in self.anew:
                return True
        return False

    def _key(self, join: int, branch: bytes) -> JoinKey:
        return JoinKey(self._run, join, cut(branch, self._graph.row_depth[join]))


def _at(key: JoinKey, start: Start) -> bool:
    return start.task is None or key.branch == start.task.branch


def _in_place(graph: Compiled, start: Start) -> bool:
    """Whether it is one element of a node's own expand, which is made anew where it stood."""
    node = graph.nodes[start.node]
    return start.task is not None and node.spec.expand is not None and len(indexes(start.task.branch)) == node.depth


def _ways(graph: Compiled, tasks: Sequence[Task], start: Start) -> Iterator[Way]:
    """The ways in: from each task before the start that SUCCEEDED. A join is none: it is decided anew."""
    by_id = {task.id: task for task in tasks}
    if start.task is not None:
        if not graph.nodes[start.node].is_join or _in_place(graph, start):
            yield Way(start.node, by_id.get(start.task.parent or 0), start.task)
        return
    for index in _first(graph, start):
        node = graph.nodes[index]
        if node.parent == TRIGGER:
            yield Way(index, None)
            continue
        for task in tasks:
            if task.node == node.parent and task.state is TaskState.SUCCEEDED:
                yield Way(index, task)


def _first(graph: Compiled, start: Start) -> list[int]:
    """The nodes at which it starts that do not stand behind one of the others."""
    behind = {kid.node for door in start.doors for kid in graph.nodes[door].kids}
    return [index for index in (*start.doors, start.node) if index not in behind and not graph.nodes[index].is_join]


def _whole(graph: Compiled, run: Run, kept: Sequence[Task], start: Start) -> None:
    """Conflict if something that is to be taken over never came to its own end."""
    for task in kept:
        node = graph.nodes[task.node]
        withheld = task.withheld and (node.kids or node.opens or node.straight)
        if withheld or (task.state is TaskState.CANCELLED and task.cancel_at is None):
            raise Conflict(
                f"run {run.id} was stopped before {node.name!r} and what follows had come to their ends, which a fork "
                f"from {graph.nodes[start.node].name!r} would take over.",
                code="run_was_stopped",
                place=f"runs/{run.id}",
                remedy=f"`stoker runs retry {run.id}` first, or fork from {node.name!r} or a node before it.",
            )


def _counted(
    graph: Compiled, run: int, kept: Sequence[Task], decided: Mapping[JoinKey, JoinRow], ways: Sequence[Way]
) -> dict[JoinKey, JoinRow]:
    """The rows of the copy. For each way a task stands in, lest what it leads to be counted as empty."""
    standins = [
        Task(id=0, run=run, node=way.node, branch=_place(way), parent=None if way.parent is None else way.parent.id)
        for way in ways
    ]
    counted = recount(graph, run, [*kept, *standins], decided)
    for task in standins:
        for join in graph.nodes[task.node].feeds:
            row = counted[JoinKey(run, join, cut(task.branch, graph.row_depth[join]))]
            row.open -= 1
            row.members -= 1
    return counted


def _place(way: Way) -> bytes:
    if way.at is not None:
        return way.at.branch
    return b"" if way.parent is None else way.parent.branch
