"""When the scheduler must wake: the earliest time at which something is due, as far as this server knows."""

from __future__ import annotations

import asyncio

from stoker.core.duration import Micros

NEVER: Micros = 2**62


class Alarm:
    """The scheduler sleeps until `planned`; whoever makes something due earlier says so with `at`."""

    def __init__(self) -> None:
        self.planned: Micros = NEVER
        self.rung = asyncio.Event()

    def plan(self, time: Micros) -> None:
        """As `at`, by the scheduler itself, which is awake."""
        self.planned = min(self.planned, time)

    def at(self, time: Micros) -> None:
        """Something is due at this time."""
        if time < self.planned:
            self.planned = time
            self.rung.set()
