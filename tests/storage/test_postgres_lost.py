"""Connections that are lost before, in the middle of and during a commit: nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from contract.samples import Writer
from databases import Cluster
from engine.plant import NS, Plant, completion, node
from stoker.core.views import TriggerRequest
from stoker.engine.ports import CommitUnknown, Interrupted
from stoker.storage.postgres.pool import CONNECTIONS
from stoker.storage.postgres.store import Postgres
from storage.proxy import Moment, Proxy

MOMENTS: list[Moment] = ["before", "during", "after"]


@pytest.fixture(scope="module")
def listening() -> Iterator[Cluster]:
    with Cluster(port=0) as cluster:
        yield cluster


@pytest.fixture
async def proxy(listening: Cluster) -> AsyncIterator[Proxy]:
    async with Proxy(listening.port) as proxy:
        yield proxy


@pytest.fixture
def address(listening: Cluster, proxy: Proxy) -> Iterator[str]:
    """A fresh database, through the proxy."""
    url = listening.create()
    yield listening.tcp_url(url, port=proxy.port)
    listening.drop(url)


@pytest.fixture
async def store(address: str) -> AsyncIterator[Postgres]:
    store = Postgres(address)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def plant(address: str, tmp_path: Path) -> AsyncIterator[Plant]:
    plant = await Plant(tmp_path / "data", database=address).start()
    await plant.push(node("a"))
    yield plant
    await plant.stop()


async def end(connection: asyncpg.Connection[Any]) -> None:
    """Have the backend of a connection ended by another one, and return when it has."""
    pid = connection.get_server_pid()
    other = await asyncpg.connect(**_parts(connection))
    try:
        assert await other.fetchval("SELECT pg_terminate_backend($1, 10000)", pid)
    finally:
        await other.close()


def _parts(connection: asyncpg.Connection[Any]) -> dict[str, Any]:
    host, port = connection._addr
    given = connection._params
    return {"host": host, "port": port, "user": given.user, "password": given.password, "database": given.database}


def ending_once(work: Callable[[Any], Awaitable[Any]], *, first: bool) -> Callable[[Any], Awaitable[Any]]:
    """The work, with its connection ended before or after it, the first time."""
    left = [1]

    async def ended(tx: Any) -> Any:
        if first and left:
            left.pop()
            await end(tx.connection)
        result = await work(tx)
        if left:
            left.pop()
            await end(tx.connection)
            await work(tx)
        return result

    return ended


# --- the store alone ---


async def test_a_connection_lost_while_idle_is_replaced_and_nobody_hears_of_it(store: Postgres) -> None:
    async def held(_: Any) -> None:
        together.release()
        await all_there.wait()

    together, all_there = asyncio.Semaphore(0), asyncio.Event()
    readers = [asyncio.create_task(store.read(held)) for _ in range(CONNECTIONS)]
    for _ in readers:
        await together.acquire()
    all_there.set()
    await asyncio.gather(*readers)
    idle = [holder._con for holder in store._pool._lender._holders]  # type: ignore[union-attr]
    for connection in idle:
        await end(connection)
    for ask in (store.transact, store.peek, store.read):
        assert await ask(lambda reader: reader.runs([1])) == []


@pytest.mark.parametrize("first", [True, False])
async def test_a_connection_lost_in_mid_transaction_undoes_it(store: Postgres, *, first: bool) -> None:
    async def insert(tx: Any) -> None:
        await tx.execute("take_ids", "task", 10)

    with pytest.raises(Interrupted):
        await store.transact(ending_once(insert, first=first))
    assert (await store.take_ids("task", 1)).start == 1


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("way", ["read", "peek"])
async def test_a_question_whose_connection_is_lost_is_asked_again(store: Postgres, way: str, *, first: bool) -> None:
    async def look(reader: Any) -> int:
        return len(await reader.runs([1]))

    await Writer(store).trigger()
    assert await getattr(store, way)(ending_once(look, first=first)) == 1


@pytest.mark.parametrize(("moment", "kept"), [("before", False), ("after", True)])
async def test_a_connection_lost_in_the_commit_leaves_its_outcome_unknown(
    store: Postgres, proxy: Proxy, moment: Moment, *, kept: bool
) -> None:
    proxy.cut = moment
    with pytest.raises(CommitUnknown):
        await Writer(store).trigger()
    assert proxy.cuts == 1
    assert len(await store.read(lambda reader: reader.runs([1]))) == kept


@pytest.mark.parametrize("moment", MOMENTS)
async def test_ids_whose_reservation_was_lost_are_never_given_out_twice(
    store: Postgres, proxy: Proxy, moment: Moment
) -> None:
    taken = [await store.take_ids("run", 3)]
    proxy.cut = moment
    taken.append(await store.take_ids("run", 3))
    assert proxy.cuts == 1
    taken.append(await store.take_ids("run", 3))
    drawn = [id_ for block in taken for id_ in block]
    assert len(set(drawn)) == 9


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_database_is_opened_although_the_commit_of_its_migrations_is_lost(
    address: str, proxy: Proxy, moment: Moment
) -> None:
    store = Postgres(address)
    proxy.cut = moment
    await store.open()
    assert proxy.cuts == 1
    await Writer(store).trigger()
    await store.close()


# --- through the whole engine ---


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("key", [None, "once"])
async def test_a_trigger_whose_commit_is_lost_makes_exactly_one_run(
    plant: Plant, proxy: Proxy, moment: Moment, key: str | None
) -> None:
    await plant.trigger()  # ids are reserved now
    request = TriggerRequest(graph="sample", inputs={}, idempotency_key=key)
    proxy.cut = moment
    ((ref,), *more) = await asyncio.gather(
        plant.engine.runs.trigger(NS, [request]), *(plant.trigger() for _ in range(3))
    )
    assert proxy.cuts == 1
    assert len({ref.id, *more}) == 4
    found = {run for (run,) in await plant.sql("SELECT id FROM run")}
    assert found >= {ref.id, *more}
    assert len(found) == 5
    assert await plant.sql("SELECT COUNT(*) FROM task") == [(5,)]


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_report_whose_commit_is_lost_is_accepted_once(plant: Plant, proxy: Proxy, moment: Moment) -> None:
    run = await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim()
    proxy.cut = moment
    receipts = await hand.report(completion(task, 7), completion(task, 7))
    assert proxy.cuts == 1
    assert [receipt.status for receipt in receipts] == ["accepted", "accepted"]
    assert (await plant.run(run)).state == "SUCCEEDED"
    assert await plant.sql("SELECT COUNT(*) FROM item") == [(1,)]


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_claim_whose_commit_is_lost_leaves_the_task_to_be_had(
    plant: Plant, proxy: Proxy, moment: Moment
) -> None:
    run = await plant.trigger()
    hand = plant.hand()
    await hand.beat()
    await hand.claim(0)
    proxy.cut = moment
    tasks = await hand.claim(alone=True) or await hand.claim(alone=True)
    assert proxy.cuts == 1
    assert [task.run for task in tasks] == [run]
    assert (await hand.complete(tasks[0])).status == "accepted"


async def test_a_backend_ended_in_mid_transaction_is_decided_anew_and_nobody_hears_of_it(plant: Plant) -> None:
    await plant.trigger()
    ended = []

    async def cut(real: Any, work: Any) -> Any:
        async def once(tx: Any) -> Any:
            result = await work(tx)
            if len(ended) < 3:
                ended.append(1)
                await end(tx.connection)
                await tx.runs([1])
            return result

        return await real(once)

    plant.seam(cut)
    run = await plant.trigger()
    hand = plant.hand()
    tasks = await hand.claim(5)
    assert [receipt.status for receipt in await hand.report(*(completion(task) for task in tasks))] == ["accepted"] * 2
    assert len(ended) == 3
    assert (await plant.run(run)).state == "SUCCEEDED"
    assert await plant.sql("SELECT COUNT(*) FROM run") == [(2,)]
