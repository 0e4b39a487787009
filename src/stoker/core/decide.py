"""The decisions of the engine: one fold over a batch of verbs, on one picture of what they touch.

A verb is a method here. It reads and changes the picture (`picture`), unlocks what follows (`unlock`) and says with a
`Receipt` what became of it; nothing is written. Joins are decided afterwards (`settle`): a batch is folded before
anything is looked at for zero. At the end the engine writes what changed, at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from stoker.core.compiled import Compiled, CompiledNode
from stoker.core.condition import Around
from stoker.core.duration import Micros
from stoker.core.firing import is_bad
from stoker.core.forking import Forks
from stoker.core.holder import BY_ATTEMPT, had
from stoker.core.live import UNLABELLED, Label
from stoker.core.model import (
    GRACE,
    MAX_ITEMS,
    MAX_TASKS,
    ItemKey,
    NewItem,
    Run,
    Spread,
    Task,
)
from stoker.core.picture import Body, Want
from stoker.core.protocol import STAGES, ErrorInfo, Receipt, Stage
from stoker.core.reopen import RETRIED, Plan, spent
from stoker.core.spread import places_of
from stoker.core.states import RunState, Stopping, TaskState, Verb, check_run_move
from stoker.core.times import earliest
from stoker.core.values import BadPath, fields

ACCEPTED = Receipt(status="accepted")
STALE = Receipt(status="stale", message="this attempt is no longer current; nothing was changed")
ONLY_LIVE = "only tasks of live runs give outputs before they complete"
_replace = msgspec.structs.replace


class Fold(Forks):
    """One batch, decided."""

    __slots__ = ()

    def trigger(self, run: Run, graph: Compiled, inputs: bytes = b"", store: bytes = b"", delay: Micros = 0) -> None:
        """Start a run: open the joins of the trigger and make the first tasks, which nobody may have before the delay.

        `inputs`, `store`: one JSON object each, or empty.
        """
        self.show_run(run, graph)
        if graph.asks:
            self.show_around(run.id, Around(inputs, store))
        if store:
            self.new_stores[run.id] = store
        self.new_runs.add(run.id)
        self.changed_runs.add(run.id)
        if graph.live:
            self._begin(run, graph, fields(inputs))
            return
        if inputs:
            self.new_inputs[run.id] = inputs
        self._open_joins(run, graph, graph.opens, b"")
        for kid in graph.kids:
            self._fire(run, graph, kid, None, b"", [])
        if delay:
            self._hold_back(run, self.now + delay)

    def _hold_back(self, run: Run, due_at: Micros) -> None:
        """What a trigger has made READY is so only then."""
        for task in [task for task in self.tasks.values() if task.run == run.id and task.state is TaskState.READY]:
            self._offer(task.lane, -1)
            self.tasks[task.id] = _replace(task, due_at=due_at, deadline=task.expires_at)

    def claim(self, task: Task, session: int, answer: int, lease: Micros | None = None) -> Task | None:
        """Lease a READY task to a session; None if its run is stopping, or its time is over.

        `lease`: it is to be an own lease, of this length if node, graph and kind say nothing.
        """
        if self.runs[task.run].stopping or task.state is not TaskState.READY:
            return None
        if task.deadline is not None and task.deadline <= self.now:
            return None
        times = self.node_of(task).times
        deadline, until = times.of_attempt(self.now, task.expires_at), None
        if lease is not None:
            until = times.of_lease(self.now, self.now, lease if times.lease is None else times.lease)
            deadline = earliest(until, deadline)
        return self._put(
            _replace(
                task,
                state=TaskState.LEASED,
                attempt=task.attempt + 1,
                session=session,
                answer=answer,
                due_at=None,
                claimed_at=self.now,
                deadline=deadline,
                ended=Verb.NONE,
                code="",
                until=until,
            )
        )

    def extend(
        self, task_id: int, attempt: int, lease: Micros, *, shorten: bool = False, heard: bool = True
    ) -> Receipt:
        """Have an own lease last so long from now on; it ends earlier than it would have only if `shorten` says so.

        `heard`: whether its holder says it of itself.
        """
        task, receipt = self._held(task_id, attempt, BY_ATTEMPT, Verb.NONE)
        if task is None or task.until is None:
            self._heard_late(task_id, attempt)
            return receipt
        times, begun = self.node_of(task).times, task.claimed_at or self.now
        until = times.of_lease(self.now, begun, lease)
        until = until if shorten else max(until, task.until)
        deadline = earliest(until, times.of_attempt(begun, task.expires_at))
        if task.cancel_at is not None:
            deadline = earliest(task.cancel_at + GRACE, deadline)
        self._put(_replace(task, until=until, deadline=deadline, answer=-abs(task.answer) if heard else task.answer))
        return receipt

    def _heard_late(self, task_id: int, attempt: int) -> None:
        """Who still holds on to an attempt that has settled a task of a live run reminds its node of that."""
        task = self.tasks.get(task_id)
        if task is not None and had(task, attempt, BY_ATTEMPT) and self.graph_of(task).live:
            self._restate(task, self.node_of(task))

    def complete(self, task_id: int, attempt: int, session: int, bodies: Sequence[Body]) -> Receipt:
        """Settle a task with its items and unlock what comes next."""
        task, receipt = self._held(task_id, attempt, session, Verb.COMPLETE)
        if task is None:
            return receipt
        node = self.node_of(task)
        if node.live:
            return self._complete_live(task, node, bodies)
        if wrong := self._wrong_items(node, len(bodies)):
            return self.invalid(task, wrong)
        try:
            families = [(kid, self._family(kid, bodies)) for kid in node.kids]
        except BadPath as error:
            return self.invalid(task, f"what follows {node.name!r} expands its output, but {error}")
        run = self.runs[task.run]
        reached = sum(len(family) for _, family in families) if families else 0
        if max(reached, len(bodies)) > MAX_ITEMS:
            many = reached if reached > MAX_ITEMS else len(bodies)
            return self.invalid(task, f"it would make {many} tasks at once; the limit is {MAX_ITEMS}")
        if run.tasks + reached > MAX_TASKS:
            return self.invalid(task, f"the run would have more than {MAX_TASKS} tasks", code="limit")
        task = self._settle(_replace(task, withheld=bool(run.stopping)), TaskState.SUCCEEDED, Verb.COMPLETE)
        self.items.extend(
            NewItem(key=ItemKey(task.run, task.node, task.branch, number), body=body.json, blob=body.blob)
            for number, body in enumerate(bodies)
        )
        if not run.stopping:
            self._unlock(task, node, families)
        return ACCEPTED

    def _complete_live(self, task: Task, node: CompiledNode, bodies: Sequence[Body]) -> Receipt:
        """Settle a task of a live run: the newest output of its attempt becomes the current one, if it gave any."""
        if bodies[1:] and (wrong := self._wrong_items(node, len(bodies))):
            return self.invalid(task, wrong)
        row = self.live[task.run][task.node]
        for body in bodies:
            self._give_by(row, task.id, task.attempt, body, UNLABELLED)
        task = self._settle(
            _replace(task, withheld=bool(self.runs[task.run].stopping)), TaskState.SUCCEEDED, Verb.COMPLETE
        )
        self._passed(task, node, row.given if row.giver == task.attempt else None)
        return ACCEPTED

    def item(self, task_id: int, attempt: int, session: int, number: int, name: str, body: Body) -> Receipt:
        """An output of an attempt of a live run that is still being run; a repeat of its number changes nothing."""
        task, receipt = self._held(task_id, attempt, session, Verb.NONE)
        if task is None:
            return receipt
        if not self.node_of(task).live:
            return Receipt(status="refused", message=ONLY_LIVE)
        if not self.hold(task, attempt, session):
            return STALE
        row = self._changing(self.runs[task.run], self.node_of(task))
        if row.giver != attempt or number > row.given_by:
            self._give_by(row, task_id, attempt, body, Label(name), number)
        return ACCEPTED

    def invalid(self, task: Task, message: str, *, code: str = "invalid_output") -> Receipt:
        """A complete that breaks a schema or a limit becomes a failure; the answer says so."""
        self._fail(task, ErrorInfo(code=code, message=message), retryable=True)
        return Receipt(status="invalid", message=message)

    def fail(self, task_id: int, attempt: int, session: int, error: ErrorInfo, *, retryable: bool) -> Receipt:
        """Count a failure: READY again after the policy's delay, or FAILED."""
        task, receipt = self._held(task_id, attempt, session, Verb.FAIL)
        if task is not None:
            self._fail(task, error, retryable=retryable)
        return receipt

    def requeue(self, task_id: int, attempt: int, session: int, after: Micros) -> Receipt:
        """Offer the task again after a delay; spends nothing."""
        task, receipt = self._held(task_id, attempt, session, Verb.REQUEUE)
        if task is not None:
            self._again(task, Verb.REQUEUE, after)
        return receipt

    def release(self, task_id: int, attempt: int, session: int, stage: Stage = "") -> Receipt:
        """Offer the task again at once; spends nothing. `stage`: what it took to end its code, if that was told to."""
        task, receipt = self._held(task_id, attempt, session, Verb.RELEASE)
        if task is not None:
            self._again(self._ended_at(task, stage) if stage else task, Verb.RELEASE, 0)
        return receipt

    def _ended_at(self, task: Task, stage: Stage) -> Task:
        """Keep with the attempt how its code ended; a cancelled task carries it as its code."""
        cancelling = self._cancelling(task)
        self._remember(task, "cancelled" if cancelling else "released", ErrorInfo(code=stage, message=STAGES[stage]))
        return _replace(task, code=stage) if cancelling else task

    def prune(self, task_id: int, attempt: int, session: int, reason: str) -> Receipt:
        """End the task without items."""
        task, receipt = self._held(task_id, attempt, session, Verb.PRUNE)
        if task is None:
            return receipt
        if self._stopped(task, Verb.PRUNE):
            return receipt
        if reason:
            self._remember(task, "pruned", ErrorInfo(code="pruned", message=reason))
        self._leave(self._settle(task, TaskState.PRUNED, Verb.PRUNE))
        return receipt

    def hold(self, task: Task, attempt: int, session: int) -> bool:
        """Whether a beat may keep this lease; a lost one that nobody claimed since is revived, if its gate has room."""
        held, _ = self._held(task.id, attempt, session, Verb.NONE)
        if held is None:
            return False
        if held.state is not self.tasks[task.id].state:
            if not self._enter_gate(held):
                return False
            self._put(held)
        return True

    def refuse(self, task: Task, message: str) -> None:
        """The inputs of a READY task cannot be bound: it FAILED before anyone ran it."""
        if task.state is not TaskState.READY or self._stopped(task, Verb.FAIL):
            return
        task = self._unclaimed(task)
        self._remember(task, "failed", ErrorInfo(code="binding", message=message))
        self._fail_for_good(_replace(task, failures=task.failures + 1), "binding", Verb.FAIL)

    def spread(self, row: Spread) -> None:
        """Make the tasks that a spread row stands for; they have been counted since the row was made."""
        run = self.runs[row.run]
        if run.stopping or row.state is not TaskState.READY or row.id in self.spent:
            return
        self.spent.add(row.id)
        node = self.graphs[run.version].nodes[row.node]
        self._make(run, node, row.branch, places_of(row), row.parent, row.generation, row.created_at, row.expires_at)

    def sweep_spread(self, row: Spread) -> None:
        """Cancel the tasks that a spread row of a stopping run stands for; the row stays for a retry of the run."""
        run = self.runs[row.run]
        if run.stopping and row.state is TaskState.READY and row.id not in self.spent:
            self._turn(row, TaskState.CANCELLED, 1)

    def _turn(self, row: Spread, state: TaskState, by: int) -> None:
        """Cancel the tasks of a spread row (`by` 1), or take that back (-1)."""
        run = self.runs[row.run]
        run.open -= by * row.tasks
        if not self.graphs[run.version].nodes[row.node].spec.tolerated:
            run.failed += by * row.tasks
        self.changed_runs.add(run.id)
        self._count(run, row, TaskState.CANCELLED, by * row.tasks)
        self.spreads[row.id] = _replace(row, state=state)

    def reopen(self, run: Run, plan: Plan, items: Callable[[Task], Sequence[Body]]) -> None:
        """Carry out a manual retry: `items` gives what a withheld task settled with."""
        self._reopen_run(run)
        self._forget(run, plan)
        self.rows.update(plan.rows)
        for key in plan.changed:
            self._touch(key)
        for task in plan.retry:
            self.show_task(task)
            self._retried(task)
        for spread in plan.spreads:
            self.show_spread(spread)
            expires_at = self.graphs[run.version].nodes[spread.node].times.expires_at(self.now)
            self._turn(_replace(spread, expires_at=expires_at), TaskState.READY, -1)
        for task in plan.withheld:
            self.show_task(task)
            node, bodies = self.node_of(task), items(task)
            families = [(kid, self._family(kid, bodies)) for kid in node.kids]
            self._unlock(self._put(_replace(task, withheld=False)), node, families)
        for task in plan.expand:
            self.wants.append(Want("expand", run.id, task.node, task.branch, task.parent, task.generation + 1))

    def _reopen_run(self, run: Run) -> None:
        if run.state is not RunState.RUNNING:
            check_run_move(run.state, RunState.RUNNING)
        run.state, run.stopping, run.ended_at, run.cancel_at = RunState.RUNNING, Stopping.NO, None, None
        self.changed_runs.add(run.id)

    def _forget(self, run: Run, plan: Plan) -> None:
        """Count no longer what a manual retry takes away."""
        graph = self.graphs[run.version]
        gone = [(task, 1) for task in (*plan.delete, *plan.past)] + [(row, row.tasks) for row in plan.past_spreads]
        for each, tasks in gone:
            node = graph.nodes[each.node]
            run.tasks -= tasks
            run.failed -= tasks * is_bad(each, tolerated=node.spec.tolerated)
            if node.counted:
                self._counter(run.id, each.node)[0] -= tasks
            self._count(run, each, each.state, -tasks)

    def resume(self, run: Run) -> int:
        """A cancelled live run goes on; gives how many tasks are READY again. The newest of each node are shown."""
        check_run_move(run.state, RunState.RUNNING)
        run.state, run.stopping, run.ended_at, run.cancel_at = RunState.RUNNING, Stopping.NO, None, None
        self.changed_runs.add(run.id)
        again = 0
        for row in self.live[run.id].values():
            task = self.tasks[row.task] if row.task is not None else None
            if task is not None and task.state in RETRIED:
                self._anew(run, task)
                again += 1
            elif task is not None and task.withheld:
                self._put(_replace(task, withheld=False))
        for node in self.graphs[run.version].nodes:
            self._catch_up(run, node)
        return again

    def _anew(self, run: Run, task: Task) -> None:
        """The newest task of a node of a live run once more; one that had all its attempts has a successor."""
        if spent(self.graph_of(task), task):
            self._fire_anew(run, self.node_of(task))
        else:
            self._retried(task)

    def _retried(self, task: Task) -> None:
        run = self.runs[task.run]
        self._count(run, task, task.state, -1)
        run.failed -= is_bad(task, tolerated=self.node_of(task).spec.tolerated)
        run.open += 1
        again = self._hold_again if self.node_of(task).held else self._ready
        again(self._renewed(task), Verb.NONE, self.now)
        if self.node_of(task).template is not None:
            self._ask_keys([task])

    def _held(self, task_id: int, attempt: int, session: int, verb: Verb) -> tuple[Task | None, Receipt]:
        """The task, if this session's attempt is the current one (a lost one is revived); else what to answer.

        Own leases are proved by the attempt alone, of which anybody may have heard: so a lost one is not revived.
        """
        task = self.tasks.get(task_id)
        if task is None:
            return None, Receipt(status="refused", message=f"there is no task {task_id} here")
        if not had(task, attempt, session):
            return None, STALE
        if task.state is TaskState.LEASED:
            return task, ACCEPTED
        lost = task.state is TaskState.READY and task.ended is Verb.LOSE
        if lost and task.until is None and not self.runs[task.run].stopping:
            return self._revived(task), ACCEPTED
        if verb is not Verb.NONE and self.graph_of(task).live:
            self._restate(task, self.node_of(task))
        return None, ACCEPTED if verb is not Verb.NONE and task.ended is verb else STALE
