"""Who is told of every batch, once it is committed and answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stoker.engine.transaction import Outcome, Verb


class Observer(Protocol):
    def committed(self, verbs: Sequence[Verb], outcome: Outcome, seconds: float) -> None:
        """What was carried out together, what came of it, and how long that took. It is to be quick."""
        ...


class Observers:
    """Several of them as one."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def committed(self, verbs: Sequence[Verb], outcome: Outcome, seconds: float) -> None:
        for observer in self._observers:
            observer.committed(verbs, outcome, seconds)
