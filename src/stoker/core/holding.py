"""What becomes of the tasks that the engine holds itself: a wait is settled by somebody, or expires."""

from __future__ import annotations

import msgspec

from stoker.core.duration import Micros
from stoker.core.model import MAX_ITEMS, Task
from stoker.core.picture import Body
from stoker.core.settle import Settling
from stoker.core.states import TaskState, Verb
from stoker.core.values import encode

EXPIRED = "expired"


class Holding(Settling):
    """A picture in which held tasks come to their ends."""

    def unfit(self, task: Task, body: Body) -> str:
        """Why a value cannot settle a wait, because of what follows from it; empty if it can."""
        families, (_, wrong) = self._followers(task, body)
        made = sum(len(family) for _, family in families)
        return wrong or (f"it would make {made} tasks at once; the limit is {MAX_ITEMS}" if made > MAX_ITEMS else "")

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

    def _hold_again(self, task: Task, verb: Verb, at: Micros) -> None:
        """A manual retry of a held task: the engine leases it anew."""
        self._put(msgspec.structs.replace(task, state=TaskState.READY, ended=verb, order_at=at))
        self._hold(self.tasks[task.id])
