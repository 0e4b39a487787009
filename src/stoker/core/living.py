"""Live runs, decided: a change before a node makes it fire anew, or read anew what it has not read yet.

`live` says what the fields of a node mean. Nothing here happens in a run of mode `once`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from stoker.core.compiled import Compiled, CompiledNode
from stoker.core.live import (
    NOTHING,
    UNLABELLED,
    Belongs,
    Bound,
    Label,
    LiveNode,
    Output,
    by_node,
    current,
    may_fire,
)
from stoker.core.model import ItemKey, NewItem, Run, Task
from stoker.core.picture import Body, Picture
from stoker.core.states import LIVE, TaskState


class Fired(NamedTuple):
    """`dirty`: the task is being run, and one more firing follows."""

    task: int
    generation: int
    state: TaskState
    dirty: bool


class Living(Picture):
    """A picture in which nodes of live runs change and fire."""

    __slots__ = ()

    def show_live(self, rows: Iterable[LiveNode]) -> None:
        for row in rows:
            self.live.setdefault(row.run, {})[row.node] = row

    # --- verbs ---

    def publish(self, run: Run, node: CompiledNode, body: Body, label: Label = UNLABELLED, status: str = "") -> Output:
        """An output from outside becomes the current one of a node."""
        row = self._changing(run, node)
        output = self._give(row, body, label)
        self._happened(run, node, TaskState.SUCCEEDED, status, output.number)
        return output

    def announce(self, run: Run, node: CompiledNode, state: TaskState, status: str) -> None:
        """A node settled outside, well or not, without an output."""
        self._happened(run, node, state, status, None)

    def fire(self, run: Run, node: CompiledNode) -> Fired:
        """Have a node run again: what is READY will, what is being run does once more, else there is a next firing."""
        row = self._changing(run, node)
        task = self._open(row) or self._fire_anew(run, node)
        self._bind(row, task, current(node, self.live[run.id]))
        return Fired(task.id, row.generation, task.state, row.dirty(task))

    def say(self, run: Run, node: CompiledNode, own: int | None, body: Body, label: Label = UNLABELLED) -> Output:
        """An output that names only its node. `own`: the session of the caller, if it has one of its own."""
        row = self._changing(run, node)
        whose = self.whose(run, node, own)
        if whose == "external":
            return self.publish(run, node, body, label)
        if whose.open:
            return self._give_by(row, whose.task, whose.attempt, body, label)
        return self._give(row, body, label, whose.task, whose.attempt)

    def tell(self, run: Run, node: CompiledNode, own: int | None, state: TaskState | None, status: str) -> None:
        """A state that names only its node: advice of the attempt that is being run, ignored of a superseded one.

        Without a state, only a text.
        """
        row = self._changing(run, node)
        whose = self.whose(run, node, own)
        if whose == "external" and state is not None:
            self.announce(run, node, state, status)
        elif whose == "external" or whose.open:
            row.status = status

    def whose(self, run: Run, node: CompiledNode, own: int | None) -> Belongs | Literal["external"]:
        """Whose an output or a state is that names only its node."""
        return by_node(self._open(self.live[run.id][node.index]), own)

    # --- what other decisions lead to ---

    def _begin(self, run: Run, graph: Compiled, inputs: Mapping[str, bytes]) -> None:
        """Start a live run: nodes that come after none fire, inputs that were given are published."""
        self.live[run.id] = {node.index: LiveNode(run=run.id, node=node.index) for node in graph.nodes}
        self.changed_live.update((run.id, node.index) for node in graph.nodes)
        for kid in graph.kids:
            self._fire_anew(run, graph.nodes[kid.node])
        for name, value in inputs.items():
            self.publish(run, graph.place(name), Body(value))

    def _passed(self, task: Task, node: CompiledNode, given: int | None = None) -> None:
        """A task has settled: its node has; where its inputs changed meanwhile, it fires once more."""
        run = self.runs[task.run]
        row = self._changing(run, node)
        if row.task != task.id:  # a later firing has the word
            return
        self._happened(run, node, task.state, row.status, given)
        if task.attempt < row.since and not run.stopping:
            self._fire_anew(run, node)

    def _offered_again(self, task: Task, node: CompiledNode) -> None:
        """A task is READY again: its next attempt reads what is current now."""
        run = self.runs[task.run]
        row = self._changing(run, node)
        row.state, row.status = TaskState.READY, ""
        bound = current(node, self.live[run.id])
        if bound != row.bound:
            self._bind(row, task, bound)

    def _restate(self, task: Task, node: CompiledNode) -> None:
        """A report of an attempt that has settled its task already: the word of that stands against later ones."""
        row = self._changing(self.runs[task.run], node)
        if row.task == task.id and task.state not in LIVE:
            row.state, row.status = task.state, ""

    def _happened(self, run: Run, node: CompiledNode, state: TaskState, status: str, given: int | None) -> None:
        row = self._changing(run, node)
        first, row.settled = not row.settled, True
        row.state, row.status = state, status
        if given is not None:
            row.current = given
        if (first or given is not None) and not run.stopping:
            for kid in node.kids:
                self._changed_before(run, self.graphs[run.version].nodes[kid.node])

    def _changed_before(self, run: Run, node: CompiledNode) -> None:
        """Something before a node changed: what is open reads it, else the node fires, if it may."""
        rows = self.live[run.id]
        row = self._changing(run, node)
        task = self._open(row)
        if task is not None:
            self._bind(row, task, current(node, rows))
        elif may_fire(node, rows):
            self._fire_anew(run, node)

    def _catch_up(self, run: Run, node: CompiledNode) -> None:
        """Fire a node for what it missed while its run was stopped. Its newest task is in the picture."""
        rows = self.live[run.id]
        row = rows[node.index]
        if self._open(row) is not None or node.inline:
            return
        missed = row.task is not None and self.tasks[row.task].attempt < row.since
        if missed or (may_fire(node, rows) and row.bound != current(node, rows)):
            self._fire_anew(run, node)

    @staticmethod
    def _bind(row: LiveNode, task: Task, bound: Bound) -> None:
        """What attempts read that are yet to come; those up to now keep what they have."""
        if task.attempt >= row.since:
            row.before, row.since = row.bound, task.attempt + 1
        row.bound = bound

    def _fire_anew(self, run: Run, node: CompiledNode) -> Task:
        """The next generation of a node's task."""
        row = self._changing(run, node)
        row.generation += 1
        row.state, row.status, row.giver = TaskState.READY, "", 0
        row.since, row.bound, row.before = 1, current(node, self.live[run.id]), NOTHING
        priority, expires_at = self._priority(run, node), node.times.expires_at(self.now)
        task = Task(
            id=self.next_id(),
            run=run.id,
            node=node.index,
            branch=b"",
            generation=row.generation,
            priority=priority,
            lane=node.lane,
            order_at=self._order(run, priority),
            deadline=node.times.of_offer(self.now, expires_at),
            created_at=self.now,
            gate=node.gate,
            expires_at=expires_at,
        )
        row.task = task.id
        self.tasks[task.id] = task
        run.open += 1
        run.tasks += 1
        self._counter(run.id, node.index)[0] += 1
        self._offer(node.lane, 1)
        return task

    # --- outputs ---

    def _give_by(
        self, row: LiveNode, task: int, attempt: int, body: Body, label: Label, number: int | None = None
    ) -> Output:
        """An output of the attempt that is being run; it becomes current when that completes."""
        output = self._give(row, body, label, task, attempt)
        before = row.given_by if row.giver == attempt else 0
        row.giver, row.given_by, row.given = attempt, before + 1 if number is None else number, output.number
        return output

    def _give(self, row: LiveNode, body: Body, label: Label, task: int | None = None, attempt: int = 0) -> Output:
        row.outputs += 1
        output = Output(
            id=self.next_id(),
            run=row.run,
            node=row.node,
            number=row.outputs,
            task=task,
            attempt=attempt,
            name=label.name,
            created_at=self.now,
            key=label.key,
            about=label.about,
        )
        self.outputs.append(output)
        key = ItemKey(row.run, row.node, b"", row.outputs)
        self.items.append(NewItem(key=key, body=body.json, blob=body.blob))
        return output

    # --- rows ---

    def _changing(self, run: Run, node: CompiledNode) -> LiveNode:
        self.changed_live.add((run.id, node.index))
        return self.live[run.id][node.index]

    def _open(self, row: LiveNode) -> Task | None:
        """The task of a node that is READY or LEASED; every such task of a live run is in the picture."""
        task = self.tasks.get(row.task) if row.task is not None else None
        return task if task is not None and task.state in LIVE else None
