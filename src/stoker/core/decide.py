"""The decisions of the engine: one fold over a batch of verbs, on one picture of what they touch.

A verb is a method here. It reads and changes the picture (tasks, runs, join rows) and says with a `Receipt` what became
of it; nothing is written. `settle_joins` then decides the joins whose last member has settled, again and again until
nothing is left to decide. What a decision needs beyond the picture it leaves in `wants`; the engine looks it up, hands
it back (`expanded`, `has_members`) and calls `settle_joins` again. At the end the engine writes what changed, at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from stoker.core import retry
from stoker.core.branch import cut, step
from stoker.core.compiled import Compiled, CompiledNode, Kid
from stoker.core.duration import Micros
from stoker.core.firing import verdict
from stoker.core.model import (
    ELEMENT_INLINE,
    GRACE,
    MAX_ITEMS,
    MAX_TASKS,
    Ended,
    ItemKey,
    JoinKey,
    JoinRow,
    JoinState,
    NewItem,
    Run,
    Task,
)
from stoker.core.protocol import ErrorInfo, Receipt
from stoker.core.reopen import Plan
from stoker.core.states import LIVE, RunState, TaskState, Verb, check_move
from stoker.core.values import BadPath, elements

SHARE: Micros = 100  # what one task moves its run back in the queue
AGING: Micros = 10_000_000  # what one step of priority is worth

ACCEPTED = Receipt(status="accepted")
STALE = Receipt(status="stale", message="this attempt is no longer current; nothing was changed")
_replace = msgspec.structs.replace


class Body(NamedTuple):
    """One reported item: its JSON, and the key of the artifact store's object that holds it if it is large."""

    json: bytes
    blob: str | None = None


class Want(NamedTuple):
    """What a decision waits for: the list of a node's own expand, or whether a join's members have their items."""

    what: str  # "expand" | "members"
    run: int
    node: int
    branch: bytes
    parent: int | None


