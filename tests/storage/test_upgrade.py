"""A database made before limits is brought to the newest schema: its lanes and tasks are as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import asyncpg
import pytest

from stoker.core.model import Task
from stoker.engine.ports import Lane, Store
from stoker.storage import queries
from stoker.storage.postgres.store import Postgres
from stoker.storage.sqlite.store import Sqlite

BEFORE = 3  # the last schema without limits
LANES = "INSERT INTO lane (id, namespace, kind, requires) VALUES (4, 1, 'one', '{}'), (9, 1, 'two', '{}')"
TASK = (
    "INSERT INTO task VALUES (5, 1, 0, CAST('' AS {bytes}), 0, 1, 0, 0, 0, 5, 9, 7, NULL, NULL, NULL, NULL, 0, NULL,"
    " 0, 0, '', 7, NULL, NULL)"
)


def _old(database: str) -> list[str]:
    return [sql for number, _, sql in queries.migrations(database) if number <= BEFORE]


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "sqlite":
        path = tmp_path / "stoker.db"
        connection = apsw.Connection(str(path))
        for statement in (*_old("sqlite"), LANES, TASK.format(bytes="BLOB"), f"PRAGMA user_version = {BEFORE}"):
            connection.execute(statement)
        connection.close()
        return Sqlite(path, durable=False)
    url = request.getfixturevalue("database")
    database = await asyncpg.connect(url)
    kept = "CREATE TABLE stoker_schema (number BIGINT NOT NULL)", f"INSERT INTO stoker_schema VALUES ({BEFORE})"
    for statement in (*_old("postgres"), LANES, TASK.format(bytes="BYTEA"), *kept):
        await database.execute(statement)
    await database.close()
    return Postgres(url)


async def test_lanes_and_tasks_from_before_limits_stand_under_none(store: Store) -> None:
    await store.open()  # type: ignore[attr-defined]
    try:
        rows = await store.read(lambda reader: reader.rows("lanes"))
        assert sorted(map(Lane._make, rows)) == [Lane(4, 1, "one", "{}", 0), Lane(9, 1, "two", "{}", 0)]
        (task,) = await store.read(lambda reader: reader.tasks([5]))
        assert task == Task(5, 1, 0, b"", lane=9, order_at=7, created_at=7)
        assert await store.transact(lambda tx: tx.claimable([9], 1)) == [task]

        async def put(tx: Any) -> list[Any]:
            for gate in (0, 0, 1):
                await tx.execute("put_lane", 1, "one", "{}", gate, 0)
            return sorted((lane[2], lane[4]) for lane in await tx.rows("lanes"))

        assert await store.transact(put) == [("one", 0), ("one", 1), ("two", 0)]
    finally:
        await store.close()
