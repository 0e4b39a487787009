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
from stoker.engine.heads import Heads
from stoker.engine.ports import Admitted, Head, Passed, Tx

TOUCHED = 64
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

    `touched`: gates of single values, with their templates, of which this transaction made tasks or ended leases: they
    are looked at in any case. `later`: lanes to come back to, since nobody else will wake who waits there.
    """

    def __init__(self, tx: Tx, gates: Gates, now: Micros, touched: Mapping[int, int]) -> None:
        self._tx = tx
        self._gates = gates
        self._now = now
        self._touched = list(touched.items())[:TOUCHED]
        self._locked: dict[int, Gate] = {}
        self._slots: dict[int, int] = {}
        self._taken: Counter[int] = Counter()
        self._through: set[tuple[int, int]] = set()  # lanes with gates of theirs that are locked here
        self._unseen: set[int] = set()  # lanes with gates that were not looked at, or are locked elsewhere
        self.later: dict[int, Later] = {}

    async def claimable(self, lanes: Sequence[int], limit: int, taken: Mapping[int, Task]) -> list[Task]:
        """READY tasks of these lanes in queue order, no more of a gate than it lets through; none that was taken."""
        gated = self._gates.among(lanes)
        plain = [lane for lane in lanes if lane not in gated] if gated else lanes
        gates = await self._gates_of(gated, limit) if gated else []
        rooms = await self._rooms(gates) if gates else {}
        if not any(rooms.values()):
            found = await self._tx.claimable(plain, limit + len(taken)) if plain else []
            return [task for task in found if task.id not in taken][:limit]
        wanted = [Admitted(lane, 0, limit) for lane in plain]
        wanted += [Admitted(lane, gate, rooms[gate]) for lane, gate in gates if rooms.get(gate)]
        found = await self._tx.admitted(wanted, list(taken), limit)
        self._taken.update(task.gate for task in found if task.gate is not None)
        return found

    async def _gates_of(self, gated: Mapping[int, int], limit: int) -> list[tuple[int, int]]:
        """The gates to lock, each with a lane: of lanes by value, those of the first tasks that may go through."""
        keyed = self._gates.keyed(gated)
        if not keyed:
            return list(gated.items())
        heads = Heads(self._tx, self._now, self._gates.after, self._may)
        found = await heads.first(keyed, limit)
        self._gates.after = heads.after
        for lane, look in heads.later.items():
            self._come_back(lane, look)
        self._unseen |= heads.unseen
        fixed = ((lane, gate) for lane, gate in gated.items() if lane not in keyed)
        touched = ((lane, gate) for gate, of in self._touched for lane in keyed if gated[lane] == of)
        return list(dict.fromkeys([*fixed, *found, *touched]))

    def _may(self, head: Head) -> bool:
        """Whether a task may go through a gate, as far as is known before it is locked."""
        if head.gate.id in self._locked:
            return self._room(head.gate.id) > 0
        return head.gate.slots(head.live) > 0 and head.gate.starts(self._now) > 0

    async def _rooms(self, pairs: Sequence[tuple[int, int]]) -> dict[int, int]:
        """How many tasks may go through each of these gates that has some in its lane."""
        found = await self._tx.open_gates(pairs)
        passed = {gate.gate for gate in found if isinstance(gate, Passed)}
        for lane, gate in pairs:
            if gate in passed:
                self._miss(lane)
        gates = [gate for gate in found if isinstance(gate, Gate)]
        await self._count([gate for gate in gates if gate.id not in self._locked])
        self._through.update((lane, gate) for lane, gate in pairs if gate in self._locked)
        return {gate.id: self._room(gate.id) for gate in gates}

    def _miss(self, lane: int) -> None:
        """There is more in a lane than this claim has seen."""
        self._unseen.add(lane)
        self._come_back(lane, Later(self._now + AGAIN))

    def _come_back(self, lane: int, look: Later) -> None:
        if lane not in self.later or look.at < self.later[lane].at:
            self.later[lane] = look

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
        for lane, id_ in sorted(self._through):
            self._hold_back(lane, self._locked[id_])

    def _hold_back(self, lane: int, gate: Gate) -> None:
        """Come back to a lane when its rate lets the next task through."""
        at = gate.start_at(self._now)
        if gate.rate is not None and at > self._now:
            self._come_back(lane, Later(at, gate.rate.every))

    @property
    def full(self) -> set[int]:
        """Gates without a free slot: who waits for them is woken when a lease ends."""
        return {gate for gate, slots in self._slots.items() if slots < 1}

    @property
    def passed(self) -> set[int]:
        """Lanes with tasks behind gates that another server had locked, or that were not looked at."""
        return self._unseen
