"""What may stand in the way while a database is in use: nothing is written, it is told, and it passes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from contract.samples import Writer
from databases import Cluster, name_of
from engine.plant import Plant, node
from stoker.engine.ports import GuardFailed
from stoker.errors import Unavailable
from stoker.storage.postgres import pool as pooling
from stoker.storage.postgres.store import Postgres
from storage.proxy import Proxy


@pytest.fixture
async def store(database: str) -> AsyncIterator[Postgres]:
    store = Postgres(database, patience=0.3)
    await store.open()
    yield store
    await store.close()


async def refused(work: Any) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        await work
    assert caught.value.remedy
    return caught.value


async def slept(tx: Any) -> None:
    await tx.connection.execute("SELECT pg_sleep(5)")


# --- rights ---


async def test_rights_lost_in_mid_flight_are_told_and_come_back(cluster: Cluster, database: str) -> None:
    name = name_of(database)
    cluster.psql("DROP ROLE IF EXISTS mason", "CREATE ROLE mason LOGIN", f"ALTER DATABASE {name} OWNER TO mason")
    store = Postgres(database.replace("user=postgres", "user=mason"))
    await store.open()
    writer = Writer(store)
    await writer.trigger(run=1)
    cluster.psql("REVOKE INSERT ON run FROM mason", database=name)
    error = await refused(writer.trigger(run=2))
    assert "its user lacks rights (permission denied for table run)" in str(error)
    assert "GRANT" in error.remedy
    assert len(await writer.tasks(1)) == 1
    assert await writer.tasks(2) == []
    cluster.psql("GRANT INSERT ON run TO mason", database=name)
    await writer.trigger(run=3)
    await store.close()
    cluster.psql(f"ALTER DATABASE {name} OWNER TO postgres", "REASSIGN OWNED BY mason TO postgres")
    cluster.psql("REASSIGN OWNED BY mason TO postgres", "DROP OWNED BY mason", database=name)


async def test_a_user_who_may_only_read_is_told_when_it_writes(
    cluster: Cluster, database: str, store: Postgres
) -> None:
    cluster.psql("DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN")
    cluster.psql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest", database=name_of(database))
    guest = Postgres(database.replace("user=postgres", "user=guest"))
    await guest.open()
    error = await refused(Writer(guest).trigger())
    assert "its user lacks rights" in str(error)
    assert "all rights on its tables" in error.remedy
    await guest.close()
    cluster.psql("DROP OWNED BY guest", database=name_of(database))


async def test_a_database_that_becomes_read_only_is_told_and_recovers(
    cluster: Cluster, database: str, store: Postgres
) -> None:
    """As some hosts do when the disk fills, and failovers to a standby."""
    cluster.psql(f"ALTER DATABASE {name_of(database)} SET default_transaction_read_only = on")
    await _reconnected(cluster, database)
    error = await refused(Writer(store).trigger())
    assert "it is read-only" in str(error)
    assert await store.read(lambda reader: reader.runs([1])) == []
    cluster.psql(
        "SET default_transaction_read_only = off",
        f"ALTER DATABASE {name_of(database)} RESET default_transaction_read_only",
    )
    await _reconnected(cluster, database)
    await Writer(store).trigger()


# --- limits ---


async def test_a_statement_timeout_is_told_at_once_and_undoes_the_transaction(
    cluster: Cluster, database: str, store: Postgres
) -> None:
    cluster.psql(f"ALTER DATABASE {name_of(database)} SET statement_timeout = 50")
    await _reconnected(cluster, database)
    tries = []

    async def slow(tx: Any) -> None:
        tries.append(1)
        await tx.execute("take_ids", "run", 7)
        await slept(tx)

    for ask in (store.transact, store.read, store.peek):
        error = await refused(ask(slow if ask == store.transact else slept))
        assert "a statement took too long and was cancelled" in str(error)
        assert "statement_timeout" in error.remedy
    assert len(tries) == 1
    assert (await store.take_ids("run", 1)).start == 1


async def test_a_lock_that_somebody_keeps_is_told_with_where_to_look(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooling, "_HABITS", pooling._HABITS.replace("10s", "50ms"))
    store = Postgres(database)
    await store.open()
    other = await asyncpg.connect(database)
    async with other.transaction():
        await other.execute("LOCK TABLE run IN ACCESS EXCLUSIVE MODE")
        for call in (Writer(store).trigger(), store.read(lambda reader: reader.runs([1]))):
            error = await refused(call)
            assert "another transaction held what this one had to change for too long" in str(error)
            assert "pg_locks" in error.remedy
    await Writer(store).trigger()
    await other.close()
    await store.close()


async def test_no_connection_left_is_waited_for_then_told_and_recovers() -> None:
    with Cluster() as cluster:
        cluster.psql("ALTER SYSTEM SET max_connections = 7", "ALTER SYSTEM SET max_wal_senders = 0")
        cluster.psql("CREATE ROLE guest LOGIN SUPERUSER", "ALTER ROLE guest NOSUPERUSER")
        url = cluster.create()
        cluster.psql(f"ALTER DATABASE {name_of(url)} OWNER TO guest")
        cluster.restart()
        url = url.replace("user=postgres", "user=guest")
        others = [await _connected(url) for _ in range(4)]  # three more are kept for superusers
        store = Postgres(url, patience=0.2)
        error = await refused(store.open())
        assert "it has no connection left" in str(error)
        assert "max_connections" in error.remedy
        store = Postgres(url, patience=60)
        opening = asyncio.create_task(store.open())
        await asyncio.sleep(0)
        await others.pop().close()
        await opening
        await asyncio.gather(*(store.time() for _ in range(20)))  # more at once than it may have
        for other in others:
            await other.close()
        await store.close()


async def _connected(url: str) -> asyncpg.Connection:
    """Once the database has let go of those that are closed, which it does a moment later."""
    while True:
        try:
            return await asyncpg.connect(url)
        except asyncpg.TooManyConnectionsError:
            await asyncio.sleep(0.01)


async def test_a_database_that_keeps_silent_is_told_and_nobody_is_reaped_for_one_lease_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooling, "STATEMENT_S", 0.3)
    monkeypatch.setattr(pooling, "CONNECT_S", 0.3)
    with Cluster(port=0) as cluster:
        async with Proxy(cluster.port) as proxy:
            url = cluster.tcp_url(cluster.create(), port=proxy.port)
            plant = await Plant(tmp_path / "data", database=url).start()
            await plant.push(node("a"))
            await plant.trigger()
            hand = plant.hand()
            (task,) = await hand.claim()
            plant.clock.advance(30)  # since before the start nobody was heard: the grace of a fresh server is over
            await hand.beat()
            plant.engine.store._pool.patience = 0.2
            proxy.flowing.clear()
            plant.clock.advance(10)
            error = await refused(plant.trigger())
            assert "it does not answer in time" in str(error)
            plant.clock.advance(15)  # the lease is over by its row
            proxy.flowing.set()
            plant.engine.store._pool.patience = 30
            await plant.pass_time(1)
            assert (await plant.task(task.task)).state == "LEASED"
            assert (await hand.complete(task)).status == "accepted"
            await plant.stop()


# --- the disk ---


async def test_a_full_disk_undoes_the_transaction(cluster: Cluster, database: str, store: Postgres) -> None:
    """As the database says it; the next test fills a real one where it may."""
    cluster.psql(_FULL, database=name_of(database))
    writer = Writer(store)
    error = await refused(writer.trigger())
    assert "its disk is full" in str(error)
    assert "Free space" in error.remedy
    assert await store.read(lambda reader: reader.runs([1])) == []
    cluster.psql("DROP TRIGGER full_disk ON task", database=name_of(database))
    await writer.trigger()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 160 MB with nothing on it."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    folder = Path(tempfile.mkdtemp(prefix="stk-disk-", dir="/tmp"))
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m,mode=777", "tmpfs", str(folder)], check=False)
    if done.returncode:
        folder.rmdir()
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


async def test_a_disk_that_is_really_full_loses_nothing_acknowledged(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    with Cluster() as cluster:
        url = cluster.create()
        store = Postgres(url, patience=0.5)
        await store.open()
        ballast = small_disk / "ballast"
        _fill(ballast)
        acknowledged: list[int] = []
        error = await refused(_write_until_it_fails(store, acknowledged))
        assert "its disk is full" in str(error)
        assert acknowledged
        ballast.unlink()
        await store.close()
        store = Postgres(url, patience=60)
        await store.open()
        kept = await store.read(lambda reader: reader.run_inputs(range(1_000)))
        assert sorted(kept) == acknowledged
        await Writer(store).trigger()
        await store.close()


async def _write_until_it_fails(store: Postgres, acknowledged: list[int]) -> None:
    for run in range(1, 1_000):
        await store.transact(partial(_bulk, run))
        acknowledged.append(run)


async def _bulk(run: int, tx: Any) -> None:
    await tx.connection.execute("INSERT INTO run_input VALUES ($1, $2)", run, os.urandom(200_000))


def _fill(ballast: Path) -> None:
    """Leave a few megabytes."""
    stat = os.statvfs(ballast.parent)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, stat.f_bavail * stat.f_frsize - 4_000_000)


_FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file "base/1/2": No space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON task FOR EACH ROW EXECUTE FUNCTION full_disk()
"""


