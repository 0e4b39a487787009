"""PgBouncer in transaction mode in between: each transaction may meet another connection of the database.

The contract suite runs through it too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from contract.samples import Writer
from databases import Bouncer, Cluster, has_bouncer
from engine.plant import ManualClock, Plant, after, completion, join, node
from stoker.core.protocol import Assignment, Complete
from stoker.errors import Unavailable
from stoker.storage.postgres.store import Postgres

NO_BOUNCER = "pgbouncer is not on this machine; `make postgres` installs it where it can be had"


@pytest.fixture
def bouncer(cluster: Cluster) -> Iterator[Bouncer]:
    if not has_bouncer():
        pytest.skip(NO_BOUNCER)
    with Bouncer(cluster) as bouncer:
        yield bouncer


@pytest.fixture
def through(bouncer: Bouncer, database: str) -> str:
    """A fresh database, through the bouncer."""
    return f"{bouncer.url(database)}&pgbouncer=true"


def outcome(task: Assignment) -> Complete:
    return completion(task, items=[1, 2] if task.kind == "many" else [1])


async def test_servers_work_on_one_run_through_a_pool(through: str, tmp_path: Path) -> None:
    clock = ManualClock()
    plants = [Plant(tmp_path / "data", database=through, clock=clock, seed=number) for number in range(3)]
    for plant in plants:
        await plant.start()
    await plants[0].push(node("split", kind="many"), node("half", after("split")), node("sum", join("half")))
    runs = [await plant.trigger() for plant in plants for _ in range(3)]
    hands = [plant.hand() for plant in plants]
    for hand in hands:
        hand.closed = True  # its row is not looked at
    for _ in range(3):
        clock.advance(31)  # longer than a server believes that a lane is empty
        for tasks in await asyncio.gather(*(hand.claim(100) for hand in hands)):
            assert len({task.task for task in tasks}) == len(tasks)
        await asyncio.gather(*(hand.report(*map(outcome, hand.held.values())) for hand in hands))
    assert [(await plants[0].run(run)).state for run in runs] == ["SUCCEEDED"] * len(runs)
    for plant in plants:
        await plant.stop()


async def test_what_is_set_for_a_transaction_ends_with_it(through: str, bouncer: Bouncer, database: str) -> None:
    store = Postgres(through)
    await store.open()

    async def habits(tx: Any) -> str:
        return str(await tx.connection.fetchval("SELECT current_setting('lock_timeout')"))

    for ask in (store.transact, store.read, store.peek):
        assert await ask(habits) == "10s"
    other = await asyncpg.connect(bouncer.url(database), statement_cache_size=0)
    assert await other.fetchval("SELECT current_setting('lock_timeout')") == "0"
    await other.close()
    await store.close()


async def test_more_clients_than_the_pool_has_connections_wait_for_each_other(through: str) -> None:
    """The bouncer has twenty connections; these ask for eighty at once."""
    stores = [Postgres(through) for _ in range(10)]
    await asyncio.gather(*(store.open() for store in stores))
    taken = await asyncio.gather(*(store.take_ids("run", 2) for store in stores * 8))
    assert len({id_ for block in taken for id_ in block}) == 160
    await asyncio.gather(*(store.close() for store in stores))


async def test_a_database_that_restarts_behind_the_pool_is_waited_for() -> None:
    if not has_bouncer():
        pytest.skip(NO_BOUNCER)
    with Cluster() as cluster, Bouncer(cluster) as bouncer:
        store = Postgres(f"{bouncer.url(cluster.create())}&pgbouncer=true", patience=60)
        await store.open()
        writer = Writer(store)
        await writer.trigger(run=1)
        cluster.stop("immediate")
        calls = [asyncio.create_task(call) for call in (writer.trigger(run=2), store.time(), store.take_ids("run", 1))]
        await asyncio.to_thread(cluster.start)
        await asyncio.gather(*calls)
        assert len(await writer.tasks(2)) == 1
        await store.close()


async def test_a_pool_that_is_gone_is_told(cluster: Cluster, database: str) -> None:
    if not has_bouncer():
        pytest.skip(NO_BOUNCER)
    with Bouncer(cluster) as bouncer:
        store = Postgres(f"{bouncer.url(database)}&pgbouncer=true")
        await store.open()
    store._pool.patience = 0.2
    with pytest.raises(Unavailable, match="it cannot be reached"):
        await store.time()
    await store.close()
