"""Manual retry: of what failed in a run, and of one task.

Both read all tasks of their run as they are stored, so nothing of the same batch may have changed them; that the run is
locked keeps everything else from changing what they count.
"""

from __future__ import annotations

from typing import Any

import msgspec

from stoker.core.branch import cut
from stoker.core.compiled import Compiled
from stoker.core.model import Run, Task
from stoker.core.overview import present
from stoker.core.picture import Body
from stoker.core.reopen import Plan, named, reopen, retryable, spent
from stoker.core.retriable import check, check_asked, unsettled
from stoker.core.states import RunState, TaskState
from stoker.core.views import RetryAnswer, TaskAttempt
from stoker.engine.acting import Note
from stoker.engine.importing import check_own
from stoker.engine.ports import Tx
from stoker.engine.transaction import Batch, Verb, gone
from stoker.errors import Conflict, NotFound


class RetryRun(Verb):
    """Make READY again what failed or was cancelled, and reopen the joins above."""

    solo = True

    def __init__(self, run: int, *, rerun_below: bool = False) -> None:
        self.runs = (run,)
        self._rerun = rerun_below
        self._answer: RetryAnswer | None = None
        self._ended_at: int | None = None

    async def decide(self, tx: Tx, batch: Batch) -> RetryAnswer:
        """Repeated, it may find the run as it left it, or at another end than it found it at."""
        fold = batch.fold
        run = batch.run(self.runs[0])
        await check_own(tx, run)
        if self.replays and self._answer is not None and run.ended_at != self._ended_at:
            return self._answer
        if run.root is not None:
            raise Conflict(
                f"run {run.id} is a child run of run {run.root}, and is retried with it.",
                code="child_run",
                remedy=f"`stoker runs retry {run.root}` retries what failed in it, once it has ended.",
            )
        if run.state is RunState.RUNNING:
            raise Conflict(
                f"run {run.id} is still running.",
                code="still_running",
                remedy="Wait for its end, or cancel it first. One task of it is retried by `stoker tasks retry`.",
            )
        self._ended_at = run.ended_at
        if fold.graphs[run.version].live:
            for task in await tx.tasks([row.task for row in fold.live[run.id].values() if row.task is not None]):
                fold.show_task(task)
            self._answer = RetryAnswer(retried=fold.resume(run))
            return self._answer
        tasks = await tx.task_rows("run_tasks", run.id)
        chosen = retryable(fold.graphs[run.version], tasks)
        plan = await planned(tx, batch, run, tasks, chosen, rerun=self._rerun)
        if plan.empty:
            raise _nothing(run, fold.graphs[run.version], tasks)
        self._answer = await carried_out(tx, batch, run, plan)
        return self._answer

    def note(self, answer: RetryAnswer) -> Note:
        return Note([f"run:{self.runs[0]}"], noted(answer))


def _nothing(run: Run, graph: Compiled, tasks: list[Task]) -> Conflict:
    """Why nothing of a run can be retried."""
    over = next((task for task in tasks if task.state is TaskState.FAILED and spent(graph, task)), None)
    if over is None:
        return Conflict(f"run {run.id} has no failed or cancelled task to retry.", code="nothing_to_retry")
    return Conflict(
        f"run {run.id} has nothing to retry: task {over.id} has had all {over.attempt} attempts that its kind allows.",
        code="attempts_exhausted",
        place=f"tasks/{over.id}",
        remedy="Start a new run.",
    )


