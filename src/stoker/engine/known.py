"""The gates of single values: made when the first task with a value is, remembered here, removed when long unused.

They are made by a transaction of their own, between two tries of the batch that needs them: nothing else of a batch
waits for the row of a gate. What is remembered is written down as in use once in a while, long before it could be
removed.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from stoker.core.duration import SECOND, Micros
from stoker.engine import single
from stoker.engine.ports import Clock, Store, Tx

FRESH: Micros = 3_600 * SECOND  # how long a gate is used without a word
UNUSED: Micros = 24 * FRESH  # when it is removed, if it has no task
BETWEEN: Micros = FRESH  # two looks for such gates
SLICE = 500
MOST = 100_000  # remembered


class GateName(NamedTuple):
    """`template`: the gate of the limit itself."""

    namespace: int
    template: int
    name: str


class MissingGates(Exception):
    """Gates that are to be made, or to be written down as in use, before a batch can be decided."""

    def __init__(self, names: set[GateName]) -> None:
        super().__init__(f"{len(names)} gates")
        self.names = names


class Keys:
    """Gates by name."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[GateName, tuple[int, Micros]] = {}
        self._tidied_at = clock.now()

    def gate(self, name: GateName) -> int | None:
        """The gate with this name; None if it is to be interned first."""
        found = self._known.get(name)
        return found[0] if found is not None and self._clock.now() < found[1] else None

    async def intern(self, names: Iterable[GateName]) -> None:
        """Make gates, unless they are there; from now on they are in use."""
        until = self._clock.now() + FRESH
        found = await single.transact(self._store, lambda tx: _interned(tx, sorted(names), until - FRESH))
        if len(self._known) + len(found) > MOST:
            self._known.clear()
        self._known.update({name: (gate, until) for name, gate in found.items()})

    async def tidy(self) -> None:
        """Now and then, remove gates that no task was made under for long, and that have none."""
        now = self._clock.now()
        if now - self._tidied_at < BETWEEN:
            return
        self._tidied_at = now
        while await single.transact(self._store, lambda tx: _forgotten(tx, now)) == SLICE:
            pass


async def _interned(tx: Tx, names: list[GateName], now: Micros) -> dict[GateName, int]:
    """What is there is locked first, in order of id, as all are; then the others are made, in order of their names."""
    found: dict[GateName, int] = {}
    for (namespace, template), group in groupby(names, lambda each: each[:2]):
        wanted = [each.name for each in group]
        await tx.execute("touch_gates", now, namespace, wanted)
        await tx.execute("insert_gates", namespace, template, now, wanted)
        for name, gate in await tx.rows("gates_named", namespace, wanted):
            found[GateName(namespace, template, name)] = gate
    return found


async def _forgotten(tx: Tx, now: Micros) -> int:
    """One slice; gives how many were looked at."""
    kept = await tx.execute("keep_gates", now, now - UNUSED, SLICE)
    return len(kept) + len(await tx.execute("forget_gates", now - UNUSED, SLICE))
