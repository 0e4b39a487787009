"""How long things of a task may take, and which of them ends first. None: as long as it takes."""

from __future__ import annotations

import msgspec

from stoker.core.duration import Micros


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """`attempt`: from its claim. `queue`: each time a task is offered, until it is claimed. `total`: all of a task.

    `lease`: how long an own lease lasts, whatever its claim says.
    """

    attempt: Micros | None = None
    lease: Micros | None = None
    queue: Micros | None = None
    total: Micros | None = None

    def expires_at(self, begun: Micros) -> Micros | None:
        """When a task that began then is over in any case."""
        return None if self.total is None else begun + self.total

    def of_offer(self, now: Micros, expires_at: Micros | None) -> Micros | None:
        """When a task that is offered now ends if nobody claims it."""
        return expires_at if self.queue is None else earliest(now + self.queue, expires_at)

    def of_attempt(self, claimed_at: Micros, expires_at: Micros | None) -> Micros | None:
        """When an attempt that began then ends."""
        return expires_at if self.attempt is None else earliest(claimed_at + self.attempt, expires_at)

    def of_lease(self, now: Micros, claimed_at: Micros, lease: Micros) -> Micros:
        """When an own lease that is given now ends: no earlier than its attempt's time is over."""
        return max(now + lease, claimed_at + (self.attempt or 0))


def earliest(at: Micros, other: Micros | None) -> Micros:
    return at if other is None else min(at, other)
