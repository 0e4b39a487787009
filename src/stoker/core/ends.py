"""How attempts and tasks end that nobody reports well on: by failure, by loss, in time, by a cancel; and what is next.

A task that may go on is READY again, perhaps after a delay; else it is settled and leaves its joins.
"""

from __future__ import annotations

import msgspec

from stoker.core import retry
from stoker.core.duration import SECOND, Micros
from stoker.core.holding import Holding
from stoker.core.model import GRACE, Run, Task
from stoker.core.protocol import ErrorInfo
from stoker.core.states import Stopping, TaskState, Verb
from stoker.core.times import earliest

_LATE = {
    "queue_timeout": "nobody claimed it within its queue_timeout",
    "task_timeout": "it had not settled when its task_timeout was over",
}
_replace = msgspec.structs.replace


class Ending(Holding):
    """A picture in which attempts come to their ends."""

    __slots__ = ()

    # --- failures and losses ---

    def _fail(self, task: Task, error: ErrorInfo, *, retryable: bool, verb: Verb = Verb.FAIL) -> None:
        if self._stopped(task, verb):
            return
        self._remember(task, "timeout" if verb is Verb.TIMEOUT else "failed", error)
        task = _replace(task, failures=task.failures + 1)
        pause = retry.delay(self.node_of(task).retry, task.failures, self.dice()) if retryable else None
        if pause is None:
            self._fail_for_good(task, error.code, verb)
        else:
            self._go_on(task, verb, pause)

    def lose(self, task: Task) -> None:
        """The holder's lease ended: READY again, revivable; or FAILED after too many losses.

        Where losses are failures too, the retry policy has its say.
        """
        if task.state is not TaskState.LEASED or self._stopped(task, Verb.LOSE):
            return
        node, losses = self.node_of(task), task.losses + 1
        message = _lost(task, losses, node.max_losses)
        self._remember(task, "lost", ErrorInfo(code="lost", message=message))
        task = _replace(task, losses=losses, failures=task.failures + node.losses_are_failures)
        pause = retry.delay(node.retry, task.failures, self.dice()) if node.losses_are_failures else 0
        if losses >= node.max_losses or pause is None:
            self._fail_for_good(task, "lost", Verb.LOSE)
        else:
            self._go_on(task, Verb.LOSE, pause)

    def _revived(self, task: Task) -> Task:
        """The loss taken back; the attempt's timeout still counts from its claim."""
        node = self.node_of(task)
        return _replace(
            task,
            state=TaskState.LEASED,
            losses=task.losses - 1,
            failures=task.failures - node.losses_are_failures,
            due_at=None,
            ended=Verb.NONE,
            deadline=node.times.of_attempt(task.claimed_at or self.now, task.expires_at),
        )

    def _fail_for_good(self, task: Task, code: str, verb: Verb) -> None:
        self._leave(self._settle(_replace(task, code=code), TaskState.FAILED, verb), failed=True)

    # --- time ---

    def expire(self, task: Task) -> None:
        """What a task had time for is over: its attempt fails, and may be retried; its wait or all of it is FAILED."""
        if task.deadline is None or task.deadline > self.now:
            return
        if self._cancelling(task):
            self._confirm(task)
        elif self.node_of(task).held:
            self._expire_wait(task)
        elif task.deadline == task.expires_at:
            self._fail_late(task, "task_timeout")
        elif task.state is TaskState.READY:
            self._fail_late(task, "queue_timeout")
        elif task.until is not None and not self._timed_out(task):
            self.lose(task)
        else:
            error = ErrorInfo(code="timeout", message=f"attempt {task.attempt} took longer than its timeout allows")
            self._fail(task, error, retryable=True, verb=Verb.TIMEOUT)

    def _timed_out(self, task: Task) -> bool:
        """Whether an attempt whose lease may have ended as well has taken longer than its timeout allows."""
        timeout = self.node_of(task).times.attempt
        return timeout is not None and (task.claimed_at or 0) + timeout <= self.now

    def _fail_late(self, task: Task, code: str) -> None:
        task = self._unclaimed(task) if task.state is TaskState.READY else task
        self._remember(task, "expired", ErrorInfo(code=code, message=_LATE[code]))
        self._fail_for_good(_replace(task, failures=task.failures + 1), code, Verb.TIMEOUT)

    def due(self, task: Task) -> None:
        """A delayed task enters its lane."""
        if task.state is not TaskState.READY or task.due_at is None or task.due_at > self.now:
            return
        order = self._order(self.runs[task.run], task.priority)
        deadline = self.node_of(task).times.of_offer(self.now, task.expires_at)
        self._put(_replace(task, due_at=None, order_at=order, deadline=deadline))
        self._offer(task.lane, 1)

    # --- cancels ---

    def cancel(self, task: Task) -> None:
        """Request the cancel of one task: CANCELLED at once if it is READY, when its attempt ends if it is LEASED."""
        if self._cancelling(task):
            return
        asked = _replace(task, cancel_at=self.now)
        if task.state is TaskState.LEASED and self.node_of(task).spec.subgraph is not None:
            self._stop_child(asked)
        elif task.state is TaskState.LEASED and task.session is None:
            self._stopped(asked, Verb.CANCEL)
        elif task.state is TaskState.LEASED:
            self._put(_replace(asked, deadline=earliest(self.now + GRACE, task.deadline)))
        elif task.state is TaskState.READY:
            self._stopped(self._unclaimed(asked), Verb.CANCEL)

    def stop(self, run: Run) -> None:
        """Request a run's cancel; its tasks are swept afterwards."""
        self._stop(run, Stopping.CANCEL)

    def sweep(self, task: Task) -> None:
        """Cancel a task of a stopping run: a LEASED one when its grace is over, all else at once."""
        if task.state is TaskState.READY:
            self._settle(self._unclaimed(task), TaskState.CANCELLED, Verb.CANCEL)
        elif task.state is TaskState.LEASED and task.session is None:
            self._stopped(task, Verb.CANCEL)
        elif task.state is TaskState.LEASED and self._grace_is_over(task):
            self._confirm(task)

    def _cancelling(self, task: Task) -> bool:
        """Whether a cancel was requested, of the task or of its run."""
        return task.cancel_at is not None or self.runs[task.run].stopping is not Stopping.NO

    def _grace_is_over(self, task: Task) -> bool:
        return self.now >= (task.cancel_at or self.runs[task.run].cancel_at or 0) + GRACE

    def _confirm(self, task: Task) -> None:
        """A LEASED task to be cancelled is out of time: its runner need not confirm that. READY ones are swept."""
        if task.state is not TaskState.LEASED:
            return
        if self._grace_is_over(task):
            error = ErrorInfo(code="unconfirmed", message="the runner did not confirm the cancel within its grace")
            self._remember(task, "cancelled", error)
            self._stopped(_replace(task, code="unconfirmed"), Verb.CANCEL)
        else:
            self._stopped(task, Verb.TIMEOUT)

    def _stopped(self, task: Task, verb: Verb) -> bool:
        """Once a cancel was requested, every end but a complete settles the task CANCELLED.

        That of the task itself counts as a failure for the joins after it; those of a stopping run are left alone.
        """
        if not self._cancelling(task):
            return False
        if task.cancel_at is not None and not task.code:
            self._remember(task, "cancelled", ErrorInfo(code="cancelled", message="its cancel was asked for"))
            task = _replace(task, code="cancelled")
        stopping = self.runs[task.run].stopping
        task = self._settle(task, TaskState.CANCELLED, verb)
        if not stopping:
            self._leave(task, failed=True)
        return True

    # --- what is next ---

    def _again(self, task: Task, verb: Verb, after: Micros) -> None:
        """Offer a task once more, at no cost, unless it is to be cancelled."""
        if not self._stopped(task, verb):
            self._go_on(task, verb, after)

    def _go_on(self, task: Task, verb: Verb, after: Micros) -> None:
        """READY again, if its kind allows one more attempt."""
        most = self.node_of(task).kind.max_attempts
        if most is None or task.attempt < most:
            self._ready(task, verb, self.now + after)
            return
        message = (
            f"it needs another attempt, and a task of the kind {self.node_of(task).kind.name!r} has at most {most}"
        )
        self._remember(task, "exhausted", ErrorInfo(code="attempts_exhausted", message=message))
        self._fail_for_good(task, "attempts_exhausted", verb)

    def _renewed(self, task: Task) -> Task:
        """A task that a manual retry offers: its failures, losses and times begin anew."""
        expires_at = self.node_of(task).times.expires_at(self.now)
        return _replace(task, failures=0, losses=0, code="", settled_at=None, cancel_at=None, expires_at=expires_at)

    def _ready(self, task: Task, verb: Verb, at: Micros) -> None:
        delayed = at > self.now
        times = self.node_of(task).times
        self._put(
            _replace(
                task,
                state=TaskState.READY,
                ended=verb,
                due_at=at if delayed else None,
                order_at=self._order(self.runs[task.run], task.priority),
                deadline=task.expires_at if delayed else times.of_offer(self.now, task.expires_at),
            )
        )
        if self.graph_of(task).live:
            self._offered_again(task, self.node_of(task))
        if not delayed:
            self._offer(task.lane, 1)

    def _unclaimed(self, task: Task) -> Task:
        """A READY task that is about to be settled: it counts an attempt, so that nothing of the last one fits it."""
        self._offer(task.lane, 1)  # it may have kept a waiter from the one behind it
        return _replace(task, attempt=task.attempt + 1, session=None)


def _lost(task: Task, losses: int, most: int) -> str:
    if task.until is None:
        return f"the lease of attempt {task.attempt} ended without a report (loss {losses} of at most {most})"
    lasted = (task.until - (task.claimed_at or task.until)) / SECOND
    return f"no report of attempt {task.attempt} in {lasted:g} s (loss {losses} of at most {most})"
