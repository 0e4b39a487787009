"""What callers do with one task."""

from __future__ import annotations

from stoker.core.model import Task
from stoker.core.states import LIVE, TaskState
from stoker.core.views import TaskView
from stoker.engine.acting import Note
from stoker.engine.again import replaced
from stoker.engine.batch import Batches
from stoker.engine.peers import Peers
from stoker.engine.ports import Tx
from stoker.engine.transaction import Batch, Verb
from stoker.engine.views import Views
from stoker.errors import Conflict


class CancelTask(Verb):
    """Ask one task to end. Asked again, it changes nothing."""

    def __init__(self, task: int) -> None:
        self.tasks = (task,)

    async def decide(self, tx: Tx, batch: Batch) -> int | None:
        """The session to tell, if one runs it."""
        task = batch.fold.tasks.get(self.tasks[0])
        if task is None:
            raise await replaced(tx, self.tasks[0])
        if task.state not in LIVE and task.state is not TaskState.CANCELLED:
            raise _settled(task)
        batch.fold.cancel(task)
        return task.session if task.state is TaskState.LEASED else None

    def note(self, answer: int | None) -> Note:
        return Note([f"task:{self.tasks[0]}"])


class Tasks:
    """What callers do with one task."""

    def __init__(self, batches: Batches, views: Views, peers: Peers) -> None:
        self._batches = batches
        self._views = views
        self._peers = peers

    async def cancel(self, namespace: str, task: int) -> TaskView:
        """Ask a task to end: CANCELLED at once if nobody runs it, else its runner is told. Conflict if it has ended."""
        await self._views.task(namespace, task)  # NotFound, unless it is one of this namespace
        session = (await self._batches.submit(CancelTask(task))).value
        if session is not None:
            self._peers.nudge([session])
        return await self._views.task(namespace, task)


def _settled(task: Task) -> Conflict:
    return Conflict(
        f"task {task.id} is {task.state.name}, and only a task that is READY or LEASED can be cancelled.",
        code="already_settled",
        place=f"tasks/{task.id}",
        remedy=f"What comes after it ends with its run: `stoker runs cancel {task.run}`.",
    )
