"""One attempt in this process: what was assigned, the work it asks for, and whether it was told to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from stoker.core.protocol import Assignment, Stage
from stoker.core.values import decoded
from stoker.errors import Invalid
from stoker.runner.context import TaskContext
from stoker.runner.journal import Journal
from stoker.runner.outbox import Key
from stoker.runner.redact import Redactor
from stoker.runner.work import Work

Reason = Literal["cancelled", "timeout", "stale", "shutdown"]

SPENT_AT = 0.9  # of the grace that a server gives: what ends by then is reported before the lease ends

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Job:
    """`stopped`: why to stop, once told. `on_stop`: how the one who runs it is told, with the grace in seconds.

    `grace_s`: how much there is of it. `stage`: what ended the code, where who runs it knows. `timer` is for its
    timeout, `watch` for the end of the grace.
    """

    __slots__ = (
        "assignment", "context", "grace_s", "input", "journal", "now", "on_stop", "over_at", "redactor", "stage",
        "stopped", "timer", "watch", "work",
    )  # fmt: skip

    def __init__(
        self,
        assignment: Assignment,
        work: Work,
        journal: Journal,
        deadline: float | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.assignment = assignment
        self.work = work
        self.journal = journal
        self.input: Any = assignment.input
        self.context = TaskContext(assignment, journal, deadline, now)
        self.now = now
        self.redactor = journal.redactor = Redactor(assignment.secrets.values()) if assignment.secrets else None
        self.stopped: Reason | None = None
        self.on_stop: Callable[[float], None] | None = None
        self.grace_s = 0.0
        self.over_at = float("inf")
        self.stage: Stage = ""
        self.timer: Any = None
        self.watch: Any = None

    @property
    def key(self) -> Key:
        return self.assignment.task, self.assignment.attempt

    def stop(self, reason: Reason, grace_s: float) -> None:
        """Tell the work to stop: the flag at once, then the way its kind of execution has.

        The first reason stays; told again, it may only get less time.
        """
        grace_s = min(self.work.stop_grace_s, grace_s * SPENT_AT)
        over_at = self.now() + grace_s
        if self.stopped is not None and over_at >= self.over_at:
            return
        self.grace_s, self.over_at = grace_s, over_at
        self.stopped = self.stopped or reason
        self.context.cancel()
        if self.on_stop is not None:
            self.on_stop(grace_s)

    def hidden(self, text: str) -> str:
        """The text without the secrets of the attempt."""
        return text if self.redactor is None else self.redactor.text(text)

    def arguments(self) -> dict[str, Any]:
        """Decode the input and let the node check it; Invalid when it is no JSON object."""
        try:
            inputs = decoded(bytes(self.input), _decode) if memoryview(self.input) else {}
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise Invalid(f"the input is not a JSON object: {error}", code="invalid_input") from error
        return self.work.arguments(inputs, task=self.context)