class RetryTask(Verb):
    """Make one task READY again that FAILED, or was pruned or cancelled; its run goes on, or still does.

    `attempt`: only while that is its last one. `key`: only once with it.
    """

    solo = True

    def __init__(self, task: int, *, rerun_below: bool = False, attempt: int | None = None, key: str = "") -> None:
        self.tasks = (task,)
        self._rerun = rerun_below
        self._attempt = attempt
        self._key = key
        self._answer: RetryAnswer | None = None
        self._before: Task | None = None

    async def decide(self, tx: Tx, batch: Batch) -> RetryAnswer:
        """Repeated, it may find the task otherwise than it found it: then it has been done."""
        fold = batch.fold
        task = fold.tasks.get(self.tasks[0])
        if self.replays and self._answer is not None and task != self._before:
            return self._answer
        if task is None:
            raise await replaced(tx, self.tasks[0])
        self._before = task
        run = batch.run(task.run)
        await _check_root(tx, run)
        await check_own(tx, run)
        graph = fold.graphs[run.version]
        used = bool(self._key) and bool(await tx.rows("retry_named", run.id, task.id, self._key))
        check_asked(task, self._attempt, self._key if used else "")
        tasks = await tx.task_rows("run_tasks", run.id)
        check(graph, run, task, tasks)
        plan = await planned(tx, batch, run, tasks, [task], rerun=self._rerun)
        if plan.busy is not None:
            raise unsettled(task, plan.busy, graph)
        answer = await carried_out(tx, batch, run, plan)
        await tx.put("insert_task_retry", [(run.id, task.id, task.attempt, self._key or None, fold.now)])
        fired = {(key.join, key.branch) for key in plan.fired}
        self._answer = msgspec.structs.replace(
            answer,
            attempt=task.attempt + 1,
            fired_tasks=[
                TaskAttempt(task=each.id, attempt=present(each))
                for each in tasks
                if (each.node, cut(each.branch, graph.row_depth.get(each.node, 0))) in fired
            ],
        )
        return self._answer

    def note(self, answer: RetryAnswer) -> Note:
        return Note([f"task:{self.tasks[0]}"], noted(answer))


def noted(answer: RetryAnswer) -> dict[str, Any]:
    """What the audit log is told of a retry."""
    return {"retried": answer.retried} | ({"rerun": answer.rerun[:10]} if answer.rerun else {})


async def _check_root(tx: Tx, run: Run) -> None:
    """Child runs are hidden after the run at the top of their tree, when that is deleted."""
    if run.root is not None and any(root.namespace < 0 for root in await tx.runs([run.root])):
        raise gone(run.id)


async def planned(tx: Tx, batch: Batch, run: Run, tasks: list[Task], chosen: list[Task], *, rerun: bool) -> Plan:
    """What a retry of these tasks changes."""
    rows, spreads = dict(await tx.run_join_rows(run.id)), await tx.run_spreads(run.id)
    return reopen(batch.fold.graphs[run.version], run.id, tasks, rows, spreads, chosen, rerun=rerun)


async def carried_out(tx: Tx, batch: Batch, run: Run, plan: Plan) -> RetryAnswer:
    """Put away what is replaced, now, since what is made anew may stand there in this very batch; fold in the rest."""
    graph = batch.fold.graphs[run.version]
    kept = {task.id: await _bodies(tx, batch, task) for task in plan.withheld}
    await tx.put_past(plan)
    batch.fold.reopen(run, plan, lambda task: kept[task.id])
    return RetryAnswer(
        retried=plan.again,
        fired=sorted(named(graph, key) for key in plan.fired),
        rerun=plan.rerun,
        generation=plan.generation if plan.rerun else 0,
        replaced=len(plan.past) - len(plan.expand),
    )


async def _bodies(tx: Tx, batch: Batch, task: Task) -> list[Body]:
    items = await tx.items_below(task.run, task.node, task.branch)
    return [batch.body(item) for item in items if item.key.branch == task.branch]


async def replaced(tx: Tx, task: int) -> Conflict | NotFound:
    for past in await tx.past_tasks("past_tasks", [task]):
        found = await tx.ids("successors", past.run, past.node, past.branch)
        return Conflict(
            f"task {task} belongs to the past: a re-run has replaced it.",
            code="replaced",
            place=f"tasks/{task}",
            remedy=f"In its place stands task {found[0]}." if found else "Nothing stands in its place yet.",
        )
    return NotFound(f"there is no task {task}.", code="no_task", place=f"tasks/{task}")
