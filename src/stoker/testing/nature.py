"""The clock and the dice of a world: time is the loop's, chance is a seed's."""

from __future__ import annotations

from random import Random

from stoker.core.duration import Micros
from stoker.testing.loop import VirtualLoop


class VirtualClock:
    """UTC microseconds that pass as the loop says, from `start` on."""

    def __init__(self, loop: VirtualLoop, start: Micros) -> None:
        self._loop = loop
        self._start = start

    def now(self) -> Micros:
        return self._start + self._loop.micros

    def after(self, at: Micros) -> Micros:
        """A time of this clock as one of the loop."""
        return at - self._start


class SeededDice:
    """Dice that fall alike every time."""

    def __init__(self, seed: object = 0) -> None:
        self._random = Random(str(seed))  # noqa: S311 - draws what happens, protects nothing

    def random(self) -> float:
        return self._random.random()

    def token_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)
