"""Deciding joins: those that reached zero fire or are skipped, again and again until nothing is left to decide.

What a decision needs beyond the picture it leaves in `wants`; the engine looks it up, hands it back (`expanded`,
`has_members`) and calls `settle_joins` again.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from stoker.core.branch import step
from stoker.core.compiled import TRIGGER, Compiled, CompiledNode, binding_refs
from stoker.core.firing import verdict
from stoker.core.graph import Ref
from stoker.core.model import (
    MAX_ITEMS,
    MAX_TASKS,
    JoinKey,
    JoinRow,
    JoinState,
    Run,
)
from stoker.core.picture import Want
from stoker.core.protocol import ErrorInfo
from stoker.core.spread import Place
from stoker.core.states import RunState, Stopping, TaskState, check_run_move
from stoker.core.unlock import Unlocking


class Settling(Unlocking):
    """A picture whose joins and runs come to their ends."""

    __slots__ = ()

    def settle_joins(self) -> None:
        """Decide every join whose members have all settled; what follows from that too."""
        while self._touched:
            key = self._touched.pop()
            row = self.rows[key]
            if row.open == 0 and row.state == JoinState.OPEN:
                self._decide(key, row)
        for run_id in self.changed_runs:
            self._end(self.runs[run_id])

    def _decide(self, key: JoinKey, row: JoinRow) -> None:
        run = self.runs[key.run]
        if run.stopping:
            return
        graph = self.graphs[run.version]
        node = graph.nodes[key.join]
        outcome = verdict(row, all_done=node.all_done)
        if outcome != "fire":
            row.state = JoinState.SKIPPED
            self._skip(run, graph, node, key.branch, outcome, row.generation)
        elif node.must_have and not (node.plain and row.arrived == len(node.of)):
            row.state = JoinState.FIRED
            self.wants.append(Want("members", run.id, key.join, key.branch, None, row.generation))
        else:
            row.state = JoinState.FIRED
            self._fire_join(run, graph, node, key.branch, row.generation)

    def _fire_join(self, run: Run, graph: Compiled, node: CompiledNode, branch: bytes, generation: int) -> None:
        if node.ends is not None:
            self.wants.append(Want("next", run.id, node.index, branch, None, generation))
        elif node.spec.expand:
            self.wants.append(Want("expand", run.id, node.index, branch, None, generation))
        else:
            self._create(run, graph, node, branch, [(b"", None)], None, generation, members=False)

    def _skip(self, run: Run, graph: Compiled, node: CompiledNode, branch: bytes, code: str, generation: int) -> None:
        """A join that will not fire stands as a SKIPPED task and leaves the joins after it."""
        self._stillborn(run, node, branch, TaskState.SKIPPED, code, None, generation)
        for join in node.feeds:
            row = self._row(run, graph, join, branch)
            row.open -= 1
            row.failed += code == "failed"

    def expanded(self, want: Want, found: list[bytes]) -> None:
        """The list of a node's own expand is known: make a task per element; its open membership ends."""
        run = self.runs[want.run]
        if len(found) > MAX_ITEMS or run.tasks + len(found) > MAX_TASKS:
            limits = f"the limits are {MAX_ITEMS} at once and {MAX_TASKS} in a run"
            self.unbound(want, f"its expand would make {len(found)} tasks; {limits}", "limit")
            return
        graph = self.graphs[run.version]
        node = graph.nodes[want.node]
        for join in node.feeds:
            row = self._row(run, graph, join, want.branch)
            row.open -= 1
            row.empty += not found
        if found:
            places: list[Place] = [(step(index), element) for index, element in enumerate(found)]
            self._create(run, graph, node, want.branch, places, want.parent, want.generation)

    def unbound(self, want: Want, message: str, code: str = "binding") -> None:
        """What a node was to expand cannot be had: one task of it, at the branch it expands from, stands FAILED."""
        run = self.runs[want.run]
        graph = self.graphs[run.version]
        node = graph.nodes[want.node]
        task = self._stillborn(run, node, want.branch, TaskState.FAILED, code, want.parent, want.generation)
        self._remember(task, "failed", ErrorInfo(code=code, message=message))
        if not node.spec.tolerated:
            self._count_failure(run)
        for join in node.feeds:
            row = self._row(run, graph, join, want.branch)
            row.open -= 1
            row.members += 1
            row.failed += not node.spec.tolerated

    def has_members(self, want: Want, missing: Sequence[str]) -> None:
        """Whether the single items that a fired join is bound to exist; without one it is SKIPPED. `missing`: nodes."""
        run = self.runs[want.run]
        graph = self.graphs[run.version]
        node = graph.nodes[want.node]
        if not missing:
            self._fire_join(run, graph, node, want.branch, want.generation)
            return
        self.rows[JoinKey(run.id, want.node, want.branch)].state = JoinState.SKIPPED
        self._skip(run, graph, node, want.branch, f"input_missing: {_input(node, missing)}", want.generation)

    def _end(self, run: Run) -> None:
        """A run ends when nothing of it is READY, LEASED or spreading, and nothing is still to be decided."""
        if run.open or run.state is not RunState.RUNNING:
            return
        if self.wants and any(want.run == run.id for want in self.wants):
            return
        if self.graphs[run.version].live and not run.stopping:  # it waits for changes
            return
        end = RunState.FAILED if run.failed else RunState.SUCCEEDED
        end = RunState.CANCELLED if run.stopping is Stopping.CANCEL else end
        check_run_move(run.state, end)
        run.state, run.stopping, run.ended_at = end, Stopping.NO, self.now
        self.ended_runs.add(run.id)
        if run.parent is not None:
            self.wants.append(Want("ended", run.id, TRIGGER, b"", run.parent))
        elif run.schedule is not None:
            self.wants.append(Want("scheduled", run.id, TRIGGER, b"", None))


def _input(node: CompiledNode, missing: Sequence[str]) -> str:
    """The first input of a node that is bound to one of these nodes."""
    for name, binding in node.spec.bind.items():
        for leaf in binding_refs(binding):
            if isinstance(leaf, Ref) and leaf.node in missing and not leaf.many and leaf.spared is UNSET:
                return name
    return "expand"
