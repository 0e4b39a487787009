"""What becomes of the tasks that the engine holds itself.

A wait is settled by somebody, or expires; one that stands for a child run is settled by the end of that.
"""

from __future__ import annotations

import msgspec

from stoker.core.duration import Micros
from stoker.core.looping import Looping
from stoker.core.model import Task
from stoker.core.picture import Body, Want
from stoker.core.protocol import ErrorInfo
from stoker.core.states import TaskState, Verb
from stoker.core.values import encode

EXPIRED = "expired"
_replace = msgspec.structs.replace


class Holding(Looping):
    """A picture in which held tasks come to their ends."""

    __slots__ = ()

    def unfit(self, task: Task, body: Body) -> str:
        """Why a value cannot settle a wait, because of what follows from it; empty if it can."""
        _, (_, wrong) = self._followers(self.runs[task.run], self.node_of(task), body)
        return wrong

    def settle_wait(self, task: Task, body: Body) -> None:
        """Somebody decided: the wait SUCCEEDS with the value, which fits."""
        self._succeed(task, body)

    def fail_wait(self, task: Task, message: str, code: str) -> None:
        """Somebody decided against it, or nobody in time. Once a cancel was requested it is CANCELLED instead."""
        if self.runs[task.run].stopping:
            self._settle(task, TaskState.CANCELLED, Verb.FAIL)
        else:
            self._give_up(task, message, code, Verb.TIMEOUT if code == EXPIRED else Verb.FAIL)

    def _expire_wait(self, task: Task) -> None:
        """Nobody settled it in time: it takes its default, or FAILS."""
        wait = self.node_of(task).spec.wait
        if wait is None or wait.default is msgspec.UNSET or self.runs[task.run].stopping:
            self.fail_wait(task, "nobody settled it in time", EXPIRED)
        else:
            self._succeed(task, Body(encode(wait.default)))

    def may_start(self, task: Task) -> bool:
        """Whether a child run may be started for a task; else it is CANCELLED with its run."""
        if not self.runs[task.run].stopping:
            return True
        self._settle(task, TaskState.CANCELLED, Verb.CANCEL)
        return False

    def child_succeeded(self, task: Task, body: Body) -> None:
        """The child run of a task has a result, which is the task's item."""
        if task.state is TaskState.LEASED:
            self._succeed(task, body)

    def refuse_child(self, task: Task, message: str, code: str) -> None:
        """A child run cannot be started, or FAILED."""
        if task.state is not TaskState.LEASED:
            return
        if self.runs[task.run].stopping or task.cancel_at is not None:
            self.child_cancelled(task, message)
        else:
            self._give_up(task, message, code)

    def child_cancelled(self, task: Task, message: str) -> None:
        """The child run of a task was cancelled, by itself or with its task: that counts as a failure for joins."""
        if task.state is not TaskState.LEASED:
            return
        self._remember(task, "cancelled", ErrorInfo(code="cancelled", message=message))
        if self.runs[task.run].stopping:
            self._settle(task, TaskState.CANCELLED, Verb.CANCEL)
            return
        task = _replace(task, code="cancelled", cancel_at=task.cancel_at or self.now)
        self._leave(self._settle(task, TaskState.CANCELLED, Verb.CANCEL), failed=True)

    def _stop_child(self, task: Task) -> None:
        """The cancel of a held task alone: its child run is stopped first."""
        self._put(task)
        self.wants.append(Want("stop", task.run, task.node, task.branch, task.id))

    def _hold_again(self, task: Task, verb: Verb, at: Micros) -> None:
        """A manual retry of a held task: the engine leases it anew."""
        self._put(_replace(task, state=TaskState.READY, ended=verb, order_at=at))
        self._hold(self.tasks[task.id])
