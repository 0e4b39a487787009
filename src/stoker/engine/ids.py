"""Ids are reserved in blocks before a transaction is tried, so that a commit of unknown outcome can be replayed."""

from __future__ import annotations

from stoker.engine.ports import Store

FIRST_BLOCK = 1_000
LARGEST_BLOCK = 1_000_000


class OutOfIds(Exception):
    """A fold drew more ids than were reserved; reserve more and fold again."""

    def __init__(self, sequence: str) -> None:
        super().__init__(sequence)
        self.sequence = sequence


class Ids:
    """The reserved ids of every sequence. Drawn in the store's thread, reserved outside it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._blocks: dict[str, range] = {}
        self._single: dict[str, range] = {}  # drawn outside of transactions, so never restored
        self._sizes: dict[str, int] = {}

    def draw(self, sequence: str) -> int:
        """The next id; OutOfIds when the block is used up."""
        block = self._blocks.get(sequence)
        if not block:
            raise OutOfIds(sequence)
        self._blocks[sequence] = block[1:]
        return block[0]

    async def reserve(self, sequence: str) -> None:
        """Take a block twice as large as the last one; it joins the rest of that where it follows it."""
        size = self._sizes.get(sequence, FIRST_BLOCK)
        self._sizes[sequence] = min(size * 2, LARGEST_BLOCK)
        taken = await self._store.take_ids(sequence, size)
        self._blocks[sequence] = _joined(self._blocks.get(sequence), taken)

    def mark(self) -> dict[str, range]:
        """What is reserved now; `restore` gives ids back that an undone transaction drew."""
        return dict(self._blocks)

    def restore(self, mark: dict[str, range]) -> None:
        self._blocks.update(mark)

    async def one(self, sequence: str) -> int:
        """Draw outside a batch, from a sequence of which no batch draws."""
        if not self._single.get(sequence):
            taken = await self._store.take_ids(sequence, FIRST_BLOCK)
            self._single[sequence] = _joined(self._single.get(sequence), taken)
        block = self._single[sequence]
        self._single[sequence] = block[1:]
        return block[0]

    async def close(self) -> None:
        """Give back what was not used, so that ids stay small."""
        for sequence, rest in [*self._blocks.items(), *self._single.items()]:
            if rest:
                await self._store.give_back_ids(sequence, rest)
        self._blocks.clear()
        self._single.clear()


def _joined(rest: range | None, taken: range) -> range:
    return range(rest.start, taken.stop) if rest and rest.stop == taken.start else taken
