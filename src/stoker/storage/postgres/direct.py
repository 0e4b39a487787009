"""One connection to a PostgreSQL database, without a pool, for commands that look at it or move it as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from stoker.engine.ports import GuardFailed
from stoker.errors import Conflict
from stoker.storage.postgres import address, faults
from stoker.storage.postgres.tx import Connection

CONNECT_S = 5.0


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """A connection, closed at the end. Unavailable, with the remedy, if there is none, or while it is used."""
    there = address.parse(url)
    try:
        with faults.translated(there.shown):
            connection = await asyncpg.connect(
                there.dsn,
                timeout=CONNECT_S,
                statement_cache_size=0 if there.pooled else 100,
                server_settings={"application_name": "stoker db"},
            )
            try:
                yield connection
            finally:
                if not connection.is_closed():
                    await connection.close(timeout=CONNECT_S)
    except GuardFailed as error:
        raise Conflict(
            f"another process changed the database meanwhile: {error}.",
            code="database_busy",
            place=there.shown,
            remedy="End what works on it, and ask again. Nothing was changed.",
        ) from error
