"""What node code may raise to say how its task goes on. These are signals, not errors."""

from __future__ import annotations

from stoker.core.duration import SECOND, micros


class Signal(Exception):
    """Base of the signals."""


class Requeue(Signal):
    """Offer the task again, after a delay (`"10s"`, or seconds). Spends no attempt of its retry policy."""

    def __init__(self, after: str | float = 0.0) -> None:
        self.after_s = micros(after) / SECOND
        super().__init__(f"requeue after {self.after_s:g} s")


class Prune(Signal):
    """End this branch without an output and without a failure; nothing below it happens."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(reason)


class NotRetryable(Signal):
    """Fail the task for good, whatever its retry policy says."""


class Cancelled(Signal):
    """The task stops because it was asked to."""
