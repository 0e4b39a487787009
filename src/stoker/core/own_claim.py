"""A claim by somebody whose leases are their own, and what it is given: for protocols without beats."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from stoker.core.duration import Micros
from stoker.core.model import Task
from stoker.core.protocol import Assignment


class OwnClaim(msgspec.Struct, frozen=True, kw_only=True):
    """`name`: who asks, as lists of runners show it. `caller`: all that tells this one from others that ask as well.

    `want`: tasks at most. `wait_s`: how long to wait for the first. `lease_s`: how long leases last where neither node,
    graph nor kind says it. `stretch`: up to so many times `want` if nobody else asks for these kinds, less what is
    leased already to whoever did. `alone_for_s`: for how long nobody else may have asked.
    """

    name: str
    kinds: tuple[str, ...]
    lease_s: float
    want: int = 1
    wait_s: float = 0.0
    caller: str = ""
    stretch: int = 1
    alone_for_s: float = 60.0


class OwnTask(NamedTuple):
    """A task leased by such a claim, `assignment.input` always at hand; and its row, as it was leased."""

    assignment: Assignment
    task: Task

    @property
    def until(self) -> Micros:
        """When its lease ends."""
        assert self.task.until is not None
        return self.task.until
