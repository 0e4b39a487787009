"""Looks at a PostgreSQL database without changing it, and brings it to the newest schema."""

from __future__ import annotations

from dataclasses import dataclass

from stoker.storage import queries, shape
from stoker.storage.postgres import address, migrate
from stoker.storage.postgres.direct import connected
from stoker.storage.postgres.store import OLDEST
from stoker.storage.postgres.tx import SQL, Connection, PostgresReader
from stoker.storage.survey import Survey, counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a server would find. `missing`: rights. `risky`: a crash may lose commits. `artifacts`: the folder's id."""

    version: str
    too_old: bool
    schema: int
    newest: int
    size: int
    risky: bool
    missing: list[str]
    artifacts: str | None


async def survey(url: str) -> tuple[Survey, list[str]]:
    """What is there, and the servers that are alive, by name."""
    place = address.parse(url).shown
    async with connected(url) as connection:
        health = await _health(connection)
        empty = Survey(
            place=place,
            product="PostgreSQL",
            version=health.version,
            schema=health.schema,
            newest=health.newest,
            size=health.size,
        )
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await counted(PostgresReader(connection), empty), await _servers(connection)


async def health(url: str) -> Health:
    async with connected(url) as connection:
        return await _health(connection)


async def brought_up(url: str) -> tuple[int, int]:
    """Migrate; gives the schema before and after."""
    place = address.parse(url).shown
    async with connected(url) as connection, connection.transaction():
        found = await migrate.version(connection)
        await migrate.apply(connection, place)
        return found, await migrate.version(connection)


async def _health(connection: Connection) -> Health:
    about = await connection.fetchrow(SQL["about"])
    assert about is not None
    version, number, size, risky = about
    tables = [table.name for table in shape.newest()]
    schema, newest = await migrate.version(connection), queries.newest("postgres")
    return Health(
        version=version.partition(" ")[0],
        too_old=number < OLDEST,
        schema=schema,
        newest=newest,
        size=size,
        risky=risky,
        missing=[row[0] for row in await connection.fetch(SQL["rights_missing"], schema < newest, tables)],
        artifacts=await connection.fetchval(SQL["fact"], "artifacts") if await _has(connection, "fact") else None,
    )


async def _servers(connection: Connection) -> list[str]:
    return [row[0] for row in await connection.fetch(SQL["servers_alive"])] if await _has(connection, "server") else []


async def _has(connection: Connection, table: str) -> bool:
    return await connection.fetchval("SELECT to_regclass($1)", table) is not None
