"""The decisions of the engine: one fold over a batch of verbs, on one picture of what they touch.

A verb is a method here. It reads and changes the picture (`picture`), unlocks what follows (`unlock`) and says with a
`Receipt` what became of it; nothing is written. Joins are decided afterwards (`settle`): a batch is folded before
anything is looked at for zero. At the end the engine writes what changed, at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from stoker.core import retry
from stoker.core.compiled import Compiled, CompiledNode
from stoker.core.duration import Micros
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
from stoker.core.picture import Body
from stoker.core.protocol import STAGES, ErrorInfo, Receipt, Stage
from stoker.core.reopen import RETRIED, Plan
from stoker.core.settle import Settling
from stoker.core.spread import places_of
from stoker.core.states import RunState, TaskState, Verb, check_run_move
from stoker.core.values import BadPath, fields

ACCEPTED = Receipt(status="accepted")
STALE = Receipt(status="stale", message="this attempt is no longer current; nothing was changed")
ONLY_LIVE = "only tasks of live runs give outputs before they complete"
_replace = msgspec.structs.replace


class Fold(Settling):
    """One batch, decided."""

    def trigger(self, run: Run, graph: Compiled, inputs: bytes = b"") -> None:
        """Start a run: open the joins of the trigger and make the first tasks. `inputs`: one JSON object, or empty."""
        self.show_run(run, graph)
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

    def claim(self, task: Task, session: int, answer: int) -> Task | None:
        """Lease a READY task to a session; None if its run is stopping."""
        run = self.runs[task.run]
        if run.stopping or task.state is not TaskState.READY:
            return None
        timeout = self.node_of(task).timeout
        return self._put(
            _replace(
                task,
                state=TaskState.LEASED,
                attempt=task.attempt + 1,
                session=session,
                answer=answer,
                due_at=None,
                claimed_at=self.now,
                deadline=None if timeout is None else self.now + timeout,
                ended=Verb.NONE,
                code="",
            )
        )

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
        for reached in (sum(len(family) for _, family in families), len(bodies)):
            if reached > MAX_ITEMS:
                return self.invalid(task, f"it would make {reached} tasks at once; the limit is {MAX_ITEMS}")
        if run.tasks + sum(len(family) for _, family in families) > MAX_TASKS:
            return self.invalid(task, f"the run would have more than {MAX_TASKS} tasks", code="limit")
        task = self._settle(_replace(task, withheld=run.stopping), TaskState.SUCCEEDED, Verb.COMPLETE)
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
            self._give_by(row, task.id, task.attempt, body, "")
        task = self._settle(_replace(task, withheld=self.runs[task.run].stopping), TaskState.SUCCEEDED, Verb.COMPLETE)
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
            self._give_by(row, task_id, attempt, body, name, number)
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
        stopping = self.runs[task.run].stopping
        self._remember(task, "cancelled" if stopping else "released", ErrorInfo(code=stage, message=STAGES[stage]))
        return _replace(task, code=stage) if stopping else task

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

    def lose(self, task: Task) -> None:
        """The holder's lease ended: READY again, revivable; or FAILED after too many losses."""
        if task.state is not TaskState.LEASED:
            return
        if self._stopped(task, Verb.LOSE):
            return
        losses, most = task.losses + 1, self.node_of(task).spec.max_losses
        message = f"the lease of attempt {task.attempt} ended without a report (loss {losses} of at most {most})"
        self._remember(task, "lost", ErrorInfo(code="lost", message=message))
        task = _replace(task, losses=losses)
        if losses >= most:
            self._leave(self._settle(_replace(task, code="lost"), TaskState.FAILED, Verb.LOSE), failed=True)
        else:
            self._ready(task, Verb.LOSE, self.now)

    def expire(self, task: Task) -> None:
        """The attempt took longer than its node allows: a failure; the fence moves at once."""
        if task.state is not TaskState.LEASED or task.deadline is None or task.deadline > self.now:
            return
        error = ErrorInfo(code="timeout", message=f"attempt {task.attempt} took longer than its timeout allows")
        self._fail(task, error, retryable=True, verb=Verb.TIMEOUT)

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
        task = _replace(task, attempt=task.attempt + 1, session=None, code="binding", failures=task.failures + 1)
        self._remember(task, "failed", ErrorInfo(code="binding", message=message))
        self._leave(self._settle(task, TaskState.FAILED, Verb.FAIL), failed=True)
        self._offer(task.lane, 1)  # whoever was to get it asks for the next one

    def due(self, task: Task) -> None:
        """A delayed task enters its lane."""
        if task.state is not TaskState.READY or task.due_at is None or task.due_at > self.now:
            return
        self._put(_replace(task, due_at=None, order_at=self._order(self.runs[task.run], task.priority)))
        self._offer(task.lane, 1)

    def stop(self, run: Run) -> None:
        """Request a run's cancel; its tasks are swept afterwards."""
        if run.state is RunState.RUNNING and not run.stopping:
            run.stopping, run.cancel_at = True, self.now
            self.changed_runs.add(run.id)

    def sweep(self, task: Task) -> None:
        """Cancel a task of a stopping run: a READY one at once, a LEASED one when its grace is over."""
        run = self.runs[task.run]
        if task.state is TaskState.READY:
            self._settle(_replace(task, attempt=task.attempt + 1), TaskState.CANCELLED, Verb.CANCEL)
            self._offer(task.lane, 1)  # it may have kept a waiter from the one behind it
        elif task.state is TaskState.LEASED and self.now >= (run.cancel_at or 0) + GRACE:
            error = ErrorInfo(code="unconfirmed", message="the runner did not confirm the cancel within its grace")
            self._remember(task, "cancelled", error)
            self._settle(_replace(task, code="unconfirmed"), TaskState.CANCELLED, Verb.CANCEL)

    def spread(self, row: Spread) -> None:
        """Make the tasks that a spread row stands for; they have been counted since the row was made."""
        run = self.runs[row.run]
        if run.stopping or row.state is not TaskState.READY or row.id in self.spent:
            return
        self.spent.add(row.id)
        node = self.graphs[run.version].nodes[row.node]
        self._make(run, node, row.branch, places_of(row), row.parent, row.created_at)

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
        """Carry out a manual retry of an ended run: `items` gives what a withheld task settled with."""
        check_run_move(run.state, RunState.RUNNING)
        run.state, run.stopping, run.ended_at, run.cancel_at = RunState.RUNNING, False, None, None
        self.changed_runs.add(run.id)
        run.tasks -= len(plan.delete)
        for task in plan.delete:
            self._count(run, task, TaskState.SKIPPED, -1)
            if self.graphs[run.version].nodes[task.node].counted:
                self._counter(run.id, task.node)[0] -= 1
        for key, row in plan.rows.items():
            self.rows[key] = row
            self._touch(key)
        for task in plan.retry:
            self.show_task(task)
            self._retried(task)
        for spread in plan.spreads:
            self.show_spread(spread)
            self._turn(spread, TaskState.READY, -1)
        for task in plan.withheld:
            self.show_task(task)
            node, bodies = self.node_of(task), items(task)
            families = [(kid, self._family(kid, bodies)) for kid in node.kids]
            self._unlock(self._put(_replace(task, withheld=False)), node, families)

    def resume(self, run: Run) -> int:
        """A cancelled live run goes on; gives how many tasks are READY again. The newest of each node are shown."""
        check_run_move(run.state, RunState.RUNNING)
        run.state, run.stopping, run.ended_at, run.cancel_at = RunState.RUNNING, False, None, None
        self.changed_runs.add(run.id)
        again = 0
        for row in self.live[run.id].values():
            task = self.tasks[row.task] if row.task is not None else None
            if task is not None and task.state in RETRIED:
                self._retried(task)
                again += 1
            elif task is not None and task.withheld:
                self._put(_replace(task, withheld=False))
        for node in self.graphs[run.version].nodes:
            self._catch_up(run, node)
        return again

    def _retried(self, task: Task) -> None:
        run = self.runs[task.run]
        self._count(run, task, task.state, -1)
        run.failed -= not self.node_of(task).spec.tolerated
        run.open += 1
        self._ready(_replace(task, failures=0, losses=0, code="", settled_at=None), Verb.NONE, self.now)

    def _held(self, task_id: int, attempt: int, session: int, verb: Verb) -> tuple[Task | None, Receipt]:
        """The task, if this session's attempt is the current one (a lost one is revived); else what to answer."""
        task = self.tasks.get(task_id)
        if task is None:
            return None, Receipt(status="refused", message=f"there is no task {task_id} here")
        if task.attempt != attempt or task.session != session:
            return None, STALE
        if task.state is TaskState.LEASED:
            return task, ACCEPTED
        if task.state is TaskState.READY and task.ended is Verb.LOSE and not self.runs[task.run].stopping:
            return self._revived(task), ACCEPTED
        if verb is not Verb.NONE and self.graph_of(task).live:
            self._restate(task, self.node_of(task))
        return None, ACCEPTED if verb is not Verb.NONE and task.ended is verb else STALE

    def _revived(self, task: Task) -> Task:
        """The loss taken back; the attempt's timeout still counts from its claim."""
        timeout = self.node_of(task).timeout
        deadline = None if timeout is None else (task.claimed_at or self.now) + timeout
        return _replace(task, state=TaskState.LEASED, losses=task.losses - 1, ended=Verb.NONE, deadline=deadline)

    def _fail(self, task: Task, error: ErrorInfo, *, retryable: bool, verb: Verb = Verb.FAIL) -> None:
        if self._stopped(task, verb):
            return
        node = self.node_of(task)
        self._remember(task, "timeout" if verb is Verb.TIMEOUT else "failed", error)
        task = _replace(task, failures=task.failures + 1)
        pause = retry.delay(node.retry, task.failures, self.dice()) if retryable else None
        if pause is None:
            self._leave(self._settle(_replace(task, code=error.code), TaskState.FAILED, verb), failed=True)
        else:
            self._ready(task, verb, self.now + pause)

    def _again(self, task: Task, verb: Verb, after: Micros) -> None:
        if not self._stopped(task, verb):
            self._ready(task, verb, self.now + after)

    def _stopped(self, task: Task, verb: Verb) -> bool:
        """Once a cancel was requested, every end but a complete settles the task CANCELLED."""
        if not self.runs[task.run].stopping:
            return False
        self._settle(task, TaskState.CANCELLED, verb)
        return True

    def _ready(self, task: Task, verb: Verb, at: Micros) -> None:
        delayed = at > self.now
        order = self._order(self.runs[task.run], task.priority)
        self._put(
            _replace(
                task,
                state=TaskState.READY,
                ended=verb,
                due_at=at if delayed else None,
                order_at=order,
                deadline=None,
            )
        )
        if self.graph_of(task).live:
            self._offered_again(task, self.node_of(task))
        if not delayed:
            self._offer(task.lane, 1)
