"""Which gates a claim locks in lanes where each value has its own: those of the first tasks that may go through.

Of ten thousand values a claim looks at some hundreds, in order of their gates, and the next claim at those behind them.
With fewer values it sees all of them, and the queue alone decides; with more they take turns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from stoker.core.duration import Micros
from stoker.engine.gates import Later
from stoker.engine.ports import Head, Tx

AGAIN: Micros = 100_000  # until a claim goes on where this one had to stop
WINDOW = 256  # gates of one look
LEAST = 16  # of each lane
LOOKS = 4  # of one claim


class Heads:
    """One search. `after`: the gate behind which it begins, and then the next. `may`: whether a task may go through.

    `later`: lanes to come back to, because of a rate or since this saw too few of their gates: those are `unseen`.
    """

    def __init__(self, tx: Tx, now: Micros, after: int, may: Callable[[Head], bool]) -> None:
        self._tx = tx
        self._now = now
        self._may = may
        self.after = after
        self.later: dict[int, Later] = {}
        self.unseen: set[int] = set()

    async def first(self, lanes: Sequence[int], wanted: int) -> list[tuple[int, int]]:
        """Lanes and gates of the first tasks, so many at most."""
        begun, found = self.after, dict[tuple[int, int], Head]()
        around = not begun  # whether it has come to the first gates
        for _ in range(LOOKS):
            more = await self._look(lanes, found)
            if around and (not more or (begun and self.after >= begun)):
                break
            around = around or not more
        else:
            self._leave(lanes)
        return sorted(found, key=lambda key: found[key].order_at)[:wanted]

    async def _look(self, lanes: Sequence[int], found: dict[tuple[int, int], Head]) -> bool:
        """Look at the next gates of each lane; whether there are some behind them."""
        most = max(LEAST, WINDOW // len(lanes))
        heads = await self._tx.key_heads(lanes, self.after, most)
        seen = Counter(head.lane for head in heads)
        last = {head.lane: head.gate.id for head in sorted(heads, key=lambda head: head.gate.id)}
        self.after = min((last[lane] for lane, count in seen.items() if count == most), default=0)
        for head in heads:
            if self._may(head):
                found[head.lane, head.gate.id] = head
            else:
                self._hold_back(head)
        return self.after > 0

    def _hold_back(self, head: Head) -> None:
        """Come back to a lane when the first of its rates lets a task through."""
        at = head.gate.start_at(self._now)
        if at > self._now and head.gate.slots(head.live):
            self._come_back(head.lane, at)

    def _leave(self, lanes: Sequence[int]) -> None:
        self.unseen.update(lanes)
        for lane in lanes:
            self._come_back(lane, self._now + AGAIN)

    def _come_back(self, lane: int, at: Micros) -> None:
        if lane not in self.later or at < self.later[lane].at:
            self.later[lane] = Later(at)
