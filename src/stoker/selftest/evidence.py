"""What the checker is given of one run: rows as values, what user code left behind, and what lies on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from stoker.core.compiled import Compiled
from stoker.core.model import Ended, ItemKey, JoinKey, JoinRow, Run, Spread, Task


class Span(NamedTuple):
    """When user code was at work, in microseconds of this machine's clock. `ended`: None if it never said so."""

    begun: int
    ended: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """Bytes that a row tells of. `size`, `sha256`: what the row says; `None`: it does not say.

    `found_size`, `found_sha256`: what is on the disk; `None`: nothing is.
    """

    size: int
    sha256: str | None
    found_size: int | None
    found_sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One run after everything has stopped.

    `bodies`: the items; None where the bytes are gone. `counts`: by node: created, SUCCEEDED, FAILED, PRUNED,
    CANCELLED, SKIPPED. `executions`: the attempts that user code saw, by task. `history`: what is kept of attempts, by
    task. `inputs`: of the run. `blobs`: large items. `artifacts`: those that items name; None: there is no such row.
    `past`: tasks that a re-run replaced. `retried`: by hand, at some time. `one_clock`: all times are of one clock.
    """

    run: Run
    graph: Compiled
    tasks: list[Task]
    spreads: list[Spread] = field(default_factory=list)
    rows: Mapping[JoinKey, JoinRow] = field(default_factory=dict)
    bodies: Mapping[ItemKey, bytes | None] = field(default_factory=dict)
    counts: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    executions: Mapping[int, Mapping[int, Span]] = field(default_factory=dict)
    history: Mapping[int, list[Ended]] = field(default_factory=dict)
    inputs: bytes = b"{}"
    blobs: Mapping[ItemKey, Bytes] = field(default_factory=dict)
    artifacts: Mapping[int, Bytes | None] = field(default_factory=dict)
    past: frozenset[int] = frozenset()
    retried: bool = False
    one_clock: bool = True


@dataclass(frozen=True, slots=True)
class Wrong:
    """A rule that does not hold, and what shows it."""

    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"
