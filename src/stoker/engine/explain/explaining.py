"""Explains runs and tasks, from the rows and from who is connected."""

from __future__ import annotations

from stoker.core.compiled import Compiled
from stoker.core.model import Run, Task
from stoker.core.states import RunState
from stoker.core.views import Explanation
from stoker.engine.explain.phrases import name_of
from stoker.engine.explain.runs import RunReasons
from stoker.engine.explain.tasks import Asked, TaskReasons
from stoker.engine.ports import Clock, Keyring, Reader
from stoker.engine.sessions import Sessions


class Explaining:
    """`namespace`: the name of the one that the run belongs to."""

    def __init__(self, sessions: Sessions, clock: Clock, keys: Keyring) -> None:
        self._tasks = TaskReasons(sessions, clock, keys)
        self._runs = RunReasons(self._tasks, clock)

    async def run(self, reader: Reader, namespace: str, run: Run, graph: Compiled) -> Explanation:
        """Why a run stands where it stands."""
        found = await self._runs.of(Asked(reader, namespace, run, graph))
        state = RunState(run.state).name + (" (stopping)" if run.stopping else "")
        subject = f"run {run.id} of {graph.spec.name!r}"
        return Explanation(subject=subject, state=state, because=found.because, remedy=found.remedy)

    async def task(self, reader: Reader, namespace: str, task: Task, run: Run, graph: Compiled) -> Explanation:
        """Why a task stands where it stands."""
        found = await self._tasks.of(Asked(reader, namespace, run, graph), task)
        subject = f"{name_of(graph, task)} of run {run.id}"
        return Explanation(subject=subject, state=task.state.name, because=found.because, remedy=found.remedy)
