"""Limits by key: how many tasks may run at once, and how many may start per time. Arithmetic of slots and starts.

Starts are counted by one number, the time at which the next one would be due if they came evenly (GCRA): each start
moves it on by one interval, and it may lie ahead of the clock by a few intervals, so that a few starts come at once.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from stoker.core.duration import SECOND, Micros

MOST = 1_000_000  # at once, or per unit of time
UNITS: dict[str, Micros] = {"s": SECOND, "min": 60 * SECOND, "h": 3_600 * SECOND}
_RATE = re.compile(r"([0-9]{1,7})/(s|min|h)")


class Rate(NamedTuple):
    """So many starts per time."""

    starts: int
    per: Micros

    @property
    def every(self) -> Micros:
        """Between two starts that come evenly, rounded so that never more start than may."""
        return -(-self.per // self.starts)

    @property
    def burst(self) -> int:
        """How many may start at once when nothing started for a while: a tenth of them."""
        return max(1, self.starts // 10)


class Gate(NamedTuple):
    """A limit as it is kept. `most`: leases at once. `next_at`: when the next start is due if they come evenly."""

    id: int
    name: str
    most: int | None
    rate: Rate | None
    next_at: Micros = 0

    def slots(self, live: int) -> int:
        """How many more may run beside so many that do."""
        return MOST if self.most is None else max(0, self.most - live)

    def starts(self, now: Micros) -> int:
        """How many may start now."""
        if self.rate is None:
            return MOST
        ahead = self._due(self.rate, now) - now
        return self.rate.burst + -ahead // self.rate.every

    def start_at(self, now: Micros) -> Micros:
        """When the next one may start; now, if it may already."""
        if self.rate is None:
            return now
        return max(now, self._due(self.rate, now) - (self.rate.burst - 1) * self.rate.every)

    def started(self, count: int, now: Micros) -> Gate:
        """The gate after so many starts."""
        if self.rate is None:
            return self
        return self._replace(next_at=self._due(self.rate, now) + count * self.rate.every)

    def _due(self, rate: Rate, now: Micros) -> Micros:
        """`next_at` within its bounds: it may have been written under another rate, or by another clock."""
        return min(max(self.next_at, now), now + rate.burst * rate.every)


def rate(text: str) -> Rate:
    """Read `"100/min"`; ValueError where it is none."""
    found = _RATE.fullmatch(text)
    if found is None:
        raise ValueError(f"a rate is a text like '5/s', '100/min' or '1000/h', not {text!r}")
    starts = int(found[1])
    if not 1 <= starts <= MOST:
        raise ValueError(f"a rate allows from 1 to {MOST} starts, not {starts}")
    return Rate(starts, UNITS[found[2]])
