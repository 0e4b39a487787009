"""Locks are taken in one order, so servers on one database never deadlock; if two do after all, nobody hears of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import pytest

import databases
from databases import Cluster, name_of
from engine.plant import Hand, ManualClock, Plant, after, completion, join, node, until
from stoker.core.graph import Ref
from stoker.engine.ports import GuardFailed, SessionPut
from stoker.storage.postgres import tx as statements
from stoker.storage.postgres.store import Postgres
from stoker.storage.postgres.tx import PostgresTx

SERVERS = 3
RUNS = 8
WIDTH = 24  # tasks of each run, all members of one join
MANY = 1_000  # rows locked by one statement
ROUNDS = 60  # until which a broken order must have met a deadlock
ORDERS = {
    "lock_runs": "ORDER BY id",
    "lock_gates": "ORDER BY g.id",
    "lock_tasks": "ORDER BY t.id",
    "put_session": "ORDER BY id",
}


@pytest.fixture(scope="module")
def quick() -> Iterator[Cluster]:
    """A cluster that looks for deadlocks soon."""
    with Cluster() as cluster:
        cluster.configure(deadlock_timeout="30ms")
        yield cluster


@pytest.fixture
async def plants(quick: Cluster, tmp_path: Path) -> AsyncIterator[list[Plant]]:
    """Several servers on one database."""
    url, clock = quick.create(), ManualClock()
    plants = [Plant(tmp_path / "data", database=url, clock=clock, seed=number) for number in range(SERVERS)]
    for plant in plants:
        await plant.start()
    await plants[0].push(
        node("split", kind="many"),
        node("half", after("split")),
        node("sum", join("half"), bind={"all": Ref(node="half", many=True)}),
        result=Ref(node="sum"),
    )
    yield plants
    for plant in plants:
        await plant.stop()


def disorder(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have a statement lock in another order on each connection."""
    order = ORDERS[name]
    assert order in statements.SQL[name]
    column = order.removeprefix("ORDER BY ")
    shuffled = f"ORDER BY md5(CAST({column} AS TEXT) || CAST(pg_backend_pid() AS TEXT))"
    monkeypatch.setitem(statements.SQL, name, statements.SQL[name].replace(order, shuffled))


