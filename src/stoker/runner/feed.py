"""Hands work to a pool of threads, waking as few of them as the work needs.

One thread is woken for a burst; a thread that takes work and sees more wakes the next. So a burst of tiny tasks costs
one wake-up, and tasks that block still spread over all threads. Every step is one atomic operation of a deque or lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Feed(Generic[T]):
    def __init__(self) -> None:
        self._waiting: deque[T] = deque()
        self._idle: deque[Lock] = deque()

    def put(self, work: Iterable[T]) -> None:
        """Queue work and wake a thread."""
        self._waiting.extend(work)
        self._wake()

    def remove(self, work: T) -> bool:
        """Take back what no thread has begun. False: one has."""
        try:
            self._waiting.remove(work)
        except ValueError:
            return False
        return True

    def take(self, gate: Lock) -> T:
        """Wait for work. `gate` is this thread's own lock, held."""
        waiting = self._waiting
        while True:
            try:
                work = waiting.popleft()
            except IndexError:
                self._idle.append(gate)
                if waiting:  # it came between the look and the word that this thread is idle
                    self._wake()
                gate.acquire()
                continue
            if waiting and self._idle:
                self._wake()
            return work

    def _wake(self) -> None:
        try:
            self._idle.pop().release()
        except IndexError:
            return
