"""Loops as they run: each iteration is started with a state, and ends when everything in it has settled."""

from __future__ import annotations

from stoker.core.branch import index_at, step
from stoker.core.compiled import CompiledNode
from stoker.core.condition import Untold
from stoker.core.model import MAX_TASKS, PAYLOAD_INLINE, JoinKey, JoinState, Run, Task
from stoker.core.picture import Body, Want
from stoker.core.protocol import ErrorInfo
from stoker.core.settle import Settling
from stoker.core.states import TaskState, Verb

FAILED = "iteration_failed"


class Looping(Settling):
    """A picture in which loops go on."""

    __slots__ = ()

    def iterate(self, task: Task, state: bytes | None, wrong: str) -> None:
        """The first state of a loop is known, or why it cannot be had."""
        if task.state is not TaskState.LEASED:
            return
        node, run = self.node_of(task), self.runs[task.run]
        if state is None or (wrong := _too_large(state) or self._unfit_state(run, node, state)):
            self._give_up(task, f"the first state of the loop: {wrong}", "binding")
        else:
            self._begin_iteration(task, node, 1, state)

    def iterated(self, want: Want, task: Task, state: bytes | None, wrong: str) -> None:
        """An iteration is over: with the next state, or without. `wrong`: why there is none that can be used."""
        run = self.runs[want.run]
        graph = self.graphs[run.version]
        last, node = graph.nodes[want.node], graph.nodes[task.node]
        assert node.loop is not None
        number = index_at(want.branch, node.depth)
        goes_on = False
        if state is not None:
            try:
                wrong, goes_on = _too_large(state), node.loop.goes_on(state, number)
            except Untold as error:
                wrong = f"its condition {node.loop.condition.source!r} cannot be told: {error}"
        if goes_on and state is not None:
            wrong = wrong or self._unfit_state(run, node, state)
        if state is None or wrong:
            self._iteration_lost(run, last, want.branch, task, number, wrong)
            return
        self._create(run, graph, last, want.branch, [(b"", state)], None, want.generation, members=False)
        if task.state is not TaskState.LEASED:
            return
        if goes_on:
            self._begin_iteration(task, node, number + 1, state)
        else:
            self._succeed(task, Body(state))

    def _unfit_state(self, run: Run, node: CompiledNode, state: bytes) -> str:
        """Why an iteration cannot begin with a state; empty if it can."""
        assert node.loop is not None
        graph = self.graphs[run.version]
        if run.tasks + len(graph.nodes) > MAX_TASKS:
            return f"the run would have more than {MAX_TASKS} tasks"
        return self._followers(run, graph.nodes[node.loop.start], Body(state))[1][1]

    def _begin_iteration(self, task: Task, node: CompiledNode, number: int, state: bytes) -> None:
        assert node.loop is not None
        graph, run = self.graph_of(task), self.runs[task.run]
        self._create(
            run, graph, graph.nodes[node.loop.start], task.branch, [(step(number), state)], task.id, task.generation
        )

    def _iteration_lost(self, run: Run, last: CompiledNode, branch: bytes, task: Task, number: int, wrong: str) -> None:
        """Without a next state the loop ends: FAILED if something in the iteration did, else PRUNED as that was."""
        row = self.rows[JoinKey(run.id, last.index, branch)]
        failed = bool(wrong or row.failed)
        row.state = JoinState.SKIPPED
        self._skip(run, self.graphs[run.version], last, branch, "failed" if failed else "pruned", row.generation)
        if task.state is not TaskState.LEASED:
            return
        message = f"iteration {number} ended without a next state" + (f": {wrong}" if wrong else "")
        if failed:
            self._give_up(task, message, FAILED)
            return
        self._remember(task, "pruned", ErrorInfo(code="pruned", message=message))
        self._leave(self._settle(task, TaskState.PRUNED, Verb.PRUNE))


def _too_large(state: bytes) -> str:
    return (
        f"it has {len(state)} bytes; at most {PAYLOAD_INLINE} fit; keep files in it"
        if len(state) > PAYLOAD_INLINE
        else ""
    )
