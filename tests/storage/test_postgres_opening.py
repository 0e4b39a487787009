"""What may stand in the way of opening a database: each is told with place and remedy, never with a password."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from databases import PASSWORD, Bouncer, Cluster, has_bouncer, name_of
from stoker.errors import Unavailable
from stoker.storage import queries
from stoker.storage.postgres import pool as pooling
from stoker.storage.postgres import store as module
from stoker.storage.postgres.store import Postgres

SCHEMA = "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A cluster that asks for passwords through TCP, with users of its own."""
    with Cluster(port=0) as cluster:
        yield cluster


async def refused(url: str, *, patience: float = 0.2) -> Unavailable:
    """What opening says."""
    store = Postgres(url, patience=patience)
    with pytest.raises(Unavailable) as caught:
        await store.open()
    assert caught.value.remedy
    assert caught.value.place == store.place
    assert PASSWORD not in str(caught.value)
    assert "secret" not in str(caught.value)
    with pytest.raises(Unavailable, match="has been closed"):
        await store.time()
    return caught.value


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


# --- the way there ---


async def test_nothing_listens_on_the_socket(tmp_path: Any) -> None:
    error = await refused(f"postgresql:///work?host={tmp_path}&user=me&password=secret")
    assert "it cannot be reached" in str(error)
    assert "Start it, or check host and port in STOKER_DATABASE_URL" in error.remedy


async def test_nothing_listens_on_the_port() -> None:
    port = unused_port()
    error = await refused(f"postgresql://me:secret@127.0.0.1:{port}/work")
    assert str(error).startswith(
        f"postgresql://127.0.0.1:{port}/work: the database cannot be used: it cannot be reached"
    )


async def test_an_unknown_host_is_told_at_once() -> None:
    async with asyncio.timeout(30):  # patience would be longer
        error = await refused("postgresql://me:secret@no-such-host.invalid/work", patience=1000)
    assert "its host is not known" in str(error)
    assert "Check the host" in error.remedy


async def test_a_server_that_says_nothing_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooling, "CONNECT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        error = await refused(f"postgresql://me:secret@127.0.0.1:{mute.getsockname()[1]}/work")
    assert "it does not answer in time" in str(error)


async def test_what_is_no_postgresql_is_not_waited_for_for_ever() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        await refused(f"postgresql://me:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}/work")


async def test_a_database_that_starts_meanwhile_is_waited_for() -> None:
    with Cluster() as cluster:
        url = cluster.create()
        cluster.stop()
        store = Postgres(url, patience=60)
        opening = asyncio.create_task(store.open())
        await asyncio.sleep(0)
        await asyncio.to_thread(cluster.start)
        await opening
        assert await store.time() > 0
        await store.close()


# --- who asks ---


async def test_a_wrong_password(own: Cluster) -> None:
    url = own.tcp_url(own.create())
    error = await refused(url.replace(PASSWORD, "secret"), patience=1000)
    assert "it refuses the user or the password" in str(error)
    assert "STOKER_DATABASE_URL" in error.remedy


async def test_an_unknown_user(own: Cluster) -> None:
    url = own.create()
    error = await refused(own.tcp_url(url).replace("postgres:", "nobody:"), patience=1000)
    assert "it refuses the user or the password" in str(error)
    error = await refused(url.replace("user=postgres", "user=nobody"), patience=1000)
    assert 'it does not let this user in (role "nobody" does not exist)' in str(error)
    assert "pg_hba.conf" in error.remedy


async def test_an_unknown_database(own: Cluster) -> None:
    error = await refused(own.url("missing"), patience=1000)
    assert 'the database does not exist (database "missing" does not exist)' in str(error)
    assert "createdb" in error.remedy


async def test_an_unknown_option_of_the_address(own: Cluster) -> None:
    error = await refused(f"{own.create()}&sslmod=require", patience=1000)
    assert 'it does not know an option (unrecognized configuration parameter "sslmod")' in str(error)
    assert "what follows `?` in STOKER_DATABASE_URL" in error.remedy
    error = await refused(own.tcp_url(own.create()) + "?sslmode=sometimes", patience=1000)
    assert "its address cannot be used" in str(error)


async def test_encryption_that_the_server_does_not_offer(own: Cluster) -> None:
    error = await refused(f"{own.tcp_url(own.create())}?sslmode=require")
    assert "rejected SSL upgrade" in str(error)


