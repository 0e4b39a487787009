"""Statements on one SQLite connection. Nothing here suspends: a transaction is stepped to its end in one thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import apsw
import msgspec

from stoker.engine.ports import GuardFailed, LiveOf, Locked, Row, none_live
from stoker.storage import queries
from stoker.storage.tx import Questions, Writes

SQL = queries.sqlite()
_json = msgspec.json.Encoder().encode
_LISTS = (list, tuple)


class SqliteReader(Questions):
    """Questions on one connection. `statements`: how many were asked."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.statements = 0

    async def all(self, name: str, *parameters: Any) -> list[Any]:
        self.statements += 1
        bound = [_json(value).decode() if type(value) in _LISTS else value for value in parameters]
        try:
            return list(self._connection.execute(SQL[name], bound))
        except OverflowError:  # a number that no row can have
            return list(self._connection.execute(SQL[name], [_bounded(value) for value in bound]))

    async def each(self, name: str, bound: Sequence[Row]) -> list[Any]:
        self.statements += 1
        return list(self._connection.executemany(SQL[name], bound))


class SqliteTx(SqliteReader, Writes):
    """One transaction that writes. It is alone, so what it reads is locked."""

    async def lock(self, runs: Iterable[int], tasks: Iterable[int], live: LiveOf = none_live) -> Locked:
        wanted = list(tasks)
        found = await self.tasks(wanted) if wanted else []
        ids = sorted({*runs, *(task.run for task in found)})
        locked = await self.runs(ids) if ids else []
        if alive := await live(locked):
            found += await self.tasks(sorted({*await self.ids("open_tasks", alive)} - {*wanted}))
        return Locked(locked, found, {})

    def tuples(self, bound: Sequence[Row]) -> list[Any]:
        return [[tuple(row) for row in bound]]

    async def put(self, name: str, bound: Sequence[Row]) -> None:
        if bound:
            self.statements += 1
            self._connection.executemany(SQL[name], bound)

    async def guarded(self, name: str, bound: Sequence[Row]) -> None:
        before = self._connection.total_changes()
        await self.put(name, bound)
        if self._connection.total_changes() - before != len(bound):
            raise GuardFailed(name)


def _bounded(value: Any) -> Any:
    return max(-(2**63), min(value, 2**63 - 1)) if isinstance(value, int) else value
