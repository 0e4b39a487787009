"""Callers that are cancelled, and a store that is closed: the pool stays usable, no connection is leaked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from random import Random
from typing import Any

import pytest

import databases
from contract.samples import Writer
from databases import Cluster, name_of
from stoker.errors import Unavailable
from stoker.storage.postgres import pool as pooling
from stoker.storage.postgres import store as module
from stoker.storage.postgres.pool import CONNECTIONS
from stoker.storage.postgres.store import Postgres
from storage.proxy import Proxy

OURS = "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND application_name = 'stoker'"
BUSY = f"{OURS} AND state <> 'idle'"


@pytest.fixture
async def store(database: str) -> AsyncIterator[Postgres]:
    store = Postgres(database)
    await store.open()
    yield store
    await store.close()


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    with Cluster(port=0) as cluster:
        yield cluster


def counted(cluster: Cluster, store: Postgres, question: str, number: int) -> None:
    """Wait until so many connections are there."""
    name = name_of(store.address.dsn)
    databases.until(lambda: cluster.psql(question.format(name)) == str(number), f"{number} connections")


async def sleeping(reader: Any) -> None:
    await reader.connection.execute("SELECT pg_sleep(30)")


async def usable(store: Postgres) -> None:
    """Every connection of the pool at once, none in a transaction that somebody else began."""

    async def clean(tx: Any) -> int:
        async with together:
            return int(await tx.connection.fetchval("SELECT count(*) FROM stoker_schema"))

    together = asyncio.Semaphore(CONNECTIONS)
    found = await asyncio.gather(*(ask(clean) for ask in (store.transact, store.read, store.peek) * CONNECTIONS))
    assert set(found) == {1}


@pytest.mark.parametrize("way", ["read", "peek"])
async def test_a_reader_cancelled_in_a_statement_frees_its_connection(
    cluster: Cluster, store: Postgres, way: str
) -> None:
    asking = [asyncio.create_task(getattr(store, way)(sleeping)) for _ in range(CONNECTIONS)]
    await asyncio.to_thread(counted, cluster, store, BUSY, CONNECTIONS)
    for task in asking:
        task.cancel()
    assert all(
        isinstance(each, asyncio.CancelledError) for each in await asyncio.gather(*asking, return_exceptions=True)
    )
    await usable(store)
    await asyncio.to_thread(counted, cluster, store, BUSY, 0)


async def test_readers_cancelled_at_any_moment_and_twice_leave_the_pool_usable(
    cluster: Cluster, store: Postgres
) -> None:
    dice = Random(7)
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))

    async def look(reader: Any) -> None:
        await reader.runs([1])
        await reader.runs([2])

    for _ in range(40):
        asking = [asyncio.create_task(dice.choice((store.read, store.peek))(look)) for _ in range(CONNECTIONS + 4)]
        for _ in range(2):
            for _ in range(dice.randint(0, 30)):
                await asyncio.sleep(0)
            for task in dice.sample(asking, 8):
                task.cancel()
        for each in await asyncio.gather(*asking, return_exceptions=True):
            assert each is None or isinstance(each, asyncio.CancelledError), each
    await usable(store)
    assert errors == []
    await asyncio.to_thread(counted, cluster, store, BUSY, 0)


async def test_a_writer_whose_caller_is_cancelled_goes_on_to_its_commit(store: Postgres) -> None:
    inside, go = asyncio.Event(), asyncio.Event()
    writer = Writer(store)

    async def write(tx: Any) -> None:
        inside.set()
        await go.wait()
        await tx.execute("take_ids", "run", 5)

    calls = [asyncio.create_task(store.transact(write))]
    await inside.wait()
    calls[0].cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    go.set()
    await writer.trigger()
    assert (await store.take_ids("run", 1)).start == 6


async def test_a_store_has_no_more_connections_than_it_may_and_closing_ends_them(
    cluster: Cluster, store: Postgres
) -> None:
    for _ in range(3):
        await usable(store)
    await asyncio.to_thread(counted, cluster, store, OURS, CONNECTIONS)
    await store.close()
    await asyncio.to_thread(counted, cluster, store, OURS, 0)


async def test_opening_that_fails_leaves_no_connection(
    cluster: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OLDEST", 990_000)
    store = Postgres(database)
    with pytest.raises(Unavailable):
        await store.open()
    await asyncio.to_thread(counted, cluster, store, OURS, 0)


# --- closing ---


async def test_closing_waits_for_what_was_asked_before(store: Postgres) -> None:
    inside, go = [asyncio.Event() for _ in range(3)], asyncio.Event()

    def held(number: int) -> Callable[[Any], Any]:
        async def work(tx: Any) -> int:
            inside[number].set()
            await go.wait()
            return len(await tx.runs([1]))

        return work

    ways = (store.transact, store.read, store.peek)
    asked = [asyncio.create_task(ask(held(number))) for number, ask in enumerate(ways)]
    for event in inside:
        await event.wait()
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    go.set()
    assert await asyncio.gather(*asked) == [0, 0, 0]
    await closing
    for ask in ways:
        with pytest.raises(Unavailable, match="has been closed"):
            await ask(lambda reader: reader.runs([1]))


async def test_closing_does_not_wait_for_a_reader_that_takes_for_ever(
    cluster: Cluster, store: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooling, "CONNECT_S", 0.1)
    asking = asyncio.create_task(store.read(sleeping))
    await asyncio.to_thread(counted, cluster, store, BUSY, 1)
    async with asyncio.timeout(5):
        await store.close()
        with pytest.raises(Unavailable):
            await asking


async def test_closing_when_the_database_is_gone_returns_promptly(own: Cluster) -> None:
    store = Postgres(own.create(), patience=1_000)
    await store.open()
    await usable(store)
    own.stop("immediate")
    asked = [asyncio.create_task(call) for call in (Writer(store).trigger(), store.time(), store.take_ids("run", 1))]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await store.close()
        told = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in told), told
    own.start()


async def test_closing_when_the_database_keeps_silent_returns_in_time(
    own: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooling, "CONNECT_S", 0.2)
    async with Proxy(own.port) as proxy:
        store = Postgres(own.tcp_url(own.create(), port=proxy.port))
        await store.open()
        await usable(store)
        proxy.flowing.clear()
        asking = asyncio.create_task(store.time())
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await store.close()
            with pytest.raises(Unavailable):
                await asking
        proxy.flowing.set()
