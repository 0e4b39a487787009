"""What a batch is decided on: the tasks, runs and join rows that it touches, as they become while it is folded.

A picture only remembers and counts. What follows from what: `unlock`, `settle` and `decide`, which build on it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from stoker.core.branch import cut
from stoker.core.compiled import Compiled, CompiledNode
from stoker.core.condition import Around
from stoker.core.duration import Micros
from stoker.core.live import LiveNode, NodeKey, Output
from stoker.core.model import (
    Ended,
    JoinKey,
    JoinRow,
    NewItem,
    Run,
    Spread,
    Task,
)
from stoker.core.protocol import ErrorInfo
from stoker.core.states import LIVE, RunState, Stopping, TaskState, Verb, check_move

SHARE: Micros = 100  # what one task moves its run back in the queue, if its weight is 1
AGING: Micros = 10_000_000  # what one step of priority is worth

_replace = msgspec.structs.replace


class Body(NamedTuple):
    """One reported item: its JSON, and the key of the artifact store's object that holds it if it is large."""

    json: bytes
    blob: str | None = None


class Want(NamedTuple):
    """What a decision waits for: the list of a node's own expand, or whether a join's members have their items.

    "scheduled": a run that a schedule started has ended, and what is queued behind it may begin. "key": the value that
    a task's limit is by.
    """

    what: str  # "expand" | "members"; of child runs "child" | "ended" | "again" | "stop"; of loops "loop" | "next"
    run: int
    node: int
    branch: bytes
    parent: int | None
    generation: int = 0


