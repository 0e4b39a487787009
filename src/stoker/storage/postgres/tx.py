"""Statements on one PostgreSQL connection. Many rows travel as columns: one statement, whatever their number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import asyncpg

from stoker.engine.ports import GuardFailed, LiveOf, Locked, Row, none_live
from stoker.storage import queries, rows
from stoker.storage.tx import Questions, Write, Writes

SQL = queries.postgres()
_SETS = frozenset(name for name, sql in SQL.items() if "unnest(" in sql)
_NUMBER = re.compile(r"\$(\d+)")
_LARGEST = 2**63 - 1
_NUL = "\0"  # which PostgreSQL takes in no text

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection


class PostgresReader(Questions):
    """Questions on one connection. `statements`: how many were asked."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.statements = 0

    async def all(self, name: str, *parameters: Any) -> list[Any]:
        self.statements += 1
        if any(type(value) is str and _NUL in value for value in parameters):
            parameters = tuple(_without_nul(value) for value in parameters)
        try:
            return await self.connection.fetch(SQL[name], *parameters)
        except asyncpg.DataError:  # a number that no row can have
            bounded = [_bounded(value) for value in parameters]
            if bounded == list(parameters):
                raise
            return await self.connection.fetch(SQL[name], *bounded)

    async def each(self, name: str, bound: Sequence[Row]) -> list[Any]:
        return await self.all(name, *_columns(bound)) if bound else []


class PostgresTx(PostgresReader, Writes):
    """One transaction that writes."""

    async def lock(self, runs: Iterable[int], tasks: Iterable[int], live: LiveOf = none_live) -> Locked:
        wanted = list(tasks)
        found = [rows.run(row) for row in await self.all("lock_runs", list(runs), wanted)]
        if alive := await live(found):
            wanted = sorted({*wanted, *await self.ids("open_tasks", alive)})
        held = await self.all("lock_tasks", wanted) if wanted else []
        promised = {row["session"]: row[-1] for row in held if row["session"] is not None}
        below = {*runs, *(row["run"] for row in held)} - {run.id for run in found}
        if below:  # child runs, which nobody else changes now
            found += await self.runs(sorted(below))
        return Locked(found, [rows.task(tuple(row)[:-1]) for row in held], promised)

    def tuples(self, bound: Sequence[Row]) -> list[Any]:
        return [list(column) for column in _columns(bound)]

    async def put(self, name: str, bound: Sequence[Row]) -> None:
        if not bound:
            return
        self.statements += 1
        if name in _SETS:
            await self.connection.execute(SQL[name], *_columns(bound))
        else:
            await self.connection.executemany(SQL[name], bound)

    async def guarded(self, name: str, bound: Sequence[Row]) -> None:
        if not bound:
            return
        self.statements += 1
        done: str = await self.connection.execute(SQL[name], *_columns(bound))
        if int(done.rsplit(" ", 1)[1]) != len(bound):  # `UPDATE 3`, `DELETE 1`
            raise GuardFailed(name)

    async def put_all(self, writes: Sequence[Write]) -> None:
        """One statement for all of it, since each is a trip to the database and back."""
        there = [write for write in writes if write.rows]
        if len(there) < 2:
            await super().put_all(there)
            return
        self.statements += 1
        guards = [write for write in there if write.guarded]
        sql = _together(tuple((write.name, write.guarded) for write in there))
        counts = await self.connection.fetchrow(sql, *(column for write in there for column in _columns(write.rows)))
        for write, count in zip(guards, counts or (), strict=False):
            if count != len(write.rows):
                raise GuardFailed(write.name)


@cache
def _together(names: tuple[tuple[str, bool], ...]) -> str:
    """Statements as parts of one that counts the rows of those that are guarded. All see the same snapshot."""
    parts, first = [], 0
    for number, (name, guarded) in enumerate(names):
        sql = _shifted(SQL[name], first)
        first += len({*_NUMBER.findall(sql)})
        parts.append(f"w{number} AS ({sql}{' RETURNING 1' if guarded else ''})")
    guards = [number for number, (_, guarded) in enumerate(names) if guarded]
    counts = [f"(SELECT COUNT(*) FROM w{number})" for number in guards]  # noqa: S608  a number of ours
    return f"WITH {', '.join(parts)} SELECT {', '.join(counts) or '1'}"


def _shifted(sql: str, by: int) -> str:
    """A statement whose parameters come behind so many others."""
    return _NUMBER.sub(lambda found: f"${int(found[1]) + by}", sql)


def _columns(bound: Sequence[Row]) -> list[tuple[Any, ...]]:
    return list(zip(*bound, strict=True))


def _without_nul(value: Any) -> Any:
    """The same question, of a name that no row has either."""
    return value.replace(_NUL, "\1") if type(value) is str else value


def _bounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_bounded(each) for each in value]
    return max(-_LARGEST, min(value, _LARGEST)) if isinstance(value, int) else value
