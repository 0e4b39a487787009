"""Every transaction of a whole run fails once: before its commit, or after it, when nobody is told.

The callers then do what a real client and a real runner do: they ask again. Nothing may be lost, nothing doubled.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from engine.plant import NS, Hand, Plant, after, completion, failure, join, node
from stoker.core.graph import Element, Ref, Retry
from stoker.core.protocol import Assignment, ReportRequest
from stoker.core.views import TriggerRequest
from stoker.errors import Unavailable

T = TypeVar("T")
MOST = 200  # calls; a scenario that takes more never ends


class Seam:
    """Raises at the n-th transaction, on this or that side of its commit."""

    def __init__(self, fails_at: int, side: str) -> None:
        self.left = fails_at
        self.side = side
        self.hit = False

    async def __call__(self, real: Callable[[Any], Awaitable[Any]], work: Any) -> Any:
        self.left -= 1
        if self.left != 0:
            return await real(work)
        self.hit = True
        if self.side == "after":
            await real(work)
        raise Unavailable("the connection broke")


async def insisting(call: Callable[[], Awaitable[T]]) -> T:
    for _ in range(5):
        try:
            return await call()
        except Unavailable:
            continue
    raise AssertionError("never available again")


class Worker:
    """A runner with one call in flight at a time. What was not answered is said again."""

    def __init__(self, hand: Hand) -> None:
        self.hand = hand
        self.failed_once: set[int] = set()

    async def work(self) -> bool:
        """Claim some, do them, report; False if there was nothing."""
        tasks = await insisting(lambda: self.hand.claim(3, alone=True))
        reports = [self._do(task) for task in tasks]
        if not reports:
            return False
        request = {"want": 0, "alone": True}
        receipts = await insisting(lambda: self.hand.report(*reports, **request))
        assert [receipt.status for receipt in receipts] == ["accepted"] * len(reports)
        return True

    def _do(self, task: Assignment) -> Any:
        given = json.loads(bytes(task.input))
        match task.node:
            case "split":
                return completion(task, [1, 2, 3])
            case "half" if given["n"] == 2 and task.task not in self.failed_once:
                self.failed_once.add(task.task)
                return failure(task)
            case "half":
                return completion(task, given["n"] * 10)
        return completion(task, sum(given["all"]))


NODES = (
    node("split"),
    node("half", after("split", ()), bind={"n": Element(of="split")}, retry=Retry(attempts=2, base=0)),
    node("sum", join("half"), bind={"all": Ref(node="half", many=True)}),
)


async def scenario(plant: Plant, seam: Seam) -> None:
    await plant.push(*NODES, result=Ref(node="sum"))
    plant.seam(seam)
    worker = Worker(plant.hand())
    request = TriggerRequest(graph="sample", inputs={}, idempotency_key="once")
    (ref,) = await insisting(lambda: plant.engine.runs.trigger(NS, [request]))
    for _ in range(MOST):
        if not await worker.work():
            await insisting(plant.tick)
            if (await plant.run(ref.id)).state != "RUNNING":
                break
            plant.clock.advance(1)
    assert (await plant.run(ref.id)).state == "SUCCEEDED"
    assert await plant.result(ref.id) == 60
    assert await plant.sql("SELECT COUNT(*) FROM run") == [(1,)]
    assert await plant.sql("SELECT state, COUNT(*) FROM task GROUP BY state") == [(3, 5)]
    assert await plant.sql("SELECT COUNT(*) FROM item") == [(5,)]
    assert await plant.sql("SELECT open, members, arrived, empty, failed FROM join_row") == [(0, 4, 3, 0, 0)]
    assert await plant.sql("SELECT created, succeeded FROM node_count") == [(3, 3)]
    assert await plant.sql("SELECT outcome, COUNT(*) FROM attempt GROUP BY outcome") == [("failed", 1)]


async def length(folder: Path) -> int:
    """How many transactions the scenario takes when nothing fails."""
    plant = await Plant(folder).start()
    await scenario(plant, seam := Seam(10_000, "before"))
    taken = 10_000 - seam.left
    await plant.stop()
    return taken


@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_transaction_that_fails_anywhere_loses_and_doubles_nothing(tmp_path: Path, side: str) -> None:
    transactions = await length(tmp_path / "whole")
    assert transactions > 8
    for number in range(1, transactions + 1):
        plant = await Plant(tmp_path / f"{side}{number}").start()
        try:
            await scenario(plant, seam := Seam(number, side))
            assert seam.hit
        except Exception as error:
            raise AssertionError(f"transaction {number} of {transactions} failed {side} its commit") from error
        finally:
            await plant.stop()


async def test_a_waiting_claim_whose_hand_off_was_committed_unheard_gets_the_task_at_last(plant: Plant) -> None:
    """The trigger's transaction leased the task to a waiter and then broke; the waiter asks anew, alone."""
    await plant.push(node("a"))
    await plant.trigger()
    hand = plant.hand()
    await hand.complete(*await hand.claim(5))
    waiting = hand.waiting(alone=True)
    await hand.armed()
    plant.seam(Seam(1, "after"))
    with pytest.raises(Unavailable):
        await plant.trigger()
    assert (await asyncio.wait_for(waiting, 5)).tasks == []
    assert len(await hand.claim(1, alone=True)) == 1


async def test_a_report_of_a_dead_server_is_accepted_again_by_the_next_one(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim(1)
    plant.seam(Seam(1, "after"))
    with pytest.raises(Unavailable):
        await hand.complete(task)
    await plant.crash()
    request = ReportRequest(session=hand.secret, reports=[completion(task)])
    answer = await plant.engine.leases.report(NS, request)
    assert [receipt.status for receipt in answer.receipts] == ["accepted"]
    assert (await plant.run(run)).state == "SUCCEEDED"