class Fold:
    """One batch, decided. `now` and `dice` are arguments; `next_id` draws from ids reserved beforehand."""

    def __init__(self, *, now: Micros, next_id: Callable[[], int], dice: Callable[[], float]) -> None:
        self.now = now
        self.next_id = next_id
        self.dice = dice
        self.graphs: dict[int, Compiled] = {}
        self.runs: dict[int, Run] = {}
        self.tasks: dict[int, Task] = {}
        self.loaded: dict[int, Task] = {}
        self.rows: dict[JoinKey, JoinRow] = {}
        self.changed_rows: set[JoinKey] = set()
        self.new_runs: set[int] = set()
        self.new_inputs: dict[int, bytes] = {}
        self.items: list[NewItem] = []
        self.history: list[Ended] = []
        self.counts: dict[tuple[int, int], list[int]] = {}
        self.wants: list[Want] = []
        self.lanes: dict[int, int] = {}
        self.changed_runs: set[int] = set()
        self.ended_runs: set[int] = set()
        self._touched: list[JoinKey] = []
        self._inline: deque[tuple[Task, bytes]] = deque()

    # --- the picture ---

    def show_run(self, run: Run, graph: Compiled) -> None:
        self.runs[run.id] = run
        self.graphs[run.version] = graph

    def show_task(self, task: Task) -> None:
        self.tasks[task.id] = self.loaded[task.id] = task

    def show_row(self, key: JoinKey, row: JoinRow) -> None:
        self.rows[key] = row

    def graph_of(self, task: Task) -> Compiled:
        return self.graphs[self.runs[task.run].version]

    def node_of(self, task: Task) -> CompiledNode:
        return self.graph_of(task).nodes[task.node]

    # --- verbs ---

    def trigger(self, run: Run, graph: Compiled, inputs: bytes = b"") -> None:
        """Start a run: open the joins of the trigger and make the first tasks. `inputs`: one JSON object, or empty."""
        self.show_run(run, graph)
        if inputs:
            self.new_inputs[run.id] = inputs
        self.new_runs.add(run.id)
        self.changed_runs.add(run.id)
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

    def release(self, task_id: int, attempt: int, session: int) -> Receipt:
        """Offer the task again at once; spends nothing."""
        task, receipt = self._held(task_id, attempt, session, Verb.RELEASE)
        if task is not None:
            self._again(task, Verb.RELEASE, 0)
        return receipt

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
        """Whether a beat may keep this lease; a lost one that nobody claimed since is revived."""
        held, _ = self._held(task.id, attempt, session, Verb.NONE)
        if held is None:
            return False
        if held.state is not self.tasks[task.id].state:
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

    def reopen(self, run: Run, plan: Plan, items: Callable[[Task], Sequence[Body]]) -> None:
        """Carry out a manual retry of an ended run: `items` gives what a withheld task settled with."""
        run.state, run.stopping, run.ended_at, run.cancel_at = RunState.RUNNING, False, None, None
        self.changed_runs.add(run.id)
        run.tasks -= len(plan.delete)
        for task in plan.delete:
            self._count(run, task, TaskState.SKIPPED, -1)
            if self.graphs[run.version].nodes[task.node].steps:
                self._counter(run.id, task.node)[0] -= 1
        for key, row in plan.rows.items():
            self.rows[key] = row
            self._touch(key)
        for task in plan.retry:
            self.show_task(task)
            self._count(run, task, task.state, -1)
            run.failed -= not self.node_of(task).spec.tolerated
            run.open += 1
            self._ready(_replace(task, failures=0, losses=0, code="", settled_at=None), Verb.NONE, self.now)
        for task in plan.withheld:
            self.show_task(task)
            node, bodies = self.node_of(task), items(task)
            families = [(kid, self._family(kid, bodies)) for kid in node.kids]
            self._unlock(self._put(_replace(task, withheld=False)), node, families)

    # --- the fence ---

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
        return None, ACCEPTED if verb is not Verb.NONE and task.ended is verb else STALE

    def _revived(self, task: Task) -> Task:
        """The loss taken back; the attempt's timeout still counts from its claim."""
        timeout = self.node_of(task).timeout
        deadline = None if timeout is None else (task.claimed_at or self.now) + timeout
        return _replace(task, state=TaskState.LEASED, losses=task.losses - 1, ended=Verb.NONE, deadline=deadline)

    # --- ending an attempt ---

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
        if not delayed:
            self._offer(task.lane, 1)

    def _settle(self, task: Task, state: TaskState, verb: Verb) -> Task:
        run = self.runs[task.run]
        run.open -= 1
        self.changed_runs.add(run.id)
        node = self.node_of(task)
        if state in (TaskState.FAILED, TaskState.CANCELLED) and not node.spec.tolerated:
            run.failed += 1
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

    # --- unlocking ---

    @staticmethod
    def _wrong_items(node: CompiledNode, found: int) -> str | None:
        if node.kind.items == "one" and found != 1:
            return f"the kind {node.kind.name!r} settles with exactly one item, not {found}"
        return None

    @staticmethod
    def _family(kid: Kid, bodies: Sequence[Body]) -> list[tuple[int, int, bytes | None]]:
        """The children of one kid: (item number, element number, element)."""
        if kid.expand is None:
            return [(number, 0, None) for number in range(len(bodies))]
        return [
            (number, index, element)
            for number, body in enumerate(bodies)
            for index, element in enumerate(elements(body.json, kid.expand))
        ]

    def _unlock(
        self, task: Task, node: CompiledNode, families: list[tuple[Kid, list[tuple[int, int, bytes | None]]]]
    ) -> None:
        run, graph = self.runs[task.run], self.graph_of(task)
        self._open_joins(run, graph, node.opens, task.branch)
        for kid, family in families:
            self._fire(run, graph, kid, task.id, task.branch, family)
        for join in node.straight:
            self._row(run, graph, join, task.branch).arrived += 1
        self._leave(task)

    def _open_joins(self, run: Run, graph: Compiled, opens: Sequence[int], branch: bytes) -> None:
        """Open a row per join anchored here; an open join is a member of the joins after it."""
        for join in opens:
            key = JoinKey(run.id, join, branch)
            self.rows[key] = JoinRow()
            self._touch(key)
        for join in opens:
            self._enter(run, graph, graph.nodes[join].feeds, branch, 1)

    def _enter(self, run: Run, graph: Compiled, joins: Sequence[int], branch: bytes, members: int) -> None:
        for join in joins:
            row = self._row(run, graph, join, branch)
            row.open += members
            row.members += members

    def _row(self, run: Run, graph: Compiled, join: int, branch: bytes) -> JoinRow:
        key = JoinKey(run.id, join, cut(branch, graph.row_depth[join]))
        self._touch(key)
        return self.rows[key]

    def _touch(self, key: JoinKey) -> None:
        self._touched.append(key)
        self.changed_rows.add(key)

    def _fire(
        self,
        run: Run,
        graph: Compiled,
        kid: Kid,
        parent: int | None,
        branch: bytes,
        family: list[tuple[int, int, bytes | None]],
    ) -> None:
        """Make the tasks of one kid. A node with its own expand waits for its list first."""
        node = graph.nodes[kid.node]
        if parent is not None and not family:
            for join in kid.toward:
                self._row(run, graph, join, branch).empty += 1
            return
        if node.spec.expand:
            for join in node.feeds:
                self._row(run, graph, join, branch).open += 1
            self.wants.append(Want("expand", run.id, kid.node, branch, parent))
            return
        if parent is None:
            self._create(run, graph, node, [(branch, None)], None)
            return
        places = []
        for number, index, element in family:
            place = branch
            if kid.many:
                place += step(number)
            if kid.expand is not None:
                place += step(index)
            places.append((place, element))
        self._create(run, graph, node, places, parent)

    def _create(
        self,
        run: Run,
        graph: Compiled,
        node: CompiledNode,
        places: list[tuple[bytes, bytes | None]],
        parent: int | None,
        *,
        members: bool = True,
    ) -> None:
        """READY tasks at these branches, each with its element; inline ones settle at once."""
        if members and node.feeds:
            self._enter(run, graph, node.feeds, places[0][0], len(places))
        run.open += len(places)
        run.tasks += len(places)
        self.changed_runs.add(run.id)
        made = [
            Task(
                id=self.next_id(),
                run=run.id,
                node=node.index,
                branch=branch,
                state=TaskState.READY,
                priority=self._priority(run, node),
                lane=node.lane,
                order_at=self._order(run, self._priority(run, node)),
                parent=parent,
                element=element if element is not None and len(element) <= ELEMENT_INLINE else None,
                created_at=self.now,
            )
            for branch, element in places
        ]
        for task in made:
            self.tasks[task.id] = task
        if node.steps:
            self._counter(run.id, node.index)[0] += len(made)
        if not node.inline:
            self._offer(node.lane, len(made))
            return
        outermost = not self._inline
        self._inline.extend((task, element or b"null") for task, (_, element) in zip(made, places, strict=True))
        if outermost:
            self._settle_inline()

    def _settle_inline(self) -> None:
        """Settle inline tasks and those that follow from them; a loop, since a chain of them may be long."""
        while self._inline:
            self._pass_on(*self._inline[0])
            self._inline.popleft()

    def _pass_on(self, task: Task, element: bytes) -> None:
        """An inline task SUCCEEDS with its element, or FAILED where the element does not fit what follows."""
        node, run, task = self.node_of(task), self.runs[task.run], _replace(task, attempt=1)
        bodies = [Body(element)]
        try:
            families = [(kid, self._family(kid, bodies)) for kid in node.kids]
        except BadPath as error:
            self._fail_inline(task, f"what follows {node.name!r} expands its element, but {error}", "invalid_output")
            return
        if run.tasks + sum(len(family) for _, family in families) > MAX_TASKS:
            self._fail_inline(task, f"the run would have more than {MAX_TASKS} tasks", "limit")
            return
        task = self._settle(task, TaskState.SUCCEEDED, Verb.COMPLETE)
        self.items.append(NewItem(key=ItemKey(task.run, task.node, task.branch, 0), body=element))
        self._unlock(task, node, families)

    def _fail_inline(self, task: Task, message: str, code: str) -> None:
        self._remember(task, "failed", ErrorInfo(code=code, message=message))
        self._leave(self._settle(_replace(task, code=code), TaskState.FAILED, Verb.FAIL), failed=True)

    @staticmethod
    def _priority(run: Run, node: CompiledNode) -> int:
        return max(0, min(9, run.priority + node.spec.priority - 5))

    def _order(self, run: Run, priority: int) -> Micros:
        """A place in the queue: first in first out, fair between runs, older and more urgent tasks earlier."""
        run.last_order_at = max(self.now, run.last_order_at + SHARE)
        self.changed_runs.add(run.id)
        return run.last_order_at + (9 - priority) * AGING

    def _leave(self, task: Task, *, failed: bool = False) -> None:
        """A settled task leaves the joins it is a member of."""
        node, run, graph = self.node_of(task), self.runs[task.run], self.graph_of(task)
        bad = failed and not node.spec.tolerated
        for join in node.feeds:
            row = self._row(run, graph, join, task.branch)
            row.open -= 1
            row.failed += bad

    # --- joins ---

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
            self._skip(run, graph, node, key.branch, outcome)
        elif node.must_have and not (node.plain and row.arrived == len(node.of)):
            row.state = JoinState.FIRED
            self.wants.append(Want("members", run.id, key.join, key.branch, None))
        else:
            row.state = JoinState.FIRED
            self._fire_join(run, graph, node, key.branch)

    def _fire_join(self, run: Run, graph: Compiled, node: CompiledNode, branch: bytes) -> None:
        if node.spec.expand:
            self.wants.append(Want("expand", run.id, node.index, branch, None))
        else:
            self._create(run, graph, node, [(branch, None)], None, members=False)

    def _skip(self, run: Run, graph: Compiled, node: CompiledNode, branch: bytes, code: str) -> None:
        """A join that will not fire stands as a SKIPPED task and leaves the joins after it."""
        self._stillborn(run, node, branch, TaskState.SKIPPED, code)
        for join in node.feeds:
            row = self._row(run, graph, join, branch)
            row.open -= 1
            row.failed += code == "failed"

    def _stillborn(
        self, run: Run, node: CompiledNode, branch: bytes, state: TaskState, code: str, parent: int | None = None
    ) -> Task:
        task = Task(
            id=self.next_id(),
            run=run.id,
            node=node.index,
            branch=branch,
            state=state,
            attempt=1,
            parent=parent,
            code=code,
            created_at=self.now,
            settled_at=self.now,
        )
        self.tasks[task.id] = task
        run.tasks += 1
        self.changed_runs.add(run.id)
        if node.steps:
            self._counter(run.id, node.index)[0] += 1
        self._count(run, task, state, 1)
        return task

    # --- answers to wants ---

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
            places: list[tuple[bytes, bytes | None]] = [
                (want.branch + step(index), element) for index, element in enumerate(found)
            ]
            self._create(run, graph, node, places, want.parent)

    def unbound(self, want: Want, message: str, code: str = "binding") -> None:
        """What a node was to expand cannot be had: one task of it, at the branch it expands from, stands FAILED."""
        run = self.runs[want.run]
        graph = self.graphs[run.version]
        node = graph.nodes[want.node]
        task = self._stillborn(run, node, want.branch, TaskState.FAILED, code, want.parent)
        self._remember(task, "failed", ErrorInfo(code=code, message=message))
        run.failed += not node.spec.tolerated
        for join in node.feeds:
            row = self._row(run, graph, join, want.branch)
            row.open -= 1
            row.members += 1
            row.failed += not node.spec.tolerated

    def has_members(self, want: Want, missing: Sequence[str]) -> None:
        """Whether the single items that a fired join is bound to exist; without one it is SKIPPED."""
        run = self.runs[want.run]
        graph = self.graphs[run.version]
        node = graph.nodes[want.node]
        if not missing:
            self._fire_join(run, graph, node, want.branch)
            return
        self.rows[JoinKey(run.id, want.node, want.branch)].state = JoinState.SKIPPED
        self._skip(run, graph, node, want.branch, "input_missing")

    # --- runs ---

    def _end(self, run: Run) -> None:
        """A run ends when nothing of it is READY or LEASED, and nothing is still to be decided."""
        if run.open or run.state is not RunState.RUNNING or any(want.run == run.id for want in self.wants):
            return
        if run.stopping:
            run.state = RunState.CANCELLED
        else:
            run.state = RunState.FAILED if run.failed else RunState.SUCCEEDED
        run.ended_at = self.now
        self.ended_runs.add(run.id)

    # --- bookkeeping ---

    def _offer(self, lane: int, count: int) -> None:
        self.lanes[lane] = self.lanes.get(lane, 0) + count

    def _put(self, task: Task) -> Task:
        before = self.tasks.get(task.id)
        if before is not None and before.state not in LIVE:
            check_move(before.state, task.state)
        self.tasks[task.id] = task
        return task

    def _counter(self, run: int, node: int) -> list[int]:
        found = self.counts.get((run, node))
        if found is None:
            found = self.counts[run, node] = [0, 0, 0, 0, 0, 0]
        return found

    def _count(self, run: Run, task: Task, state: TaskState, by: int) -> None:
        if self.graphs[run.version].nodes[task.node].steps:
            self._counter(task.run, task.node)[state - TaskState.LEASED] += by