async def test_a_user_who_may_not_create_tables(own: Cluster) -> None:
    url = own.create()
    own.psql("DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN")
    own.psql("REVOKE CREATE ON SCHEMA public FROM PUBLIC", database=name_of(url))
    error = await refused(url.replace("user=postgres", "user=guest"), patience=1000)
    assert "its user lacks rights (permission denied for schema public)" in str(error)
    assert "GRANT CREATE" in error.remedy
    assert own.psql(SCHEMA, database=name_of(url)) == ""


# --- what is there ---


async def test_a_server_that_is_too_old(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OLDEST", 990_000)
    error = await refused(database, patience=1000)
    assert error.code == "database_too_old"
    assert "Stoker needs 99 or newer" in str(error)


async def test_a_schema_newer_than_the_code_is_refused_and_left_alone(cluster: Cluster, database: str) -> None:
    store = Postgres(database)
    await store.open()
    await store.close()
    newer = queries.newest("postgres") + 1
    cluster.psql(f"UPDATE stoker_schema SET number = {newer}", "DROP TABLE token", database=name_of(database))
    before = cluster.psql(SCHEMA, database=name_of(database))
    error = await refused(database, patience=1000)
    assert error.code == "schema_newer"
    assert f"the database has schema {newer}" in str(error)
    assert "Upgrade Stoker" in error.remedy
    assert cluster.psql(SCHEMA, "SELECT number FROM stoker_schema", database=name_of(database)) == f"{before}\n{newer}"


@pytest.mark.parametrize("fresh", [True, False])
async def test_a_database_that_is_read_only(cluster: Cluster, database: str, *, fresh: bool) -> None:
    if not fresh:
        store = Postgres(database)
        await store.open()
        await store.close()
    cluster.psql(f"ALTER DATABASE {name_of(database)} SET default_transaction_read_only = on")
    error = await refused(database, patience=1000)
    assert "it is read-only" in str(error)
    assert "Name the primary server" in error.remedy


async def test_a_standby_is_refused() -> None:
    """Recovery that never ends is what a standby is to its clients."""
    with Cluster() as cluster:
        url = cluster.create()
        cluster.stop()
        (cluster.folder / "data" / "standby.signal").touch()
        cluster.start()
        error = await refused(url, patience=1000)
    assert "it is read-only" in str(error)


async def test_a_pool_that_was_not_mentioned_is_named(cluster: Cluster, database: str) -> None:
    if not has_bouncer():
        pytest.skip("pgbouncer is not on this machine; `make postgres` installs it where it can be had")
    with Bouncer(cluster) as bouncer:
        stores = [Postgres(bouncer.url(database), patience=0.2) for _ in range(4)]
        opened = await asyncio.gather(*(store.open() for store in stores), return_exceptions=True)
        looked = await asyncio.gather(*(store.time() for store in stores * 20), return_exceptions=True)
        await asyncio.gather(*(store.close() for store in stores))
    errors = [error for error in [*opened, *looked] if isinstance(error, BaseException)]
    assert errors
    assert all(isinstance(error, Unavailable) for error in errors), errors
    assert any("Add `?pgbouncer=true` to STOKER_DATABASE_URL." in str(error) for error in errors)


# --- migrations ---


async def test_a_failed_migration_leaves_nothing(
    cluster: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = queries.migrations("postgres")
    monkeypatch.setattr(queries, "migrations", lambda _: [*known, (99, "0099_bad.sql", "CREATE TABLE (")])
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await Postgres(database).open()
    assert cluster.psql(SCHEMA, database=name_of(database)) == ""


async def test_a_migration_may_take_longer_than_any_other_statement(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = queries.migrations("postgres")
    monkeypatch.setattr(queries, "migrations", lambda _: [*known, (99, "0099_slow.sql", "SELECT pg_sleep(0.5)")])
    monkeypatch.setattr(pooling, "STATEMENT_S", 0.2)
    hurried = pooling._HABITS.replace("10s", "100ms") + "; SET {scope} statement_timeout = 100"
    monkeypatch.setattr(pooling, "_HABITS", hurried)
    stores = [Postgres(database) for _ in range(3)]
    await asyncio.gather(*(store.open() for store in stores))
    assert await stores[2].time() > 0
    await asyncio.gather(*(store.close() for store in stores))


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
async def test_of_servers_that_start_at_once_one_migrates(cluster: Cluster, database: str, isolation: str) -> None:
    cluster.psql(f"ALTER DATABASE {name_of(database)} SET default_transaction_isolation = '{isolation}'")
    stores = [Postgres(database) for _ in range(6)]
    await asyncio.gather(*(store.open() for store in stores))
    for store in stores:
        assert await store.read(lambda reader: reader.runs([1])) == []
        await store.close()
    assert cluster.psql("SELECT number FROM stoker_schema", database=name_of(database)) == str(
        queries.newest("postgres")
    )
