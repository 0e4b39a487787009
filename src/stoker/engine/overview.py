"""Runs as pages of states: many runs counted, one run whole, one task with the line that it stands in.

What a run counts comes from its row, which says how many tasks it has, how many of them are open and how many failed;
from two counts over rows that a task which succeeds with one item does not have: attempts that ended badly, and items
beyond the first; and, only while it is stopping, from one over its leases. None of it is asked run by run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from stoker.core.branch import END, cut
from stoker.core.compiled import TRIGGER, Compiled
from stoker.core.duration import Micros
from stoker.core.model import Run, Task
from stoker.core.overview import BAD, FAILED, FOLLOWED, Counts, counted, present
from stoker.core.retriable import causes
from stoker.core.states import TaskState
from stoker.engine.found import run_of, task_of
from stoker.engine.namespaces import Namespaces
from stoker.engine.ports import Place, Reader, Row, Store
from stoker.engine.versions import Versions

MOST = 10_000  # runs of a page, tasks of a picture
MOST_CAUSES = 20  # tasks named that keep a join from firing
MOST_TIPS = 1_000  # tasks that a close look at a join names
CUT = 1_000  # characters of a message in a picture

Spot = tuple[int, bytes]  # a place in a run: node, branch


class Line(NamedTuple):
    """A run of a page."""

    run: Run
    graph: str
    counts: Counts


class RunsPage(NamedTuple):
    """`total`: how many runs there are in all."""

    total: int
    lines: list[Line]


class End(NamedTuple):
    """How an attempt ended that did not settle its task well."""

    attempt: int
    outcome: str
    code: str
    message: str
    started_at: Micros | None
    ended_at: Micros


class Past(NamedTuple):
    """What is known of the attempts of a task. `retried`: those that were retried by hand."""

    ends: list[End]
    retried: list[int]

    def followed(self, task: Task) -> list[int]:
        """The attempts that are shown beside the present one."""
        found = {end.attempt for end in self.ends if end.outcome in FOLLOWED} | {*self.retried}
        return sorted(attempt for attempt in found if attempt < present(task))

    def failures(self, attempt: int) -> int:
        """How many attempts before this one failed, since it was retried by hand, if it was."""
        since = max((again for again in self.retried if again < attempt), default=0)
        return len({end.attempt for end in self.ends if end.outcome in FAILED and since < end.attempt < attempt})


class Drawn(NamedTuple):
    """A run with its first tasks. `more`: items beyond the first, by place.

    Of all its tasks: how many stand where, further items, attempts that others followed.
    """

    run: Run
    graph: Compiled
    tasks: list[Task]
    past: dict[int, Past]
    more: dict[Spot, int]
    by_state: dict[TaskState, int]
    further: int
    followed: int


class Close(NamedTuple):
    """One task. `line`: the tasks above it, from the first; `tips`: of a join, those that lead straight into it."""

    run: Run
    graph: Compiled
    task: Task
    past: Past
    line: list[Task]
    tips: list[Task]
    more: dict[Spot, int]


class Overview:
    """Reads each answer in a few statements, of one snapshot."""

    def __init__(self, store: Store, namespaces: Namespaces, versions: Versions) -> None:
        self._store = store
        self._namespaces = namespaces
        self._versions = versions

    async def page(self, namespace: str, *, skip: int = 0, limit: int = MOST) -> RunsPage:
        """Runs that are not child runs, newest first."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> RunsPage:
            ((total,),) = await reader.rows("run_total", number)
            runs = await reader.run_rows("run_slice", number, min(limit, MOST), skip)
            names = await reader.rows("version_names", sorted({run.version for run in runs}))
            graphs = {id_: name for id_, name, _ in names}
            counts = await self._counts(reader, runs)
            return RunsPage(total, [Line(run, graphs[run.version], counts[run.id]) for run in runs])

        return await self._store.read(find)

    async def run(self, namespace: str, run: int) -> Drawn:
        """One run with its first tasks, by node and branch. NotFound if there is none."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> Drawn:
            found, version = await run_of(reader, self._versions, (namespace, number), run)
            tasks = await reader.task_rows("run_tasks_first", run, MOST)
            by_state: dict[TaskState, int] = {}
            for state, count in await reader.rows("state_counts", run):
                by_state[TaskState(state)] = by_state.get(TaskState(state), 0) + count
            more, followed = await _grouped(reader, [run])
            return Drawn(
                run=found,
                graph=version.graph,
                tasks=tasks,
                past=await _past(reader, run, tasks, CUT),
                more={} if version.graph.live else _spots(await reader.rows("counts_of_items", run, MOST)),
                by_state=by_state,
                further=0 if version.graph.live else more.get(run, 0),
                followed=followed.get(run, 0),
            )

        return await self._store.read(find)

    async def task(self, namespace: str, task: int) -> Close:
        """One task with the tasks above it. NotFound if there is none, or if a re-run has replaced it."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> Close:
            found, run, version = await task_of(reader, self._versions, (namespace, number), task)
            line = await _line(reader, version.graph, found)
            tips = await _tips(reader, version.graph, found)
            places = {Place(run.id, each.node, each.branch) for each in (found, *line, *tips)}
            more = [] if version.graph.live else await reader.more_at(places)
            past = await _past(reader, run.id, [found], None)
            return Close(run, version.graph, found, past[found.id], line, tips, _spots(more))

        return await self._store.read(find)

    async def causes(self, namespace: str, task: int) -> list[Task]:
        """What kept a SKIPPED join from firing and can be retried, oldest first; the first of it."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> list[Task]:
            found, run, version = await task_of(reader, self._versions, (namespace, number), task)
            node = version.graph.nodes[found.node]
            return causes(version.graph, node, found, await reader.task_rows("run_tasks", run.id))[:MOST_CAUSES]

        return await self._store.read(find)

    async def _counts(self, reader: Reader, runs: Sequence[Run]) -> dict[int, Counts]:
        if not runs:
            return {}
        more, followed = await _grouped(reader, [run.id for run in runs])
        stopping = [run.id for run in runs if run.stopping]
        leased = _pairs(await reader.rows("leased_among", stopping)) if stopping else {}
        graphs = {id_: (await self._versions.get(reader, id_)).graph for id_ in {run.version for run in runs}}
        tolerated = await _tolerated(reader, runs, graphs)
        return {
            run.id: counted(
                run,
                more=0 if graphs[run.version].live else more.get(run.id, 0),
                followed=followed.get(run.id, 0),
                leased=leased.get(run.id, 0),
                tolerated=tolerated.get(run.id, 0),
            )
            for run in runs
        }


async def _grouped(reader: Reader, runs: list[int]) -> tuple[dict[int, int], dict[int, int]]:
    """By run: items beyond the first, attempts that another followed."""
    return (
        _pairs(await reader.rows("more_items", runs)),
        _pairs(await reader.rows("followed_attempts", runs, list(FOLLOWED))),
    )


async def _tolerated(reader: Reader, runs: Sequence[Run], graphs: Mapping[int, Compiled]) -> dict[int, int]:
    """How many tasks ended badly whose failures do not count for their run; only few graphs have such."""
    nodes = {run.id: {*graphs[run.version].tolerated} for run in runs if graphs[run.version].tolerated}
    found: dict[int, int] = {}
    if nodes:
        for run, node, count in await reader.rows("bad_among", sorted(nodes), [int(state) for state in BAD]):
            if node in nodes[run]:
                found[run] = found.get(run, 0) + count
    return found


async def _past(reader: Reader, run: int, tasks: Sequence[Task], cut_at: int | None) -> dict[int, Past]:
    ids = [task.id for task in tasks]
    found = {task: Past([], []) for task in ids}
    for task, *end in await reader.rows("ends_of", cut_at or 2**31 - 1, ids):
        found[task].ends.append(End(*end))
    for task, attempt in await reader.rows("retries_of", run, ids):
        found[task].retried.append(attempt)
    return found


async def _line(reader: Reader, graph: Compiled, task: Task) -> list[Task]:
    """The tasks above one, from the first: at each node above it the one whose branch its own goes on."""
    places = list(above(graph, task))
    if not places:
        return []
    order = {(place.node, place.branch): number for number, place in enumerate(reversed(places))}
    return sorted(await reader.tasks_at(places), key=lambda each: (order[each.node, each.branch], each.generation))


def above(graph: Compiled, task: Task) -> Iterable[Place]:
    """The places above a task, from the nearest."""
    node = graph.nodes[task.node].parent
    while node != TRIGGER:
        yield Place(task.run, node, cut(task.branch, graph.nodes[node].depth))
        node = graph.nodes[node].parent


async def _tips(reader: Reader, graph: Compiled, task: Task) -> list[Task]:
    """What leads straight into the join that a task stands for, and has succeeded."""
    node = graph.nodes[task.node]
    if not node.is_join:
        return []
    below = cut(task.branch, graph.row_depth[node.index])
    done = [int(TaskState.SUCCEEDED)]
    return await reader.task_rows("tasks_between", task.run, list(node.of), below, below + END, done, "", MOST_TIPS)


def _pairs(rows: Iterable[Row]) -> dict[int, int]:
    return {run: count for run, count in rows}  # noqa: C416  the rows of one database are no tuples


def _spots(rows: Iterable[Row]) -> dict[Spot, int]:
    return {(node, branch): count for node, branch, count in rows}
