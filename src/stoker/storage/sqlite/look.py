"""Looks at a SQLite file without changing it, and brings it to the newest schema."""

from __future__ import annotations

from pathlib import Path

import apsw

from stoker.storage import queries, refusals
from stoker.storage.sqlite import migrate
from stoker.storage.sqlite.tx import SQL, SqliteReader
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


def verified(path: Path, fact: str) -> tuple[int, set[str], str | None]:
    """A copy that is not in use: its schema, the keys of all stored bytes that it names, and a fact of it.

    Unavailable if it is damaged, or newer than this code.
    """
    with translated(path), connected(path, apsw.SQLITE_OPEN_READONLY) as connection:
        found, newest = version(connection), queries.newest("sqlite")
        if found > newest:
            raise refusals.newer(str(path), found, newest)
        for (said,) in connection.execute("PRAGMA integrity_check(1)"):
            if said != "ok":
                raise refusals.damaged(str(path), str(said))
        keys = {str(key) for (key,) in connection.execute(SQL["every_blob"])}
        facts = [str(value) for (value,) in connection.execute(SQL["fact"], (fact,))]
        return found, keys, facts[0] if facts else None
