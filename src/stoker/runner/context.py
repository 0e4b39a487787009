"""The task context that user code gets in a runner."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stoker.authoring.secrets import Secrets
from stoker.authoring.task import Task
from stoker.core.protocol import Assignment
from stoker.runner.journal import Journal

Giving = Callable[[Any, str, int], None]
"""Sends an output: its value, its name, its number."""


def _nobody(value: Any, name: str, number: int) -> None:
    raise AssertionError(f"output {number} ({name}: {value!r}) was given before the attempt began")


def _nobody_any_more(value: Any, name: str, number: int) -> None:
    """What is given after the end, by a thread that was left behind, is lost."""


class TaskContext(Task):
    """One attempt, seen from inside. `ends_at`: when it times out, by `now`, the monotonic clock of this machine."""

    known = False  # to the code: it has looked, or was interrupted
    given = 0  # outputs
    give: Giving = staticmethod(_nobody)
    _cancelled = False
    _scratch: Path | None = None

    def __init__(
        self,
        assignment: Assignment,
        journal: Journal,
        ends_at: float | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = assignment.task
        self.attempt = assignment.attempt
        self.run = assignment.run
        self.node = assignment.node
        self.branch = assignment.branch
        self.ends_at = ends_at
        self._now = now
        self._secrets = assignment.secrets
        self._journal = journal

    def progress(self, fraction: float | None = None, message: str = "") -> None:
        self._journal.progress(None if fraction is None else min(1.0, max(0.0, float(fraction))), str(message))

    def log(self, text: str) -> None:
        self._journal.write("log", str(text) if str(text).endswith("\n") else f"{text}\n")

    def output(self, value: Any, name: str = "") -> None:
        self.give(value, str(name), self.given + 1)
        self.given += 1

    @property
    def cancelled(self) -> bool:
        if self._cancelled:
            self.known = True
        return self._cancelled

    @property
    def deadline(self) -> float | None:
        """Seconds that are left; None: no timeout."""
        return None if self.ends_at is None else max(0.0, self.ends_at - self._now())

    @property
    def secrets(self) -> Secrets:
        return Secrets(self._secrets)

    @property
    def scratch(self) -> Path:
        """A folder of this attempt, removed when it ends."""
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix=f"stoker-{self.id}-{self.attempt}-"))
        return self._scratch

    # for the runner

    def cancel(self) -> None:
        self._cancelled = True

    def close(self) -> None:
        """The attempt is over. What gives outputs knows the attempt, and only the collector would part the two."""
        self.give = _nobody_any_more
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
