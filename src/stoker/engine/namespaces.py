"""Namespaces by name and number. One comes to be with the first thing that is put into it."""

from __future__ import annotations

from stoker.core.names import fault
from stoker.engine import single
from stoker.engine.acting import Note
from stoker.engine.ports import Store, Tx
from stoker.errors import Invalid, NotFound


class Namespaces:
    """Every namespace, kept in memory; there are few, and they do not change their numbers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}

    async def load(self) -> None:
        for number, name in await self._store.read(lambda reader: reader.rows("namespaces")):
            self._numbers[name], self._names[number] = number, name

    def name(self, number: int) -> str:
        return self._names[number]

    def numbers(self) -> list[int]:
        return sorted(self._names)

    def all(self) -> list[str]:
        return sorted(self._numbers)

    async def existing(self, name: str) -> int:
        """The number of a namespace; NotFound if nothing was ever put there."""
        if name not in self._numbers:
            await self.load()
        if name not in self._numbers:
            raise NotFound(
                f"there is no namespace {name!r} here.",
                code="no_namespace",
                remedy="Push a graph to it first, or check STOKER_NAMESPACE.",
            )
        return self._numbers[name]

    async def made(self, name: str) -> int:
        """The number of a namespace, which is made if need be."""
        if name not in self._numbers:
            if wrong := fault(name):
                raise Invalid(wrong, code="bad_name", place="namespace")

            async def insert(tx: Tx) -> None:
                await tx.execute("insert_namespace", name)

            await single.transact(self._store, insert, lambda _: Note([f"namespace:{name}"]))
            await self.load()
        return self._numbers[name]
