"""Servers on one database at once: no task goes to two, none is passed by for good, no id is given out twice."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from databases import Cluster, name_of
from stoker.core.model import Task
from stoker.storage import queries
from stoker.storage.postgres.store import Postgres

SERVERS = 4
TASKS = 300
LANES = (1, 2, 3)

_TASKS = (
    "INSERT INTO task SELECT n, n, 0, '', 0, 1, 0, 0, 0, 0, 1 + n % 3, n, NULL, NULL, NULL, NULL, 0, NULL, 0, 0, '', 0,"
    f" NULL, NULL FROM generate_series(1, {TASKS}) AS n"
)
_TAKE = "UPDATE task SET state = 2, attempt = attempt + 1 WHERE id = ANY($1)"


@pytest.fixture
async def stores(cluster: Cluster, database: str) -> AsyncIterator[list[Postgres]]:
    stores = [Postgres(database) for _ in range(SERVERS)]
    await asyncio.gather(*(store.open() for store in stores))
    cluster.psql(_TASKS, database=name_of(database))
    yield stores
    await asyncio.gather(*(store.close() for store in stores))


async def claim(store: Postgres, limit: int, meanwhile: Any = None) -> list[int]:
    """Lease the next tasks, as the engine does in one transaction."""

    async def work(tx: Any) -> list[Task]:
        found: list[Task] = await tx.claimable(LANES, limit)
        if meanwhile is not None:
            await meanwhile(found)
        await tx.connection.execute(_TAKE, [task.id for task in found])
        return found

    return [task.id for task in await store.transact(work)]


async def test_concurrent_claimers_get_disjoint_tasks_and_none_is_left(stores: list[Postgres]) -> None:
    taken: Counter[int] = Counter()

    async def work(store: Postgres) -> None:
        misses = 0
        while misses < 2:  # the tasks that were passed by are being claimed by another
            found = await claim(store, 5)
            taken.update(found)
            misses += not found

    await asyncio.gather(*(work(store) for store in stores for _ in range(4)))
    assert taken == Counter(range(1, TASKS + 1))


async def test_a_claim_passes_by_what_another_is_claiming_and_waits_for_nobody(stores: list[Postgres]) -> None:
    other: list[int] = []

    async def second(found: list[Task]) -> None:
        assert [task.id for task in found] == list(range(1, 11))
        async with asyncio.timeout(5):
            other.extend(await claim(stores[1], 10))

    first = await claim(stores[0], 10, second)
    assert not set(first) & set(other)
    assert other
    rest = await claim(stores[2], TASKS)
    assert sorted([*first, *other, *rest]) == list(range(1, TASKS + 1))


async def test_what_a_claimer_lets_go_is_had_by_the_next(stores: list[Postgres]) -> None:
    async def undone(_: Any) -> None:
        raise ValueError("the claimer changed its mind")

    with pytest.raises(ValueError, match="changed its mind"):
        await claim(stores[0], 10, undone)
    assert sorted(await claim(stores[1], 10)) == list(range(1, 11))


async def test_claims_come_in_queue_order(stores: list[Postgres]) -> None:
    assert await claim(stores[0], 20) == list(range(1, 21))
    assert await claim(stores[1], 20) == list(range(21, 41))


async def test_ids_taken_by_many_never_overlap(stores: list[Postgres]) -> None:
    sizes = [1 + number % 7 for number in range(200)]
    blocks = await asyncio.gather(
        *(store.take_ids("run", size) for store, size in zip(stores * 50, sizes, strict=True))
    )
    assert [len(block) for block in blocks] == sizes
    assert sorted(id_ for block in blocks for id_ in block) == list(range(1, sum(sizes) + 1))


async def test_ids_given_back_are_taken_again_only_if_nobody_took_any_since(stores: list[Postgres]) -> None:
    first, second = await stores[0].take_ids("run", 10), await stores[1].take_ids("run", 10)
    await stores[0].give_back_ids("run", first[5:])
    assert await stores[2].take_ids("run", 1) == range(21, 22)
    await stores[1].give_back_ids("run", second[5:])
    assert await stores[2].take_ids("run", 1) == range(22, 23)
    await stores[2].give_back_ids("run", range(22, 23))
    assert await stores[0].take_ids("run", 1) == range(22, 23)


_OPEN = """
import asyncio, sys
from stoker.storage.postgres.store import Postgres
async def main():
    store = Postgres(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    await store.open()
    print((await store.take_ids("run", 1)).start)
    await store.close()
asyncio.run(main())
"""


def test_processes_that_migrate_a_fresh_database_at_once_all_succeed(cluster: Cluster, database: str) -> None:
    command = [sys.executable, "-c", _OPEN, database]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=60) for process in started]
    assert sorted(int(told) for told, _ in ended) == [1, 2, 3, 4], ended
    number = cluster.psql("SELECT number FROM stoker_schema", database=name_of(database))
    assert number == str(queries.newest("postgres"))
