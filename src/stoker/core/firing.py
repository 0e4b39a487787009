"""When a join fires, and what its counters mean.

`verdict` reads one row at `open` = 0. `recount` is the definition that the counters cache: it derives every row of a
run from the run's tasks alone, those included that spread rows stand for: for manual retries, and for the tests that
compare it with the counters after every step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal

from stoker.core.branch import cut
from stoker.core.compiled import Compiled
from stoker.core.model import JoinKey, JoinRow, JoinState, Spread, Task
from stoker.core.states import LIVE, TaskState

Verdict = Literal["fire", "failed", "pruned"]


def verdict(row: JoinRow, *, all_done: bool) -> Verdict:
    """What becomes of a join when everything between its anchor and itself has settled."""
    if all_done:
        return "fire"
    if row.failed:
        return "failed"
    if row.members and not row.arrived and not row.empty:
        return "pruned"
    return "fire"


def recount(
    graph: Compiled, run: int, tasks: Iterable[Task], decided: Mapping[JoinKey, JoinRow]
) -> dict[JoinKey, JoinRow]:
    """Every join row of a run, counted anew from its tasks; of `decided`, the rows, only the states are believed."""
    counting = _Recount(graph, run, list(tasks), decided)
    counting.count_tasks()
    counting.count_joins()
    return counting.rows


class _Recount:
    def __init__(self, graph: Compiled, run: int, tasks: list[Task], decided: Mapping[JoinKey, JoinRow]) -> None:
        self.graph = graph
        self.run = run
        self.tasks = tasks
        self.rows = {key: JoinRow(state=row.state, generation=row.generation) for key, row in decided.items()}
        self.made: dict[tuple[int, int], int] = defaultdict(int)  # (kid node, parent task) -> tasks
        for task in tasks:
            self.made[task.node, task.parent or 0] += 1

    def row(self, join: int, branch: bytes) -> JoinRow:
        return self.rows[JoinKey(self.run, join, cut(branch, self.graph.row_depth[join]))]

    def count_tasks(self) -> None:
        for task in self.tasks:
            node = self.graph.nodes[task.node]
            if not (node.is_join and (node.spec.expand is None or task.state is TaskState.SKIPPED)):
                self._member(node.feeds, task)
            if task.state is TaskState.SUCCEEDED and not task.withheld:
                for join in node.straight:
                    self.row(join, task.branch).arrived += 1
                for kid in node.kids:
                    if not self.made[kid.node, task.id]:
                        for join in kid.toward:
                            self.row(join, task.branch).empty += 1
        for kid in self.graph.kids:
            if not self.made[kid.node, 0]:
                for join in kid.toward:
                    self.row(join, b"").empty += 1

    def _member(self, feeds: Iterable[int], task: Task) -> None:
        tolerated = self.graph.nodes[task.node].spec.tolerated
        for join in feeds:
            row = self.row(join, task.branch)
            row.members += 1
            row.open += task.state in LIVE
            row.failed += is_failure(task, tolerated=tolerated)

    def count_joins(self) -> None:
        """An open join is a member of the joins after it until its task settles or it is skipped."""
        own = {(task.node, task.branch): task for task in self.tasks if self.graph.nodes[task.node].is_join}
        fanned: dict[tuple[int, bytes], int] = defaultdict(int)
        for task in self.tasks:
            node = self.graph.nodes[task.node]
            if node.is_join and node.spec.expand and task.state is not TaskState.SKIPPED:
                fanned[task.node, cut(task.branch, node.depth - 1)] += 1
        for key, state in [(key, row.state) for key, row in self.rows.items()]:
            node = self.graph.nodes[key.join]
            single = node.spec.expand is None or state == JoinState.SKIPPED
            stood = own.get((key.join, key.branch)) if single else None
            for join in node.feeds:
                row = self.row(join, key.branch)
                row.members += 1
                if state == JoinState.OPEN or (stood and stood.state in LIVE):
                    row.open += 1
                if stood:
                    row.failed += is_failure(stood, tolerated=node.spec.tolerated)
                if node.spec.expand and state == JoinState.FIRED and not fanned[key.join, key.branch]:
                    row.empty += 1


def is_failure(task: Task, *, tolerated: bool) -> bool:
    """Whether a settled task counts as failed for the joins after it."""
    if task.state is TaskState.SKIPPED:
        return task.code == "failed"
    return is_bad(task, tolerated=tolerated)


def is_bad(of: Task | Spread, *, tolerated: bool) -> bool:
    """Whether it makes its run FAILED."""
    return of.state in (TaskState.FAILED, TaskState.CANCELLED) and not tolerated


def touched_rows(graph: Compiled, task: Task) -> list[JoinKey]:
    """The rows of a task's touched joins."""
    node = graph.nodes[task.node]
    return [JoinKey(task.run, join, cut(task.branch, graph.row_depth[join])) for join in node.touches]
