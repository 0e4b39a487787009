"""A commit of unknown outcome is repeated: what was done is recognised, the rest is done as it would have been."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from engine.plant import NS, Plant, node
from stoker.core.views import TriggerRequest
from stoker.engine.ports import CommitUnknown, GuardFailed


class Undone(Exception):
    """Raised at the end of a transaction, so that it is rolled back."""


async def test_a_retry_of_a_run_that_was_committed_unheard_is_answered_as_done(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim()
    await hand.fail(task)
    calls = 0

    async def unheard(real: Callable[..., Any], work: Any) -> Any:
        nonlocal calls
        calls += 1
        found = await real(work)
        if calls == 1:
            raise CommitUnknown("the line went dead")
        return found

    plant.seam(unheard)
    assert (await plant.engine.runs.retry(NS, run)).retried == 1
    assert calls == 2
    assert await plant.states(run) == ["READY"]


async def test_a_replayed_trigger_that_is_undone_half_way_keeps_its_ids(plant: Plant) -> None:
    """By them it knows its runs, should the first commit be seen only later."""
    await plant.push(node("a"))
    await plant.trigger()  # which reserves ids
    calls = 0

    async def broken(real: Callable[..., Any], work: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            return await lost(real, work)
        return await real(raced(work) if calls == 2 else work)

    async def lost(real: Callable[..., Any], work: Any) -> None:
        async def undone(tx: Any) -> None:
            await work(tx)
            raise Undone

        try:
            await real(undone)
        except Undone:
            raise CommitUnknown("the line went dead") from None

    def raced(work: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
        async def at_the_key(tx: Any) -> Any:
            real = tx.execute

            async def execute(query: str, *parameters: Any) -> Any:
                if query == "insert_run_key":
                    raise GuardFailed(query)
                return await real(query, *parameters)

            tx.execute = execute
            return await work(tx)

        return at_the_key

    plant.seam(broken)
    requests = [
        TriggerRequest(graph="sample", inputs={}, idempotency_key="k"),
        TriggerRequest(graph="sample", inputs={}),
    ]
    refs = await plant.engine.runs.trigger(NS, requests)
    assert calls == 3
    assert [ref.id for ref in refs] == [2, 3]
    assert await plant.sql("SELECT COUNT(*) FROM run") == [(3,)]
