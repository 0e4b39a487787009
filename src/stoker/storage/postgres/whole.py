"""A whole PostgreSQL database, to be moved from or to. Locks keep every server out until that is done."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from asyncpg import exceptions as pg

from stoker.engine.ports import AuditRow
from stoker.errors import Conflict, Invalid, Unavailable
from stoker.storage import queries, refusals, shape
from stoker.storage.mover import ROWS, SIZE, Row
from stoker.storage.postgres import address, migrate
from stoker.storage.postgres.direct import connected
from stoker.storage.postgres.tx import SQL, Connection
from stoker.storage.shape import Table, listed, quoted

FIRST = 64  # rows asked for before it is known how large they are

_UNHURRIED = (
    "SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
)


class PostgresWhole:
    """All tables through one connection, in a transaction that its owner ends."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def rows(self, table: Table) -> AsyncIterator[list[Row]]:
        cursor = await self._connection.cursor(table.select)
        count = FIRST
        while found := await cursor.fetch(count):
            batch = [tuple(row) for row in found]
            yield batch
            size = sum(len(value) for row in batch for value in row if isinstance(value, bytes | str))
            count = min(ROWS, max(1, SIZE * len(batch) // max(1, size)), 4 * count)

    async def fill(self, table: Table, batches: AsyncIterator[list[Row]]) -> None:
        try:
            await self._connection.copy_records_to_table(
                table.name, records=_each(batches), columns=list(table.columns)
            )
        except (pg.DataError, TypeError, ValueError, OverflowError) as error:
            raise Unavailable(
                f"the table {table.name!r} has a row that PostgreSQL does not take: {error}.",
                code="row_refused",
                place=table.name,
                remedy="Nothing was changed. Mend the row in the source, and move again.",
            ) from error
        await self._number_on(table)

    async def _number_on(self, table: Table) -> None:
        """The next id that the database itself gives out comes behind the largest one."""
        for row in await self._connection.fetch(SQL["identity_columns"], table.name):
            column = quoted(row[0])
            largest = await self._connection.fetchval(f"SELECT MAX({column}) FROM {quoted(table.name)}")  # noqa: S608
            await self._connection.execute(
                f"ALTER TABLE {quoted(table.name)} ALTER COLUMN {column} RESTART WITH {int(largest or 0) + 1}"
            )

    async def fact(self, name: str) -> str | None:
        found: str | None = await self._connection.fetchval(SQL["fact"], name)
        return found

    async def put_fact(self, name: str, value: str) -> None:
        await self._connection.execute(SQL["put_fact"], name, value)

    async def put_audit(self, row: AuditRow) -> None:
        await self._connection.execute(SQL["insert_audit"], *([value] for value in row))


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[PostgresWhole]:
    """A database to be moved from, as one snapshot; nobody can change it meanwhile."""
    there, tables = _direct(url), shape.newest()
    async with connected(url) as connection:
        await _check_source(connection, there.shown, tables)
        async with connection.transaction(isolation="repeatable_read"):
            await connection.execute(_UNHURRIED)
            await _lock(connection, tables, "SHARE", there.shown)
            await _check_unused(connection, there.shown)
            yield PostgresWhole(connection)


@asynccontextmanager
async def writing(url: str) -> AsyncIterator[PostgresWhole]:
    """A database to be moved to, committed when the block ends; if it raises, nothing has happened."""
    there, tables = _direct(url), shape.newest()
    async with connected(url) as connection:
        newest = queries.newest("postgres")
        if (found := await migrate.version(connection)) > newest:
            raise refusals.newer(there.shown, found, newest)
        async with connection.transaction():
            if found:
                await _check_unused(connection, there.shown)
            await migrate.apply(connection, there.shown)
            await connection.execute(_UNHURRIED)
            await _lock(connection, tables, "ACCESS EXCLUSIVE", there.shown)
            await _check_unused(connection, there.shown)
            for table in tables:
                if await connection.fetchval(f"SELECT 1 FROM {quoted(table.name)} LIMIT 1"):  # noqa: S608
                    raise refusals.not_empty(there.shown, table.name)
            yield PostgresWhole(connection)


async def _each(batches: AsyncIterator[list[Row]]) -> AsyncIterator[Row]:
    async for batch in batches:
        for row in batch:
            yield row


def _direct(url: str) -> address.Address:
    there = address.parse(url)
    if there.pooled:
        raise Invalid(
            "a whole database is not moved through a pool such as PgBouncer: it is one long transaction.",
            code="pooled",
            place=there.shown,
            remedy="Name the database itself, without `?pgbouncer=true`.",
        )
    return there


async def _check_source(connection: Connection, place: str, tables: Sequence[Table]) -> None:
    found, newest = await migrate.version(connection), queries.newest("postgres")
    if found > newest:
        raise refusals.newer(place, found, newest)
    if found < newest:
        raise refusals.older(place, found, newest)
    columns: dict[str, set[str]] = {}
    for name, column in await connection.fetch(SQL["columns"]):
        columns.setdefault(name, set()).add(column)
    for table in tables:
        if columns.get(table.name) != set(table.columns):
            raise refusals.differs(place, table.name)


async def _lock(connection: Connection, tables: Sequence[Table], mode: str, place: str) -> None:
    try:
        names = listed(tuple(table.name for table in tables))
        await connection.execute(f"LOCK TABLE {names} IN {mode} MODE")
    except pg.LockNotAvailableError as error:
        raise _in_use(place, "somebody works on its tables") from error


async def _check_unused(connection: Connection, place: str) -> None:
    if await connection.fetchval("SELECT to_regclass('server')") is None:
        return
    names = [row[0] for row in await connection.fetch(SQL["servers_alive"])]
    if names:
        raise _in_use(place, f"{'a server works' if len(names) == 1 else 'servers work'} on it: {', '.join(names)}")


def _in_use(place: str, why: str) -> Conflict:
    return Conflict(
        f"the database is in use: {why}.",
        code="database_in_use",
        place=place,
        remedy="Stop the servers, and move then; one that was killed counts as gone 30 s after its last beat. "
        "Nothing was changed.",
    )