# --- mistakes of ours, and news of other servers ---


async def test_an_error_that_the_work_swallows_is_no_commit(store: Postgres) -> None:
    async def careless(tx: Any) -> None:
        try:
            await tx.connection.execute("SELECT 1 / 0")
        except asyncpg.PostgresError:
            return

    with pytest.raises(AssertionError, match="answered COMMIT with ROLLBACK"):
        await store.transact(careless)
    await Writer(store).trigger()


async def test_a_wrong_use_of_the_driver_is_no_lost_connection(store: Postgres) -> None:
    async def wrong(tx: Any) -> None:
        await tx.all("take_ids", "one parameter is missing")

    for ask in (store.transact, store.read):
        with pytest.raises(AssertionError, match="the server expects 2 arguments"):
            await ask(wrong)


async def test_a_statement_whose_plan_another_server_changed_is_asked_again(
    cluster: Cluster, database: str, store: Postgres
) -> None:
    """A server of the next version has migrated a column that this one reads."""
    await Writer(store).trigger()

    async def look(reader: Any) -> int:
        return len(await reader.runs([1]))

    for _ in range(3):
        assert await store.read(look) == 1
    change = "ALTER TABLE run ALTER COLUMN priority TYPE {}"
    cluster.psql(change.format("INTEGER"), database=name_of(database))
    assert await store.read(look) == 1
    cluster.psql(change.format("BIGINT"), database=name_of(database))
    assert await store.peek(look) == 1
    cluster.psql(change.format("INTEGER"), database=name_of(database))
    with pytest.raises(GuardFailed):  # which the engine decides anew
        await store.transact(look)
    assert await store.transact(look) == 1


async def _reconnected(cluster: Cluster, database: str) -> None:
    """New connections have the settings of the database, the old ones have not."""
    cluster.psql(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        f" WHERE datname = '{name_of(database)}' AND application_name LIKE 'stoker%'"
    )