def deadlocks(cluster: Cluster, url: str) -> int:
    """How many there were. A backend tells it at the latest when it ends."""
    name = name_of(url)
    cluster.psql(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'")
    return int(cluster.psql(f"SELECT deadlocks FROM pg_stat_database WHERE datname = '{name}'"))


# --- many servers, many tasks, few runs ---


async def test_servers_that_settle_tasks_of_the_same_runs_never_deadlock(quick: Cluster, plants: list[Plant]) -> None:
    dice = Random(1)
    for _ in range(3):
        await settle_at_once(await wide_runs(plants), dice)
        await finish(plants)
    assert deadlocks(quick, str(plants[0].database)) == 0


async def test_without_the_order_they_do_and_still_nobody_hears_of_it(
    quick: Cluster, plants: list[Plant], monkeypatch: pytest.MonkeyPatch
) -> None:
    """This shows that the test above can fail."""
    disorder(monkeypatch, "lock_runs")
    dice = Random(2)
    for _ in range(ROUNDS):
        await settle_at_once(await wide_runs(plants), dice)
        await finish(plants)
        if deadlocks(quick, str(plants[0].database)):
            return
    raise AssertionError(f"no deadlock in {ROUNDS} rounds")


async def wide_runs(plants: list[Plant]) -> list[Hand]:
    """Runs whose tasks are leased through all servers: each hand holds some of every run."""
    hands = [plant.hand() for plant in plants]
    for hand in hands:
        hand.closed = True  # its row is not looked at
    for _ in range(RUNS):
        await plants[0].trigger()
    for task in await hands[0].claim(RUNS):
        await hands[0].complete(task, items=list(range(WIDTH)))
    plants[0].clock.advance(31)  # longer than a server believes that a lane is empty
    wanted, turns = RUNS * WIDTH, itertools.cycle(hands)
    while wanted:
        wanted -= len(await next(turns).claim(min(4, wanted)))
    assert all(len({task.run for task in hand.held.values()}) == RUNS for hand in hands)
    return hands


async def settle_at_once(hands: list[Hand], dice: Random) -> None:
    """Report everything held, through all servers at once, each batch on many runs in an order of its own."""

    async def work(hand: Hand) -> None:
        tasks = list(hand.held.values())
        dice.shuffle(tasks)
        while tasks:
            batch, tasks = tasks[:RUNS], tasks[RUNS:]
            receipts = await hand.report(*(completion(task) for task in batch))
            assert [receipt.status for receipt in receipts] == ["accepted"] * len(batch)

    await asyncio.gather(*(work(hand) for hand in hands))


async def finish(plants: list[Plant]) -> None:
    """Every join has fired once, with all its members."""
    hand = plants[0].hand()
    hand.closed = True
    plants[0].clock.advance(31)
    tasks = await hand.claim(2 * RUNS)
    assert [task.node for task in tasks] == ["sum"] * RUNS
    await hand.report(*(completion(task) for task in tasks))
    assert await plants[0].sql("SELECT DISTINCT state FROM run") == [(2,)]
    assert await plants[0].sql("SELECT DISTINCT open, arrived FROM join_row") == [(0, WIDTH)]


# --- each locking statement by itself ---


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("ordered", [True, False])
async def test_only_its_order_keeps_a_locking_statement_from_deadlocks(
    quick: Cluster, monkeypatch: pytest.MonkeyPatch, name: str, *, ordered: bool
) -> None:
    url = quick.create()
    store = Postgres(url)
    await store.open()
    quick.psql(*_ROWS, database=name_of(url))
    if not ordered:
        disorder(monkeypatch, name)
    met = 0
    for _ in range(5 if ordered else ROUNDS):
        done = await asyncio.gather(*(store.transact(_locking(name)) for _ in range(4)), return_exceptions=True)
        assert all(each is None or isinstance(each, GuardFailed) for each in done), done
        met += sum(each is not None for each in done)
        if met:
            break
    assert bool(met) is not ordered
    await store.close()
    assert bool(deadlocks(quick, url)) is not ordered
    quick.drop(url)


def _locking(name: str) -> Callable[[Any], Any]:
    ids = list(range(1, MANY + 1))

    async def lock(tx: Any) -> None:
        match name:
            case "lock_runs":
                await tx.lock(ids, [])
            case "put_session":
                await tx.put_sessions([SessionPut(id_, 2, None) for id_ in ids])
            case _:
                await tx.all(name, ids)

    return lock


_ROWS = (
    f"INSERT INTO gate SELECT n, 1, CAST(n AS TEXT), 1, NULL, NULL, 0 FROM generate_series(1, {MANY}) AS n",
    f"INSERT INTO run SELECT n, 1, 1, 1, 0, 0, 0, 1, 1, 0, 0, NULL, NULL FROM generate_series(1, {MANY}) AS n",
    (
        "INSERT INTO task SELECT n, n, 0, '', 0, 1, 0, 0, 0, 0, 1, 0, NULL, NULL, NULL, NULL, 0, NULL, 0, 0, '', 0,"
        f" NULL, NULL FROM generate_series(1, {MANY}) AS n"
    ),
    (
        "INSERT INTO session SELECT n, 1, CAST(CAST(n AS TEXT) AS BYTEA), '', 0, 1, NULL"
        f" FROM generate_series(1, {MANY}) AS n"
    ),
)


# --- one deadlock, arranged ---


async def test_a_batch_that_is_the_victim_of_a_deadlock_is_decided_anew(
    quick: Cluster, plants: list[Plant], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody holds the task and waits for the run, while the batch holds the run and asks for the task."""
    run = await plants[0].trigger()
    hand = plants[0].hand()
    (task,) = await hand.claim()
    other = await asyncpg.connect(plants[0].database)
    await other.execute("SET deadlock_timeout = '10min'")
    blocked = asyncio.Event()
    tries = []
    real = PostgresTx.all

    async def paused(self: PostgresTx, name: str, *parameters: Any) -> list[Any]:
        if name == "lock_tasks":
            tries.append(1)
            await blocked.wait()
        return await real(self, name, *parameters)

    monkeypatch.setattr(PostgresTx, "all", paused)
    begun = other.transaction()
    await begun.start()
    await other.execute("SELECT 1 FROM task WHERE id = $1 FOR UPDATE", task.task)
    reporting = asyncio.create_task(hand.report(completion(task, items=[1, 2])))
    await until(lambda: bool(tries))
    waiting = asyncio.create_task(other.execute("SELECT 1 FROM run WHERE id = $1 FOR UPDATE", run))
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    await asyncio.to_thread(databases.until, lambda: quick.psql(waits) == "1", "the other transaction to wait")
    blocked.set()
    await waiting
    await begun.rollback()
    await other.close()
    assert [receipt.status for receipt in await reporting] == ["accepted"]
    assert len(tries) == 2
    assert deadlocks(quick, str(plants[0].database)) == 1
