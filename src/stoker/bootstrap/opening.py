"""The bare store of an installation, for those who look at it while no server works on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stoker.bootstrap import databases
from stoker.bootstrap.place import Place
from stoker.engine.ports import Store
from stoker.errors import Conflict
from stoker.storage.sqlite.store import Sqlite


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Store]:
    """The store of a place. The caller sees to it that no server works on it."""
    store = Sqlite(place.file) if place.database is None else databases.postgres(place.database)
    try:
        await store.open()
        yield store
    finally:
        await store.close()


async def check_empty(url: str) -> None:
    """Conflict unless there is no table at all in a PostgreSQL database; Unavailable if it cannot be reached."""
    databases.need_driver()
    from stoker.storage.postgres.direct import connected
    from stoker.storage.postgres.tx import SQL

    async with connected(url) as connection:
        tables = sorted({row[0] for row in await connection.fetch(SQL["columns"])})
    if tables:
        raise Conflict(
            f"the database is not empty: it has {len(tables)} tables, such as {tables[0]!r}.",
            code="database_not_empty",
            place=databases.shown(url),
            remedy="Make one for this alone (`createdb stoker_selftest`), and drop it afterwards. Nothing was changed.",
        )
