"""What a no-op task may cost: counted, not timed."""

from __future__ import annotations

import asyncio
from typing import Any

from engine.plant import Plant, after, completion, node

TASKS = 200
FIXED = 8  # statements a batch may take, besides BEGIN and COMMIT


class Meter:
    """Counts what the writer does."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self._rows = 0
        self.reset()

    def reset(self) -> None:
        self._statements, self._transactions = self.plant.engine.store.statements, self.plant.transactions

    @property
    def statements(self) -> int:
        return self.plant.engine.store.statements - self._statements

    @property
    def transactions(self) -> int:
        return self.plant.transactions - self._transactions

    async def rows(self) -> int:
        """How many rows were written since this was asked last."""
        now = await self._changes()
        before, self._rows = self._rows, now
        return now - before

    async def _changes(self) -> int:
        store: Any = self.plant.engine.store
        if not store.shared:
            return int(store._connection.total_changes())
        for holder in store._pool._lender._holders:  # every connection tells what it did before we look
            if holder._con is not None and not holder._con.is_closed():
                await holder._con.fetchval("SELECT pg_stat_force_next_flush()")
        return int((await self.plant.sql(f"SELECT SUM({_WRITTEN}) FROM pg_stat_user_tables"))[0][0])


_WRITTEN = "n_tup_ins + n_tup_upd + n_tup_del"


async def prepared(plant: Plant, *nodes: Any) -> tuple[Meter, Any]:
    await plant.push(*nodes)
    hand = plant.hand(capacity=10_000)
    await asyncio.gather(*(plant.trigger() for _ in range(TASKS)))
    held = await hand.claim(1)
    assert held
    return Meter(plant), hand


async def test_a_claim_and_a_report_write_few_rows_a_task(plant: Plant) -> None:
    """A run of one task: the run, the task, the lease, the end of both, the item."""
    await plant.push(node("a"))
    await plant.trigger()
    hand = plant.hand(capacity=10_000)
    await hand.report(*(completion(task) for task in await hand.claim(10)))
    meter = Meter(plant)
    await meter.rows()
    await asyncio.gather(*(plant.trigger() for _ in range(TASKS)))
    await hand.report(*[completion(task) for task in await hand.claim(TASKS)])
    assert await plant.sql("SELECT COUNT(*) FROM task WHERE state = 3") == [(TASKS + 1,)]
    assert meter.statements <= FIXED * meter.transactions
    assert 5 * TASKS <= await meter.rows() <= 6 * TASKS + 5


async def test_the_success_path_leaves_no_other_rows(plant: Plant) -> None:
    await plant.push(node("a"), node("b", after("a")))
    hand = plant.hand(capacity=10_000)
    await asyncio.gather(*(plant.trigger() for _ in range(20)))
    while tasks := await hand.claim(100):
        await hand.report(*(completion(task) for task in tasks))
    for table in (
        "attempt",
        "node_count",
        "log",
        "progress",
        "join_row",
        "run_input",
        "run_key",
        "run_store",
        "run_tag",
    ):
        assert await plant.sql(f"SELECT COUNT(*) FROM {table}") == [(0,)], table


async def test_a_report_with_the_next_work_is_one_transaction_of_few_statements(plant: Plant) -> None:
    meter, hand = await prepared(plant, node("a"))
    for _ in range(10):
        meter.reset()
        (held,) = hand.held.values()
        answer = await hand.exchange(completion(held), want=1)
        assert len(answer.tasks) == 1
        assert meter.transactions == 1
        assert meter.statements <= 2 * FIXED - 2, meter.statements


async def test_a_batch_costs_as_many_statements_as_one_report(plant: Plant) -> None:
    meter, hand = await prepared(plant, node("a"))
    await hand.claim(100)
    meter.reset()
    await hand.report(*[completion(task) for task in list(hand.held.values())[:1]])
    one = meter.statements
    meter.reset()
    await hand.report(*[completion(task) for task in hand.held.values()])
    assert meter.statements <= one
