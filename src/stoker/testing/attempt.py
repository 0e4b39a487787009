"""One attempt in a world: its code can rest in virtual time, unless it is told to stop."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import NamedTuple

from stoker.authoring.signals import Cancelled
from stoker.core.duration import SECOND, Micros
from stoker.runner.job import Job
from stoker.testing.strand import wait

_here: ContextVar[Attempt] = ContextVar("stoker_attempt")


class Span(NamedTuple):
    """When user code was at work, in UTC microseconds. `ended`: None if it still is."""

    begun: Micros
    ended: Micros | None = None


class Attempt:
    """`begun`: since when its code is at work."""

    def __init__(self, job: Job, begun: Micros) -> None:
        self.job = job
        self.begun = begun
        self._told = asyncio.Event()

    def stop(self) -> None:
        """It is told to stop."""
        self._told.set()

    def rest(self, micros: Micros) -> None:
        """In plain code: be busy for so long. Raises Cancelled when told to stop."""
        if micros:
            wait(lambda: self.rested(micros))

    async def rested(self, micros: Micros) -> None:
        """As `rest`, in async code."""
        if not micros:
            return
        try:
            async with asyncio.timeout(micros / SECOND):
                await self._told.wait()
        except TimeoutError:
            return
        self.job.context.known = True
        raise Cancelled("the task was asked to stop")


def enter(attempt: Attempt) -> None:
    """Make it the attempt of this context."""
    _here.set(attempt)


def here() -> Attempt:
    """The attempt whose code runs here."""
    return _here.get()
