"""From the threads that run user code to the loop that talks to the server: one wake-up for a burst."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

from stoker.core.protocol import Report
from stoker.runner.journal import Journal

T = TypeVar("T")


class Mailbox:
    """`ring` runs in the loop soon after something was put; it takes all there is."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._reports: deque[Report] = deque()
        self._journals: deque[Journal] = deque()
        self._rung = False

    def put(self, reports: Iterable[Report]) -> None:
        self._reports.extend(reports)
        self._wake()

    def touched(self, journal: Journal) -> None:
        self._journals.append(journal)
        self._wake()

    def take(self) -> tuple[list[Report], list[Journal]]:
        """Take everything. Called in the loop, at the start of each ring."""
        self._rung = False  # before looking: what comes after this line rings again
        return _drain(self._reports), _drain(self._journals)

    def _wake(self) -> None:
        if self._rung:
            return
        self._rung = True
        try:
            self._loop.call_soon_threadsafe(self._ring)
        except RuntimeError:  # the loop is closed: the runner has stopped, and the server has these leases back
            self._rung = False


def _drain(queue: deque[T]) -> list[T]:
    taken = []
    while queue:
        taken.append(queue.popleft())
    return taken
