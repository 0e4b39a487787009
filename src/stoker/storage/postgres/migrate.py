"""Brings a PostgreSQL database to the newest schema, or refuses one that is newer than this code."""

from __future__ import annotations

from stoker.errors import Unavailable
from stoker.storage import queries
from stoker.storage.postgres.tx import Connection

LOCK = 0x53544F4B4552  # of all servers that start at once, one migrates

LONGEST_S = 6 * 3600.0  # that a migration may take, and others wait for it

_UNHURRIED = "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0"
_KEPT = "CREATE TABLE IF NOT EXISTS stoker_schema (number BIGINT NOT NULL)"


async def apply(connection: Connection, place: str) -> None:
    """Run the migrations that the database has not seen, in the transaction that was begun on the connection."""
    known = queries.migrations("postgres")
    found = await version(connection)
    check(found, place)
    if found == known[-1][0]:
        return
    await connection.execute(_UNHURRIED)
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK, timeout=LONGEST_S)
    await connection.execute(_KEPT)
    found = await version(connection)  # another server may have been faster
    check(found, place)
    for number, _, sql in known:
        if number > found:
            await connection.execute(sql, timeout=LONGEST_S)
    await connection.execute("DELETE FROM stoker_schema")
    await connection.execute("INSERT INTO stoker_schema VALUES ($1)", max(found, known[-1][0]))


async def version(connection: Connection) -> int:
    """The number of the schema; 0: there is none yet."""
    if await connection.fetchval("SELECT to_regclass('stoker_schema')") is None:
        return 0
    return await connection.fetchval("SELECT MAX(number) FROM stoker_schema") or 0


def check(found: int, place: str) -> None:
    """Refuse a schema that this code does not know."""
    newest = queries.newest("postgres")
    if found > newest:
        raise Unavailable(
            f"the database has schema {found}; this version of Stoker knows schemas up to {newest}.",
            code="schema_newer",
            place=place,
            remedy="Upgrade Stoker, or restore a backup made before the database was upgraded.",
        )