class Picture:
    """Everything a batch touches. `now` and `dice` are arguments; `next_id` draws from ids reserved beforehand.

    Slots, here and in all that builds on it: of more than thirty attributes in a dict, each is found the slow way.
    """

    __slots__ = (
        "_inline", "_touched", "around", "changed_live", "changed_rows", "changed_runs", "counts", "dice",
        "ended_runs", "freed", "graphs", "history", "items", "lanes", "live", "loaded", "loaded_spreads",
        "new_inputs", "new_runs", "new_stores", "new_tags", "next_id", "now", "outputs", "regated", "rows",
        "runs", "slots", "spent", "spreads", "stopped_runs", "tasks", "templates", "wants",
    )  # fmt: skip

    def __init__(self, *, now: Micros, next_id: Callable[[], int], dice: Callable[[], float]) -> None:
        self.now = now
        self.next_id = next_id
        self.dice = dice
        self.graphs: dict[int, Compiled] = {}
        self.runs: dict[int, Run] = {}
        self.tasks: dict[int, Task] = {}
        self.loaded: dict[int, Task] = {}
        self.spreads: dict[int, Spread] = {}
        self.loaded_spreads: dict[int, Spread] = {}
        self.spent: set[int] = set()  # spread rows whose tasks have been made
        self.rows: dict[JoinKey, JoinRow] = {}
        self.changed_rows: set[JoinKey] = set()
        self.new_runs: set[int] = set()
        self.new_inputs: dict[int, bytes] = {}
        self.new_stores: dict[int, bytes] = {}
        self.new_tags: dict[int, Mapping[str, str]] = {}
        self.live: dict[int, dict[int, LiveNode]] = {}  # by run and node: all of each live run
        self.changed_live: set[NodeKey] = set()
        self.outputs: list[Output] = []
        self.around: dict[int, Around] = {}  # by run, if its graph `asks`
        self.items: list[NewItem] = []
        self.history: list[Ended] = []
        self.counts: dict[tuple[int, int], list[int]] = {}
        self.wants: list[Want] = []
        self.lanes: dict[int, int] = {}
        self.slots: dict[int, int] = {}  # by gate: how many more leases there may be than there were before
        self.freed: dict[int, int] = {}  # by gate: how many fewer leases there are than there were before
        self.templates: dict[int, int] = {}  # of gates of single values that tasks were made under, or left
        self.regated: dict[int, int] = {}  # by task: its gate, if that is not the one it had
        self.changed_runs: set[int] = set()
        self.ended_runs: set[int] = set()
        self.stopped_runs: set[int] = set()  # since this batch
        self._touched: list[JoinKey] = []
        self._inline: deque[tuple[Task, bytes]] = deque()

    def show_run(self, run: Run, graph: Compiled) -> None:
        self.runs[run.id] = run
        self.graphs[run.version] = graph

    def show_around(self, run: int, around: Around) -> None:
        self.around[run] = around

    def show_task(self, task: Task) -> None:
        self.tasks[task.id] = self.loaded[task.id] = task

    def show_spread(self, row: Spread) -> None:
        self.spreads[row.id] = self.loaded_spreads[row.id] = row

    def show_slots(self, gate: int, slots: int) -> None:
        self.slots[gate] = slots

    def show_row(self, key: JoinKey, row: JoinRow) -> None:
        self.rows[key] = row

    @property
    def spreading(self) -> bool:
        """Whether some rows are now to be spread."""
        return any(row.state is TaskState.READY and row.id not in self.spent for row in self.spreads.values())

    def graph_of(self, task: Task) -> Compiled:
        return self.graphs[self.runs[task.run].version]

    def node_of(self, task: Task) -> CompiledNode:
        return self.graphs[self.runs[task.run].version].nodes[task.node]

    def home_of(self, task: Task) -> int:
        """The namespace in which a task is offered, and reported on."""
        home = self.node_of(task).home
        return self.runs[task.run].namespace if home is None else home

    def _row(self, run: Run, graph: Compiled, join: int, branch: bytes) -> JoinRow:
        key = JoinKey(run.id, join, cut(branch, graph.row_depth[join]))
        self._touch(key)
        return self.rows[key]

    def _touch(self, key: JoinKey) -> None:
        self._touched.append(key)
        self.changed_rows.add(key)

    def _enter(self, run: Run, graph: Compiled, joins: Sequence[int], branch: bytes, members: int) -> None:
        for join in joins:
            row = self._row(run, graph, join, branch)
            row.open += members
            row.members += members

    def _put(self, task: Task) -> Task:
        before = self.tasks.get(task.id)
        if before is not None and before.state not in LIVE:
            check_move(before.state, task.state)
        if task.gate is not None and before is not None and _ends_lease(before, task):
            self._free(task.gate, 1)
            self._note_template(task, task.gate)
        self.tasks[task.id] = task
        return task

    def _free(self, gate: int, slots: int) -> None:
        self.freed[gate] = self.freed.get(gate, 0) + slots

    def _note_template(self, task: Task, gate: int) -> None:
        template = self.node_of(task).template
        if template is not None:
            self.templates[gate] = template

    def _enter_gate(self, task: Task) -> bool:
        """Take a slot of a task's gate; False if it is full. Slots that this batch freed count."""
        if task.gate is None:
            return True
        if self.slots.get(task.gate, 0) + self.freed.get(task.gate, 0) < 1:
            return False
        self._free(task.gate, -1)
        return True

    def _settle(self, task: Task, state: TaskState, verb: Verb) -> Task:
        run = self.runs[task.run]
        run.open -= 1
        self.changed_runs.add(run.id)
        if state in (TaskState.FAILED, TaskState.CANCELLED) and not self.node_of(task).spec.tolerated:
            self._count_failure(run)
        self._count(run, task, state, 1)
        return self._put(
            _replace(
                task,
                state=state,
                ended=verb,
                settled_at=self.now,
                due_at=None,
                deadline=None,
            )
        )

    def _count_failure(self, run: Run) -> None:
        run.failed += 1
        if self.graphs[run.version].spec.on_failure == "stop":
            self._stop(run, Stopping.FAILURE)

    def _stop(self, run: Run, why: Stopping) -> None:
        if run.state is RunState.RUNNING and not run.stopping:
            run.stopping, run.cancel_at = why, self.now
            self.changed_runs.add(run.id)
            self.stopped_runs.add(run.id)

    def _remember(self, task: Task, outcome: str, error: ErrorInfo) -> None:
        self.history.append(
            Ended(
                task=task.id,
                run=task.run,
                attempt=task.attempt,
                outcome=outcome,
                code=error.code,
                message=error.message,
                type=error.type,
                traceback=error.traceback,
                session=task.session,
                started_at=task.claimed_at,
                ended_at=self.now,
            )
        )

    def _offer(self, lane: int, count: int) -> None:
        self.lanes[lane] = self.lanes.get(lane, 0) + count

    def _order(self, run: Run, priority: int) -> Micros:
        """A place in the queue: first in first out, fair between runs, older and more urgent tasks earlier."""
        run.last_order_at = max(self.now, run.last_order_at + SHARE // run.weight)
        self.changed_runs.add(run.id)
        return run.last_order_at + (9 - priority) * AGING

    @staticmethod
    def _priority(run: Run, node: CompiledNode) -> int:
        return max(0, min(9, run.priority + node.spec.priority - 5))

    def _counter(self, run: int, node: int) -> list[int]:
        found = self.counts.get((run, node))
        if found is None:
            found = self.counts[run, node] = [0, 0, 0, 0, 0, 0]
        return found

    def _count(self, run: Run, of: Task | Spread, state: TaskState, by: int) -> None:
        if self.graphs[run.version].nodes[of.node].counted:
            self._counter(of.run, of.node)[state - TaskState.LEASED] += by


def _ends_lease(before: Task, after: Task) -> bool:
    return before.state is TaskState.LEASED and after.state is not TaskState.LEASED
