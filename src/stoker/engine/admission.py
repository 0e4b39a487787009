"""Claims through gates, within one transaction: how many tasks each gate lets through, and what it let through.

A gate is locked before its leases are counted, by a statement of their own, so that of two servers one counts what the
other has leased. A claim waits for nobody: a gate that is locked elsewhere is passed by, and looked at again soon.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from stoker.core.decide import Fold
from stoker.core.duration import Micros
from stoker.core.gate import MOST, Gate
from stoker.core.model import Task
from stoker.engine.gates import Gates, Later
from stoker.engine.ports import Admitted, Passed, Tx

AGAIN: Micros = 20_000  # until a gate that another server had locked is looked at again


async def show_slots(tx: Tx, fold: Fold, tasks: Iterable[Task]) -> None:
    """Lock the gates of tasks that may be revived, and show the fold how many slots they have."""
    wanted = sorted({task.gate for task in tasks if task.gate is not None})
    if wanted:
        locked = await tx.lock_gates(wanted)
        live = await tx.gate_leases(wanted)
        for gate in locked:
            fold.show_slots(gate.id, gate.slots(live.get(gate.id, 0)))


class Admission:
    """The gates that one transaction has locked, and how many more tasks may go through each.

    `later`: lanes to come back to, since nobody else will wake who waits there.
    """

    def __init__(self, tx: Tx, gates: Gates, now: Micros) -> None:
        self._tx = tx
        self._gates = gates
        self._now = now
        self._locked: dict[int, Gate] = {}
        self._slots: dict[int, int] = {}
        self._taken: Counter[int] = Counter()
        self._lanes: dict[int, int] = {}  # of the gates that are locked here
        self.later: dict[int, Later] = {}

    async def claimable(self, lanes: Sequence[int], limit: int, taken: Mapping[int, Task]) -> list[Task]:
        """READY tasks of these lanes in queue order, no more of a gate than it lets through; none that was taken."""
        gated = self._gates.among(lanes)
        plain = [lane for lane in lanes if lane not in gated] if gated else lanes
        rooms = await self._rooms(gated) if gated else {}
        if not any(rooms.values()):
            found = await self._tx.claimable(plain, limit + len(taken)) if plain else []
            return [task for task in found if task.id not in taken][:limit]
        wanted = [Admitted(lane, 0, limit) for lane in plain]
        wanted += [Admitted(lane, gate, rooms[gate]) for lane, gate in gated.items() if rooms.get(gate)]
        found = await self._tx.admitted(wanted, list(taken), limit)
        self._taken.update(task.gate for task in found if task.gate is not None)
        return found

    async def _rooms(self, gated: Mapping[int, int]) -> dict[int, int]:
        """How many tasks may go through each of these gates that has some in these lanes."""
        found = await self._tx.open_gates(gated)
        passed = {gate.gate for gate in found if isinstance(gate, Passed)}
        self.later.update({lane: Later(self._now + AGAIN) for lane, gate in gated.items() if gate in passed})
        gates = [gate for gate in found if isinstance(gate, Gate)]
        await self._count([gate for gate in gates if gate.id not in self._locked])
        self._lanes.update({lane: gate for lane, gate in gated.items() if gate in self._locked})
        return {gate.id: self._room(gate.id) for gate in gates}

    async def _count(self, gates: Sequence[Gate]) -> None:
        """Count what is being run, after the lock: nobody adds to it now."""
        if gates:
            live = await self._tx.gate_leases([gate.id for gate in gates])
            self._locked.update({gate.id: gate for gate in gates})
            self._slots.update({gate.id: gate.slots(live.get(gate.id, 0)) for gate in gates})

    def _room(self, gate: int) -> int:
        may = min(self._slots[gate], self._locked[gate].starts(self._now), MOST)
        return max(0, may - self._taken[gate])

    async def leased(self, tasks: Iterable[Task]) -> None:
        """Note what was leased of what was taken: the rest gives back its start."""
        started = Counter(task.gate for task in tasks if task.gate is not None)
        for id_, count in started.items():
            self._slots[id_] -= count
            self._locked[id_] = self._locked[id_].started(count, self._now)
        self._taken.clear()
        await self._tx.put_starts([self._locked[id_] for id_ in sorted(started) if self._locked[id_].rate is not None])
        for lane, id_ in self._lanes.items():
            self._hold_back(lane, self._locked[id_])

    def _hold_back(self, lane: int, gate: Gate) -> None:
        """Come back to a lane when its rate lets the next task through."""
        at = gate.start_at(self._now)
        if gate.rate is not None and at > self._now:
            self.later[lane] = Later(at, gate.rate.every)

    @property
    def full(self) -> set[int]:
        """Gates without a free slot: who waits for them is woken when a lease ends."""
        return {gate for gate, slots in self._slots.items() if slots < 1}

    @property
    def passed(self) -> set[int]:
        """Lanes of gates that another server had locked."""
        return {lane for lane in self.later if lane not in self._lanes}
