"""A whole database moves to another kind of database, and back, and is the same."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import apsw
import pytest

from databases import Bouncer, Cluster, has_bouncer, name_of
from stoker.errors import Conflict, Invalid, Unavailable
from stoker.storage import mover, queries, shape
from stoker.storage.postgres import whole as postgres
from stoker.storage.postgres.store import Postgres
from stoker.storage.shape import Table
from stoker.storage.sqlite import whole as sqlite
from stoker.storage.sqlite.store import Sqlite

TABLES = shape.newest()
TEXTS = ["", "plain", "Ärger 🜂", "a\tb\nc\\.\\N", "\x01\x7f", "'\";--", "\ufffd"]
BYTES = [b"", b"\x00", b"\xff\x00\xfe", b"plain", bytes(range(256))]
SEEN = ("seen_at", "ahead")  # a server that was seen just now would be in the way
NUMBERS = [0, 1, -1, 2**31, -(2**63), 2**63 - 1]


def declared(connection: apsw.Connection, table: Table) -> list[tuple[str, str, bool]]:
    """Name, type and whether it may be NULL, of each column."""
    found = connection.execute('SELECT name, type, "notnull", pk FROM pragma_table_info(?) ORDER BY cid', (table.name,))
    return [(name, kind, not (nothing or key)) for name, kind, nothing, key in list(found)]


def fill(path: Path, dice: random.Random, rows: int) -> None:
    """Rows of every table with values that are hard to carry."""
    connection = apsw.Connection(str(path))
    with connection:
        for table in TABLES:
            columns = declared(connection, table)
            marks = ", ".join("?" * len(columns))
            for number in range(1, rows + 1):
                values = [
                    value(dice, kind, number if name in table.key or name in SEEN else None, may_be_null)
                    for name, kind, may_be_null in columns
                ]
                connection.execute(f"INSERT OR IGNORE INTO {table.name} VALUES ({marks})", values)
    connection.close()


def value(dice: random.Random, kind: str, key: int | None, may_be_null: bool) -> Any:
    if may_be_null and dice.random() < 0.3:
        return None
    match kind:
        case "TEXT":
            return dice.choice(TEXTS) + (f"-{key}" if key else f"-{dice.getrandbits(40)}")
        case "BLOB":
            return dice.choice(BYTES) + (key or dice.getrandbits(60)).to_bytes(8, "big")
        case "SMALLINT":
            return key or dice.randint(-3, 7)
        case "DOUBLE PRECISION":
            return dice.choice([0.0, 1.0, -0.5, 1e308, 5e-324, 1 / 3])
        case _:
            return key or dice.choice(NUMBERS)


@pytest.fixture
async def full(tmp_path: Path) -> Path:
    """A migrated file with rows in every table."""
    path = tmp_path / "full.db"
    store = Sqlite(path, durable=False)
    await store.open()
    await store.close()
    fill(path, random.Random(7), rows=40)
    return path


async def moved(source: str | Path, target: str | Path) -> dict[str, mover.Moved]:
    async with AsyncExitStack() as stack:
        origin: Any = (
            stack.enter_context(sqlite.reading(source))
            if isinstance(source, Path)
            else await stack.enter_async_context(postgres.reading(source))
        )
        goal: Any = (
            stack.enter_context(sqlite.writing(target))
            if isinstance(target, Path)
            else await stack.enter_async_context(postgres.writing(target))
        )
        return {one.table: one for one in await mover.move(origin, goal, TABLES)}


def dumped(path: Path) -> dict[str, list[Any]]:
    connection = apsw.Connection(str(path))
    found = {table.name: list(connection.execute(table.select)) for table in TABLES}
    connection.close()
    return found


async def test_there_and_back_every_row_is_the_same(full: Path, tmp_path: Path, database: str) -> None:
    there = await moved(full, database)
    assert min(one.rows for one in there.values()) > 30
    back = await moved(database, tmp_path / "back.db")
    assert back == there
    assert dumped(tmp_path / "back.db") == dumped(full)


async def test_from_a_database_to_another_of_the_same_kind(
    full: Path, tmp_path: Path, database: str, cluster: Cluster
) -> None:
    there = await moved(full, database)
    second = cluster.create()
    assert await moved(database, second) == there
    cluster.drop(second)
    assert await moved(full, tmp_path / "copy.db") == there
    assert dumped(tmp_path / "copy.db") == dumped(full)


async def test_the_hash_is_over_the_rows_and_their_order_and_types(full: Path) -> None:
    first, second = mover.Digest(), mover.Digest()
    first.add([(1, "1"), (2, None)])
    second.add([(1, "1")])
    second.add([(2, None)])
    assert (first.rows, first.hex) == (second.rows, second.hex)
    digests = {first.hex}
    for rows in ([(2, None), (1, "1")], [(1, 1), (2, None)], [(1, b"1"), (2, None)], [(1, "1"), (2, "")], [(1, "12")]):
        other = mover.Digest()
        other.add(rows)
        digests.add(other.hex)
    assert len(digests) == 6


async def test_ids_that_the_database_gives_out_go_on_behind_the_largest(
    full: Path, database: str, cluster: Cluster
) -> None:
    await moved(full, database)
    name = name_of(database)
    tables = ["attempt", "audit", "gate", "lane", "log", "namespace", "schedule", "token", "version"]
    found = cluster.psql(
        "SELECT attrelid::regclass FROM pg_attribute WHERE attidentity <> '' ORDER BY 1", database=name
    )
    assert sorted(found.split()) == tables
    cluster.psql("INSERT INTO namespace (name) VALUES ('next')", database=name)
    assert cluster.psql("SELECT id FROM namespace WHERE name = 'next'", database=name) == "41"


async def test_an_empty_installation_moves_too(tmp_path: Path, database: str, cluster: Cluster) -> None:
    store = Sqlite(tmp_path / "empty.db", durable=False)
    await store.open()
    await store.close()
    assert {one.rows for one in (await moved(tmp_path / "empty.db", database)).values()} == {0}
    cluster.psql("INSERT INTO namespace (name) VALUES ('first')", database=name_of(database))
    assert cluster.psql("SELECT id FROM namespace", database=name_of(database)) == "1"


async def test_both_databases_have_the_same_tables_with_the_same_columns(database: str, cluster: Cluster) -> None:
    store = Postgres(database)
    await store.open()
    await store.close()
    found = cluster.psql(
        "SELECT table_name, string_agg(column_name, ',' ORDER BY ordinal_position) FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name <> 'stoker_schema' GROUP BY table_name ORDER BY table_name",
        database=name_of(database),
    )
    assert found.splitlines() == [f"{table.name}|{','.join(table.columns)}" for table in TABLES]
    keys = cluster.psql(
        "SELECT c.table_name, string_agg(k.column_name, ',' ORDER BY k.ordinal_position)"
        " FROM information_schema.table_constraints c JOIN information_schema.key_column_usage k"
        " USING (constraint_name) WHERE c.constraint_type = 'PRIMARY KEY' AND c.table_schema = 'public'"
        " GROUP BY 1 ORDER BY 1",
        database=name_of(database),
    )
    assert keys.splitlines() == [f"{table.name}|{','.join(table.key)}" for table in TABLES]
    assert all(table.key for table in TABLES)
    assert queries.newest("sqlite") == queries.newest("postgres")


class Lossy:
    """A target that forgets a row of one table."""

    def __init__(self, target: Any) -> None:
        self.target = target
        self.rows = target.rows

    async def fill(self, table: Table, batches: AsyncIterator[list[Any]]) -> None:
        async def fewer() -> AsyncIterator[list[Any]]:
            async for batch in batches:
                yield batch[1:] if table.name == "task" else batch

        await self.target.fill(table, fewer())


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_what_arrives_otherwise_than_it_left_undoes_everything(
    full: Path, tmp_path: Path, database: str, cluster: Cluster, kind: str
) -> None:
    async def lossy() -> None:
        with sqlite.reading(full) as origin:
            if kind == "sqlite":
                with sqlite.writing(tmp_path / "goal.db") as goal:
                    await mover.move(origin, Lossy(goal), TABLES)
            else:
                async with postgres.writing(database) as other:
                    await mover.move(origin, Lossy(other), TABLES)

    with pytest.raises(Unavailable, match="40 rows of the table 'task' were sent"):
        await lossy()
    assert list(tmp_path.glob("goal.db*")) == []
    assert cluster.psql("SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'", database=name_of(database)) == "0"


async def test_a_text_that_postgresql_cannot_hold_names_its_table(full: Path, database: str) -> None:
    connection = apsw.Connection(str(full))
    connection.execute("UPDATE log SET text = 'a' || char(0) WHERE id = 3")
    connection.close()
    with pytest.raises(Unavailable, match="the table 'log' has a row that PostgreSQL does not take"):
        await moved(full, database)


async def test_a_target_with_rows_is_refused_and_named(full: Path, tmp_path: Path, database: str) -> None:
    await moved(full, database)
    for source, target in ((full, database), (database, full), (full, full)):
        with pytest.raises(Conflict, match="the target is not empty: its table 'artifact' has rows"):
            await moved(source, target)


async def test_a_migrated_but_empty_target_is_taken(full: Path, tmp_path: Path, database: str) -> None:
    for store in (Postgres(database), Sqlite(tmp_path / "goal.db", durable=False)):
        await store.open()
        await store.close()
    assert await moved(full, database) == await moved(full, tmp_path / "goal.db")


async def test_a_source_of_another_schema_is_refused(
    full: Path, tmp_path: Path, database: str, cluster: Cluster
) -> None:
    await moved(full, database)
    newest = queries.newest("sqlite")
    for number, says in ((newest - 1, "`stoker db migrate`"), (newest + 1, "Upgrade Stoker")):
        connection = apsw.Connection(str(full))
        connection.execute(f"PRAGMA user_version={number}")
        connection.close()
        cluster.psql(f"UPDATE stoker_schema SET number = {number}", database=name_of(database))
        for source in (full, database):
            with pytest.raises((Conflict, Unavailable), match=f"schema {number}") as caught:
                await moved(source, tmp_path / "goal.db")
            assert says in caught.value.remedy
    assert not (tmp_path / "goal.db").exists()


async def test_a_source_that_was_changed_by_hand_is_refused(
    full: Path, tmp_path: Path, database: str, cluster: Cluster
) -> None:
    await moved(full, database)
    connection = apsw.Connection(str(full))
    connection.execute("ALTER TABLE lane ADD COLUMN mine TEXT")
    connection.close()
    cluster.psql("ALTER TABLE lane ADD COLUMN mine TEXT", database=name_of(database))
    for source in (full, database):
        with pytest.raises(Unavailable, match="the table 'lane' has other columns"):
            await moved(source, tmp_path / "goal.db")


async def test_a_database_with_a_live_server_is_neither_source_nor_target(
    full: Path, tmp_path: Path, database: str, cluster: Cluster
) -> None:
    seen = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
    store = Postgres(database)
    await store.open()
    await store.close()
    cluster.psql(f"INSERT INTO server VALUES (1, 'box:1', 0, {seen} + 5000000, 5000000)", database=name_of(database))
    for source, target in ((full, database), (database, tmp_path / "goal.db")):
        with pytest.raises(Conflict, match="a server works on it: box:1") as caught:
            await moved(source, target)
        assert "Stop the servers" in caught.value.remedy
    cluster.psql("UPDATE server SET seen_at = seen_at - 31000000", database=name_of(database))
    assert (await moved(database, tmp_path / "goal.db"))["server"].rows == 1


async def test_while_it_moves_no_server_can_write_to_either(full: Path, tmp_path: Path, database: str) -> None:
    import asyncpg

    await moved(full, database)
    store = Postgres(database)
    async with postgres.reading(database):
        connection = await asyncpg.connect(database)
        await connection.execute("SET lock_timeout = '50ms'")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await connection.execute("DELETE FROM run")
        assert await connection.fetchval("SELECT COUNT(*) FROM run") == 40
        await connection.close()
    await store.open()
    await store.close()


async def test_a_database_that_somebody_writes_to_is_in_use(full: Path, tmp_path: Path, database: str) -> None:
    import asyncpg

    await moved(full, database)
    connection = await asyncpg.connect(database)
    async with connection.transaction():
        await connection.execute("DELETE FROM run WHERE id = 1")
        with pytest.raises(Conflict, match="somebody works on its tables"):
            await moved(database, tmp_path / "goal.db")
    await connection.close()


@pytest.mark.skipif(not has_bouncer(), reason="PgBouncer is not on this machine")
async def test_through_a_pool_nothing_is_moved(full: Path, database: str, cluster: Cluster) -> None:
    with Bouncer(cluster) as bouncer, pytest.raises(Invalid, match="not moved through a pool"):
        await moved(full, bouncer.url(database) + "&pgbouncer=true")


async def test_large_rows_travel_in_small_batches(tmp_path: Path, database: str) -> None:
    """What is held at once does not grow with the table: batches shrink where rows are large."""
    path = tmp_path / "large.db"
    store = Sqlite(path, durable=False)
    await store.open()
    await store.close()
    connection = apsw.Connection(str(path))
    large = bytes(1024 * 1024)
    with connection:
        rows = ((1, 1, number.to_bytes(4, "big"), 0, len(large), large, None) for number in range(40))
        connection.executemany("INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        many = ((number, 1, 1, 1, 0, "out", 1, "x") for number in range(1, 9001))
        connection.executemany(
            "INSERT INTO log (seq, run, task, attempt, id, stream, at, text) SELECT ?1, ?2, ?3, ?4, ?1, ?6, ?7, ?8",
            many,
        )
    connection.close()
    tables = {table.name: table for table in TABLES}
    with sqlite.reading(path) as origin:
        assert max([len(batch) async for batch in origin.rows(tables["item"])]) <= 8
        assert [len(batch) async for batch in origin.rows(tables["log"])] == [2000] * 4 + [1000]
    await moved(path, database)
    async with postgres.reading(database) as whole:
        assert [len(batch) async for batch in whole.rows(tables["item"])][1:] == []  # fewer than it asks for at first
        sizes = [len(batch) async for batch in whole.rows(tables["log"])]
        assert (sum(sizes), max(sizes)) == (9000, 2000)
