"""The room that an installation takes. It counts every row, so it is for people to ask, not for loops."""

from __future__ import annotations

from collections import defaultdict

from stoker.core.upkeep_views import NamespaceUsage, UsageView
from stoker.engine.namespaces import Namespaces
from stoker.engine.ports import Blobs, Reader, Store

_COUNTED = {
    "usage_tasks": ("tasks",),
    "usage_items": ("items", "item_bytes"),
    "usage_logs": ("logs", "log_bytes"),
    "usage_artifacts": ("artifacts", "artifact_bytes"),
}


class Usage:
    """Counts by namespace."""

    def __init__(self, store: Store, namespaces: Namespaces, blobs: Blobs) -> None:
        self._store = store
        self._namespaces = namespaces
        self._blobs = blobs

    async def look(self) -> UsageView:
        await self._namespaces.load()
        found = await self._store.read(_counted)
        disk, free = await self._blobs.room()
        return UsageView(
            namespaces=[
                NamespaceUsage(name=self._namespaces.name(number), **found[number])
                for number in self._namespaces.numbers()
            ],
            disk_bytes=disk,
            free_bytes=free,
        )


async def _counted(reader: Reader) -> dict[int, dict[str, int]]:
    """By namespace. What is being deleted has its negative number."""
    found: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for number, runs in await reader.rows("usage_runs"):
        found[abs(number)]["runs" if number > 0 else "deleting"] = runs
    for query, words in _COUNTED.items():
        for number, *counts in await reader.rows(query):
            for word, count in zip(words, counts, strict=True):
                found[abs(number)][word] += count
    return found
