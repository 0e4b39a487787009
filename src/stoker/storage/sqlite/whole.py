"""A whole SQLite file, to be moved from or to. The caller holds the lock of its folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from stoker.engine.ports import AuditRow
from stoker.errors import Unavailable
from stoker.storage import queries, refusals, shape
from stoker.storage.mover import ROWS, SIZE, Row
from stoker.storage.shape import Table, listed, quoted
from stoker.storage.sqlite import migrate
from stoker.storage.sqlite.tx import SQL


class SqliteWhole:
    """All tables through one connection, in a transaction that its owner ends."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    async def rows(self, table: Table) -> AsyncIterator[list[Row]]:
        batch: list[Row] = []
        size = 0
        for row in self._connection.execute(table.select):
            batch.append(row)
            size += sum(len(value) for value in row if isinstance(value, bytes | str))
            if len(batch) >= ROWS or size >= SIZE:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    async def fill(self, table: Table, batches: AsyncIterator[list[Row]]) -> None:
        marks = ", ".join("?" * len(table.columns))
        sql = f"INSERT INTO {quoted(table.name)} ({listed(table.columns)}) VALUES ({marks})"  # noqa: S608
        async for batch in batches:
            self._connection.executemany(sql, batch)

    async def fact(self, name: str) -> str | None:
        found = list(self._connection.execute("SELECT value FROM fact WHERE name = ?", (name,)))
        return str(found[0][0]) if found else None

    async def put_fact(self, name: str, value: str) -> None:
        self._connection.execute("INSERT INTO fact (name, value) VALUES (?, ?)", (name, value))

    async def put_audit(self, row: AuditRow) -> None:
        self._connection.execute(SQL["insert_audit"], row)


@contextmanager
def reading(path: Path) -> Iterator[SqliteWhole]:
    """A file to be moved from, as one snapshot; it is not changed."""
    with translated(path), connected(path) as connection:
        found, newest = version(connection), queries.newest("sqlite")
        if found > newest:
            raise refusals.newer(str(path), found, newest)
        if found < newest:
            raise refusals.older(str(path), found, newest)
        _check_shape(connection, path)
        connection.execute("PRAGMA query_only=1")
        connection.execute("BEGIN")
        yield SqliteWhole(connection)
        connection.execute("COMMIT")


@contextmanager
def writing(path: Path) -> Iterator[SqliteWhole]:
    """A file to be moved to, committed when the block ends; if it raises, a file that was made is gone."""
    existed = path.exists()
    try:
        with translated(path), connected(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            if existed:
                _check_empty(connection, path)
            migrate.apply(connection, path)
            connection.execute("BEGIN IMMEDIATE")
            yield SqliteWhole(connection)
            connection.execute("COMMIT")
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except BaseException:
        if not existed:
            for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
                path.with_name(name).unlink(missing_ok=True)
        raise


def version(connection: apsw.Connection) -> int:
    ((found,),) = connection.execute("PRAGMA user_version")
    return int(found)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """The driver's errors in our words."""
    try:
        yield
    except apsw.Error as error:
        raise Unavailable(
            f"the database cannot be used: {error}.",
            code="database",
            place=str(path),
            remedy="See to that file and its disk. Nothing was changed.",
        ) from error


@contextmanager
def connected(path: Path, flags: int = apsw.SQLITE_OPEN_READWRITE) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(path), flags=flags)
    try:
        connection.set_busy_timeout(5_000)
        yield connection
    finally:
        connection.close()


def _check_shape(connection: apsw.Connection, path: Path) -> None:
    found = {table.name: table for table in shape.of(connection)}
    for table in shape.newest():
        if found.get(table.name) != table:
            raise refusals.differs(str(path), table.name)


def _check_empty(connection: apsw.Connection, path: Path) -> None:
    for table in shape.of(connection):
        if list(connection.execute(f"SELECT 1 FROM {quoted(table.name)} LIMIT 1")):  # noqa: S608
            raise refusals.not_empty(str(path), table.name)
