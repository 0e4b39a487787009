"""Limits by key, proved from outside: what overlapped, and what began within how short a time.

Two witnesses. User code says when it was at work, by the clock of one machine: while an attempt that ended well was at
work, it held its lease. The rows say when leases began and ended, by the clock of the server: of use where there is but
one. Neither knows every lease, so that they can miss a fault, and never see one that is none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from stoker.core import gate
from stoker.core.graph import Limit
from stoker.core.model import Ended, Task
from stoker.core.states import TaskState
from stoker.selftest.evidence import Evidence, Wrong

RULE = "limits are kept"
ENDED_WELL = (TaskState.SUCCEEDED, TaskState.PRUNED)


class Use(NamedTuple):
    """Something under a limit, from when to when."""

    begun: int
    ended: int
    who: str


class Slots:
    """The uses of each limit, over all runs."""

    def __init__(self) -> None:
        self._limits: dict[str, Limit] = {}
        self._work: dict[str, list[Use]] = defaultdict(list)
        self._leases: dict[str, list[Use]] = defaultdict(list)
        self._starts: dict[str, list[int]] = defaultdict(list)

    def add(self, of: Evidence) -> None:
        for task in of.tasks:
            limit = of.graph.nodes[task.node].spec.limit
            if limit is None or limit.by:
                continue
            self._limits[limit.key] = limit
            leases = list(_leases(task, of.history.get(task.id, [])))
            self._starts[limit.key] += [lease.begun for lease in leases]
            self._leases[limit.key] += leases if of.one_clock else []
            self._work[limit.key] += _work(task, of)

    @property
    def most(self) -> Mapping[str, int]:
        """How many were seen at work at once, by key."""
        return {key: max((count for count, _ in _overlaps(uses)), default=0) for key, uses in self._work.items()}

    def wrongs(self) -> list[Wrong]:
        return [Wrong(RULE, f"{key!r}: {what}") for key in sorted(self._limits) for what in self._wrongs(key)]

    def _wrongs(self, key: str) -> Iterator[str]:
        limit = self._limits[key]
        for told, uses in (("at work", self._work[key]), ("leased", self._leases[key])):
            for count, who in _overlaps(uses):
                if limit.most is not None and count > limit.most:
                    yield f"{count} tasks were {told} at once when {who} began; it allows {limit.most}"
        if limit.rate is not None:
            yield from _bursts(gate.rate(limit.rate), sorted(self._starts[key]))


def _work(task: Task, of: Evidence) -> Iterator[Use]:
    """When user code was at work that certainly held its lease."""
    rows = of.history.get(task.id, [])
    shaky = {row.attempt for row in rows if row.outcome not in ("failed", "pruned")}
    sure = {row.attempt for row in rows} | ({task.attempt} if task.state in ENDED_WELL else set())
    for attempt, span in of.executions.get(task.id, {}).items():
        if attempt in sure - shaky and span.ended is not None:
            yield Use(span.begun, span.ended, f"task {task.id}, attempt {attempt},")


def _leases(task: Task, rows: list[Ended]) -> Iterator[Use]:
    """From each claim that is on record to the first end of its lease."""
    ends: dict[int, Use] = {}
    for row in rows:
        if row.started_at is not None and row.session is not None:
            ends.setdefault(row.attempt, Use(row.started_at, row.ended_at, f"task {task.id}, attempt {row.attempt},"))
    if task.state in ENDED_WELL and task.claimed_at is not None and task.settled_at is not None:
        ends.setdefault(task.attempt, Use(task.claimed_at, task.settled_at, f"task {task.id}, its last attempt,"))
    yield from ends.values()


def _overlaps(uses: list[Use]) -> Iterator[tuple[int, str]]:
    """At each begin, how many were under way; what ends at the same time is over."""
    events = sorted([(use.begun, 1, use.who) for use in uses] + [(use.ended, -1, use.who) for use in uses])
    count = 0
    for _, by, who in events:
        count += by
        if by > 0:
            yield count, who


def _bursts(rate: gate.Rate, starts: list[int]) -> Iterator[str]:
    """More starts within its time than a rate allows, with those that may come at once."""
    most = rate.starts + rate.burst
    for first, last in zip(starts, starts[most:], strict=False):
        if last - first < rate.per:
            yield f"{most + 1} tasks started within {last - first} µs; it allows {rate.starts} in {rate.per}"
