"""The databases that other tests stand on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

import databases
from databases import Bouncer, Cluster, Missing, has_bouncer, name_of

MARK = "CREATE TABLE marks (n int); INSERT INTO marks VALUES (1)"
NO_BOUNCER = "pgbouncer is not on this machine; `make postgres` installs it where it can be had"
COUNT = "SELECT count(*) FROM marks"


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A cluster to be stopped, killed and configured."""
    with Cluster(port=0) as cluster:
        yield cluster


# --- one cluster ---


async def test_a_created_database_is_reached_by_its_url(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        assert await connection.fetchval("SELECT current_database()") == name_of(database)
        assert (
            await connection.fetchval("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0
        )
    finally:
        await connection.close()


def test_two_databases_are_apart(cluster: Cluster, database: str) -> None:
    other = cluster.create()
    cluster.psql(MARK, database=name_of(database))
    with pytest.raises(RuntimeError, match='relation "marks" does not exist'):
        cluster.psql(COUNT, database=name_of(other))
    cluster.drop(other)


def test_what_cannot_be_made_says_why_and_the_next_is_made(cluster: Cluster) -> None:
    with pytest.raises(RuntimeError, match=r'ended at .*template database "nobodys" does not exist'):
        cluster.create(like=cluster.url("nobodys"))
    cluster.drop(cluster.create())


def test_a_copy_has_what_the_original_has(cluster: Cluster, database: str) -> None:
    cluster.psql(MARK, database=name_of(database))
    copy = cluster.create(like=database)
    assert cluster.psql(COUNT, database=name_of(copy)) == "1"
    cluster.drop(copy)


async def test_a_database_is_dropped_under_whoever_is_connected(cluster: Cluster) -> None:
    url = cluster.create()
    connection = await asyncpg.connect(url)
    cluster.drop(url)
    with pytest.raises((asyncpg.AdminShutdownError, asyncpg.ConnectionDoesNotExistError)):
        await connection.execute("SELECT 1")
    assert cluster.psql(f"SELECT count(*) FROM pg_database WHERE datname = '{name_of(url)}'") == "0"


def test_a_cluster_listens_on_its_socket_alone(cluster: Cluster) -> None:
    assert cluster.psql("SHOW listen_addresses") == ""
    assert len(str(cluster.folder / ".s.PGSQL.5432.lock")) < 107


# --- its life ---


@pytest.mark.parametrize("mode", ["smart", "fast", "immediate"])
def test_a_restart_keeps_what_was_committed(own: Cluster, mode: databases.Mode) -> None:
    name = name_of(own.create())
    own.psql(MARK, database=name)
    own.restart(mode)
    assert own.psql(COUNT, database=name) == "1"


def test_a_killed_cluster_starts_again_with_what_was_committed(own: Cluster) -> None:
    name = name_of(own.create())
    own.psql(MARK, database=name)
    postmaster = int(own.psql("SELECT pg_read_file('postmaster.pid')").split()[0])
    own.kill()
    assert not alive(postmaster)
    with pytest.raises(RuntimeError, match=r"No such file or directory|Connection refused"):
        own.psql("SELECT 1")
    own.start()
    assert own.psql(COUNT, database=name) == "1"


async def test_a_kill_ends_the_connections(own: Cluster) -> None:
    connection = await asyncpg.connect(own.create())
    own.kill()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.execute("SELECT 1")
    own.start()


def test_what_runs_is_not_started_and_what_does_not_is_not_stopped(own: Cluster) -> None:
    with pytest.raises(RuntimeError, match="runs already"):
        own.start()
    own.stop()
    with pytest.raises(RuntimeError, match="does not run: start it first"):
        own.kill()
    own.start()


def test_close_leaves_no_process_and_no_folder() -> None:
    with Cluster() as cluster:
        pids = [int(pid) for pid in cluster.psql("SELECT pid FROM pg_stat_activity").split()]
        pids.append(int(cluster.psql("SELECT pg_read_file('postmaster.pid')").split()[0]))
        assert alive(pids[-1])
    assert not any(alive(pid) for pid in pids)
    assert not cluster.folder.exists()


def test_a_cluster_that_cannot_start_says_why_and_leaves_nothing() -> None:
    cluster = Cluster()
    with (cluster.folder / "data" / "postgresql.conf").open("a") as config:
        config.write("max_connections = many\n")
    with pytest.raises(RuntimeError, match=r'(?s)ended before it was ready.*"max_connections"'), cluster:
        pass
    assert not cluster.folder.exists()


def test_missing_programs_are_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(databases, "SERVERS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Missing, match=r"initdb is neither in .* nor on PATH. Remedy: `make postgres`"):
        Cluster()


# --- its settings ---


def test_settings_hold_for_new_sessions_until_they_are_taken_back(own: Cluster) -> None:
    own.configure(statement_timeout=1234, application_name="a name")
    assert own.psql("SHOW statement_timeout", "SHOW application_name").split("\n")[0] == "1234ms"
    own.configure(statement_timeout=None, application_name=None)
    assert own.psql("SHOW statement_timeout") == "0"


def test_only_a_durable_cluster_waits_for_the_disk(cluster: Cluster) -> None:
    assert cluster.psql("SHOW fsync", "SHOW full_page_writes") == "off\noff"
    with Cluster(durable=True) as durable:
        assert durable.psql("SHOW fsync", "SHOW full_page_writes", "SHOW synchronous_commit") == "on\non\non"


async def test_over_tcp_a_password_is_asked_for(own: Cluster) -> None:
    url = own.create()
    connection = await asyncpg.connect(own.tcp_url(url))
    try:
        assert await connection.fetchval("SELECT host(inet_server_addr())") == "127.0.0.1"
    finally:
        await connection.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(own.tcp_url(url).replace(databases.PASSWORD, "another"))


def test_a_cluster_with_a_port_is_reached_through_its_socket_too(own: Cluster) -> None:
    (port,) = parse_qs(urlsplit(own.create()).query)["port"]
    assert (own.folder / f".s.PGSQL.{port}").is_socket()


# --- a bouncer in front of it ---


@pytest.fixture
def bouncer(cluster: Cluster) -> Iterator[Bouncer]:
    if not has_bouncer():
        pytest.skip(NO_BOUNCER)
    with Bouncer(cluster) as bouncer:
        yield bouncer


async def test_a_bouncer_lends_one_connection_to_many(cluster: Cluster, bouncer: Bouncer) -> None:
    url = bouncer.url(cluster.create())
    one, two = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(2)]
    try:
        backends = [await connection.fetchval("SELECT pg_backend_pid()") for connection in (one, two, one)]
        assert len(set(backends)) == 1
        async with one.transaction():
            mine = await one.fetchval("SELECT pg_backend_pid()")
            assert await two.fetchval("SELECT pg_backend_pid()") != mine
    finally:
        await one.close()
        await two.close()
    cluster.drop(url)


def test_a_closed_bouncer_leaves_nothing(cluster: Cluster) -> None:
    if not has_bouncer():
        pytest.skip(NO_BOUNCER)
    with Bouncer(cluster) as bouncer:
        assert alive(bouncer.pid)
    assert not alive(bouncer.pid)
    assert not bouncer.folder.exists()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
