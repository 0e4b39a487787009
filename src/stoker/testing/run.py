"""A run of a world. As any run's handle, but waiting lets virtual time pass, and ends when nothing can happen."""

from __future__ import annotations

from typing import Any, Protocol

from stoker.core.duration import Micros, micros
from stoker.core.graph import Duration
from stoker.core.views import RunView, TaskView
from stoker.errors import Conflict
from stoker.runner.handle import Client, RunHandle


class Here(Protocol):
    """What a run needs of its world."""

    def run_until_ended(self, run: int, within: Micros | None) -> bool:
        """Let time pass until a run has ended; False if it will not."""
        ...


class VirtualRun(RunHandle):
    """`result` and `wait` let time pass; all else takes a moment."""

    def __init__(self, client: Client, world: Here, run: int, *, created: bool = True) -> None:
        super().__init__(client, run, created=created)
        self._world = world

    def result(self, timeout: Duration | None = None) -> Any:
        """Let time pass until the run has ended, and return the result.

        Raises as elsewhere; and Conflict when nothing that is still to happen will end the run. `timeout`: in virtual
        time.
        """
        self._wait(timeout)
        return super().result(0)

    def wait(self, timeout: Duration | None = None) -> RunView:
        """Let time pass until the run has ended, however that is."""
        self._wait(timeout)
        return self.view()

    def tasks(self) -> list[TaskView]:
        """Its tasks, by node and branch; at most 1,000."""
        return self._client.call(self._client.api.tasks(self.id, limit=1_000)).items

    def _wait(self, timeout: Duration | None) -> None:
        if self._world.run_until_ended(self.id, None if timeout is None else micros(timeout)):
            return
        if timeout is not None:
            raise TimeoutError(f"run {self.id} is still RUNNING after {timeout} of virtual time")
        raise Conflict(
            f"run {self.id} is still RUNNING, and nothing that is to come will end it: {self.explain().because}",
            code="idle_world",
            place=f"run {self.id}",
            remedy="Do what it waits for (settle it, start a runner), or `world.advance()` to its schedules.",
        )
