"""What a commit changed, told to whoever waits in this server: hints that save polling, never the facts themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from stoker.core.model import Run
from stoker.core.states import RunState, TaskState
from stoker.core.views import Hint
from stoker.engine.alarm import Alarm
from stoker.engine.namespaces import Namespaces
from stoker.engine.ports import Store
from stoker.engine.transaction import Outcome
from stoker.errors import NotFound

BACKLOG = 1_000  # hints kept for a slow listener; older ones are dropped


class Ended(NamedTuple):
    """A run that came to its end."""

    namespace: int
    run: int
    state: int

    @staticmethod
    def of(run: Run) -> Ended:
        return Ended(run.namespace, run.id, run.state)


class Hub:
    """Wakes those who wait for the end of a run, and listeners of a namespace or run."""

    def __init__(self, store: Store, namespaces: Namespaces, alarm: Alarm) -> None:
        self._store = store
        self._namespaces = namespaces
        self._ends: dict[int, set[asyncio.Future[None]]] = {}
        self._listeners: dict[asyncio.Queue[Hint | None], tuple[int, int | None]] = {}
        self._alarm = alarm

    @contextmanager
    def watching(self, run: int) -> Iterator[asyncio.Future[None]]:
        """A future that is done when the run ends."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ends.setdefault(run, set()).add(future)
        try:
            yield future
        finally:
            future.cancel()
            waiting = self._ends.get(run, set())
            waiting.discard(future)
            if not waiting:
                self._ends.pop(run, None)

    def committed(self, outcome: Outcome) -> None:
        """Tell what a commit changed."""
        fold = outcome.fold
        for run in fold.ended_runs:
            self._wake(run)
        if self._listeners:
            self._publish(outcome)
        if fold.spreading or fold.stopped_runs:
            self._alarm.at(0)
        if outcome.deadline is not None:
            self._alarm.at(outcome.deadline)
        for task in fold.tasks.values():
            for due in (task.due_at, task.deadline):
                if due is not None:
                    self._alarm.at(due)

    def ended(self, runs: Iterable[Ended]) -> None:
        """Tell of runs that ended on another server."""
        for namespace, run, state in runs:
            self._wake(run)
            self.publish([(namespace, Hint(kind="run", run=run, state=RunState(state).name))])

    def doubt(self) -> None:
        """Something may have been missed: everybody who waits looks again."""
        for run in list(self._ends):
            self._wake(run)

    def _wake(self, run: int) -> None:
        for future in self._ends.get(run, ()):
            if not future.done():
                future.set_result(None)

    def _publish(self, outcome: Outcome) -> None:
        fold = outcome.fold
        hints = [
            (fold.runs[task.run].namespace, Hint(kind="task", run=task.run, task=task.id, state=task.state.name))
            for task in fold.tasks.values()
            if fold.loaded.get(task.id) is not task
        ]
        for run_id in fold.ended_runs | fold.new_runs:
            run = fold.runs[run_id]
            hints.append((run.namespace, Hint(kind="run", run=run_id, state=RunState(run.state).name)))
        hints += [(fold.runs[output.run].namespace, Hint(kind="output", run=output.run)) for output in fold.outputs]
        hints += [
            (fold.runs[run].namespace, Hint(kind="log", run=run, task=task)) for run, task in sorted(outcome.logged)
        ]
        for _, handed in [*outcome.handed.items(), *outcome.waiters]:
            for assignment in handed.tasks if handed else ():
                state = TaskState.LEASED.name
                hint = Hint(kind="task", run=assignment.run, task=assignment.task, state=state)
                hints.append((0, hint))
        self.publish(hints)

    def publish(self, hints: Iterable[tuple[int, Hint]]) -> None:
        """Put hints before every listener they concern; namespace 0 goes by run alone."""
        for namespace, hint in hints:
            for queue, (wanted, run) in self._listeners.items():
                if (run == hint.run if run is not None else namespace == wanted) and not queue.full():
                    queue.put_nowait(hint)

    async def subscribe(self, namespace: str, run: int | None) -> AsyncIterator[Hint]:
        """Hints of a namespace, or of one run of it, from now on."""
        number = await self._namespaces.existing(namespace)
        if run is not None and not await self._has(number, run):
            raise NotFound(f"the namespace {namespace!r} has no run {run}.", code="no_run", place="run")
        return self._hints(number, run)

    async def _hints(self, number: int, run: int | None) -> AsyncIterator[Hint]:
        with self._listening(number, run) as queue:
            while (hint := await queue.get()) is not None:
                yield hint

    @contextmanager
    def listening(self, run: int) -> Iterator[asyncio.Queue[Hint | None]]:
        """Hints of a run, from here on; None: the server stops."""
        with self._listening(0, run) as queue:
            yield queue

    @contextmanager
    def _listening(self, number: int, run: int | None) -> Iterator[asyncio.Queue[Hint | None]]:
        queue: asyncio.Queue[Hint | None] = asyncio.Queue(BACKLOG)
        self._listeners[queue] = (number, run)
        try:
            yield queue
        finally:
            self._listeners.pop(queue, None)

    async def _has(self, namespace: int, run: int) -> bool:
        found = await self._store.peek(lambda reader: reader.runs([run]))
        return any(each.namespace == namespace for each in found)

    def close(self) -> None:
        """The server stops: end every subscription and every wait."""
        for queue in self._listeners:
            if not queue.full():
                queue.put_nowait(None)
        self.doubt()
