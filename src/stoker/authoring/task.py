"""What node code may know and say about the task it runs: a port that the runner implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from stoker.authoring.signals import Cancelled
from stoker.errors import Conflict


class Task(ABC):
    """One attempt, as the node's code sees it. A parameter annotated `stoker.Task` receives it.

    `id`, `run`: integers. `attempt`: from 1; it counts every claim. `node`, `branch`: where in the run.
    """

    id: int
    attempt: int
    run: int
    node: str
    branch: str

    @abstractmethod
    def progress(self, fraction: float | None = None, message: str = "") -> None:
        """Show how far it is: a fraction of 1, a word, or both. It replaces what was shown before."""

    @abstractmethod
    def log(self, text: str) -> None:
        """Add a line to the task's log."""

    @abstractmethod
    def output(self, value: Any, name: str = "") -> None:
        """In a live run: give an output while the task goes on. Others read the newest once it completes.

        A node that has given some and returns None gives no other. A value that is not what the node returns raises.
        """

    @property
    @abstractmethod
    def cancelled(self) -> bool:
        """Whether the task should stop: it was cancelled, timed out, its lease is lost, or its runner ends."""

    @property
    @abstractmethod
    def deadline(self) -> float | None:
        """Seconds left before the attempt times out; None without a timeout."""

    @property
    @abstractmethod
    def secrets(self) -> Mapping[str, str]:
        """The secrets that the node declares, by name. In what the task says and returns they are shown as `***`."""

    @property
    @abstractmethod
    def scratch(self) -> Path:
        """A folder of this attempt, removed after it."""

    def raise_if_cancelled(self) -> None:
        """Raise Cancelled if the task should stop; call it between steps of long work."""
        if self.cancelled:
            raise Cancelled("the task was asked to stop")


_current: ContextVar[Task | None] = ContextVar("stoker_task", default=None)


@contextmanager
def running(task: Task) -> Iterator[None]:
    """Let `current_task()` answer `task` in this context."""
    token = _current.set(task)
    try:
        yield
    finally:
        _current.reset(token)


def current_task() -> Task:
    """The task whose code is running here. Raises Conflict outside of one."""
    task = _current.get()
    if task is None:
        raise Conflict(
            "there is no current task here.",
            code="no_task",
            remedy="Call it from a node's code, in the thread or coroutine that runs it.",
        )
    return task
