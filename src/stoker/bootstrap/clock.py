"""The clock and the dice of a real installation."""

from __future__ import annotations

import random
import secrets
import time

from stoker.core.duration import SECOND, Micros

JUMP: Micros = SECOND // 2  # more than any drift between two looks
STEP: Micros = SECOND // 20


class SystemClock:
    """UTC microseconds: the wall clock at start, carried on by the monotonic one, so that a jump ends no lease."""

    def __init__(self) -> None:
        self._offset = time.time_ns() // 1_000 - _monotonic()
        self._last: Micros = 0
        self.ahead: Micros = 0

    def now(self) -> Micros:
        self._last = max(self._last, self._offset + _monotonic())
        return self._last

    def join(self, there: Micros, ahead: Micros) -> None:
        """Begin at the database's time and so much more."""
        self._offset, self._last, self.ahead = there + ahead - _monotonic(), 0, ahead

    def follow(self, there: Micros) -> None:
        """Keep up with the database's time: drift is made good bit by bit, a jump is not followed."""
        behind = there + self.ahead - self.now()
        if abs(behind) > JUMP:
            self.ahead -= behind
        else:
            self._offset += max(-STEP, min(behind, STEP))

    def agree(self, ahead: Micros) -> None:
        """Be as far ahead of the database as another server, from now on; time never runs backwards."""
        self._offset += ahead - self.ahead
        self.ahead = ahead


class SystemDice:
    """Jitter from a fast generator, secrets from the operating system."""

    def __init__(self) -> None:
        self._random = random.Random()  # noqa: S311 - spreads retries, protects nothing

    def random(self) -> float:
        return self._random.random()

    def token_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)


def _monotonic() -> Micros:
    return time.monotonic_ns() // 1_000
