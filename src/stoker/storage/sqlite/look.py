"""Looks at a SQLite file without changing it, and brings it to the newest schema."""

from __future__ import annotations

from pathlib import Path

import apsw

from stoker.storage import queries, refusals
from stoker.storage.sqlite import migrate
from stoker.storage.sqlite.tx import SqliteReader
from stoker.storage.sqlite.whole import connected, translated, version
from stoker.storage.survey import Survey, counted


async def survey(path: Path) -> Survey:
    """What is there; schema 0 if there is no file."""
    newest = queries.newest("sqlite")
    empty = Survey(place=str(path), product="SQLite", version=apsw.sqlite_lib_version(), schema=0, newest=newest)
    if (size := _size(path)) is None:
        return empty
    with translated(path), connected(path) as connection:
        connection.execute("PRAGMA query_only=1")
        connection.execute("BEGIN")  # one snapshot
        return await counted(SqliteReader(connection), empty.of(schema=version(connection), size=size))


def brought_up(path: Path) -> tuple[int, int]:
    """Migrate; gives the schema before and after. The caller holds the lock of the folder."""
    with translated(path), connected(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        found = version(connection)
        migrate.apply(connection, path)
        return found, version(connection)


def up_to_date(path: Path) -> bool:
    """Whether there is nothing to migrate. Unavailable if the file is newer than this code."""
    if not path.exists():
        return False
    with translated(path), connected(path) as connection:
        found, newest = version(connection), queries.newest("sqlite")
    if found > newest:
        raise refusals.newer(str(path), found, newest)
    return found == newest


def _size(path: Path) -> int | None:
    """Bytes of the file and its write-ahead log; None: there is no file."""
    log = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (log.stat().st_size if log.exists() else 0) if path.exists() else None
