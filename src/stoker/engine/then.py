"""The items of a run as they stood when a task was claimed: what retries and re-runs have changed since is left out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from stoker.core.branch import END
from stoker.core.duration import Micros
from stoker.core.model import ItemKey, StoredItem, Task
from stoker.engine.inputs import Reading
from stoker.engine.ports import Reader, Store


class Then(Reading):
    """`at`: when the task was claimed. None: it was not, and reads what stands now."""

    def __init__(self, store: Store, task: Task, at: Micros | None) -> None:
        super().__init__(store)
        self._task = task
        self._at = at

    async def items(self, keys: Iterable[ItemKey]) -> list[StoredItem]:
        found: list[StoredItem] = []
        for key in keys:
            below = await self.items_below(*key[:3])
            found += [item for item in below if item.key == key]
        return found

    async def items_below(self, run: int, node: int, prefix: bytes) -> list[StoredItem]:
        if self._at is None:
            return await super().items_below(run, node, prefix)
        return await self._store.read(lambda reader: self._then(reader, run, node, prefix))

    async def pages_below(self, run: int, node: int, prefix: bytes) -> AsyncIterator[list[StoredItem]]:
        yield await self.items_below(run, node, prefix)

    async def _then(self, reader: Reader, run: int, node: int, prefix: bytes) -> list[StoredItem]:
        assert self._at is not None
        between = (run, node, prefix, prefix + END)
        late = {row[0] for row in await reader.rows("late_below", *between, self._at, self._task.generation)}
        found = [item for item in await reader.items_below(run, node, prefix) if item.key.branch not in late]
        there = {item.key.branch for item in found}
        past: dict[bytes, dict[int, list[StoredItem]]] = {}
        for item, by in await reader.past_items("past_items_below", *between):
            if item.key.branch not in there and self._before(by):
                past.setdefault(item.key.branch, {}).setdefault(by.generation, []).append(item)
        for generations in past.values():
            found += generations[max(generations)]
        return sorted(found, key=lambda item: item.key)

    def _before(self, by: Task) -> bool:
        """Whether an item's task had begun when this one did."""
        assert self._at is not None
        began = by.claimed_at or 0
        return began < self._at or (began == self._at and by.generation <= self._task.generation)
