"""Names of the nodes that the compiler adds: unique, and the same in every pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Names:
    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._items: dict[tuple[object, ...], str] = {}

    def item(self, key: tuple[object, ...], base: str) -> str:
        """The name of the inline node with this key: `years.item`."""
        if key not in self._items:
            self._items[key] = unique(f"{base}.item", self._taken)
            self._taken.add(self._items[key])
        return self._items[key]


def unique(name: str, taken: Iterable[str] | Mapping[str, object]) -> str:
    """The name, with `_2`, `_3`… if it is taken."""
    taken = taken if isinstance(taken, set | dict) else set(taken)
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found
