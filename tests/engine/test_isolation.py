"""What belongs to one namespace cannot be reached by way of another, not even with the right secret."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec
import pytest

from engine.plant import NS, Plant, node
from stoker.core.protocol import ClaimRequest, Release, ReportRequest
from stoker.errors import Forbidden, NotFound

OTHER = "other"


async def test_hints_of_a_foreign_run_are_not_told(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.engine.catalog.put_kinds(OTHER, [])
    run, hand = await plant.trigger(), plant.hand()
    heard = []

    async def listen() -> None:
        with suppress(NotFound):
            async for hint in await plant.engine.events.subscribe(OTHER, run):
                heard.append(hint)

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0.05)
    (task,) = await hand.claim()
    await hand.complete(task)
    await asyncio.sleep(0.05)
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening
    assert heard == []


async def test_a_claim_in_a_foreign_namespace_changes_nothing_about_a_session(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.engine.catalog.put_kinds(OTHER, [])
    hand = plant.hand()
    await hand.claim()
    ours = await plant.sql("SELECT info FROM session")
    info = msgspec.structs.replace(hand.info, kinds=[])
    request = ClaimRequest(session=hand.secret, runner=info, want=1)
    with pytest.raises(Forbidden):
        await plant.engine.leases.claim(OTHER, request, frozenset())
    assert await plant.sql("SELECT info FROM session") == ours
    await plant.trigger()
    assert [task.node for task in await hand.claim()] == ["a"]


async def test_a_session_is_reached_only_through_its_own_namespace(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.engine.catalog.put_kinds(OTHER, [])
    run, hand = await plant.trigger(), plant.hand()
    (task,) = await hand.claim()
    with pytest.raises(NotFound):
        await plant.engine.leases.input(OTHER, hand.secret, task.task, task.attempt)
    await plant.engine.leases.leave(OTHER, hand.secret)
    assert await plant.states(run) == ["LEASED"]
    await plant.engine.leases.leave(NS, hand.secret)
    assert await plant.states(run) == ["READY"]


async def test_a_foreign_task_is_told_apart_from_none_by_no_report(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.engine.catalog.put_kinds(OTHER, [])
    await plant.trigger()
    (task,) = await plant.hand().claim()
    stranger = plant.hand("stranger")
    request = ClaimRequest(session=stranger.secret, runner=stranger.info, want=0)
    await plant.engine.leases.claim(OTHER, request, frozenset())
    reports = [Release(task=id_, attempt=1) for id_ in (task.task, 2**40)]
    answer = await plant.engine.leases.report(OTHER, ReportRequest(session=stranger.secret, reports=reports))
    assert answer.receipts[0] == answer.receipts[1]
    assert answer.receipts[0].status == "refused"
    assert (await plant.task(task.task)).state == "LEASED"


async def test_a_token_claims_only_the_kinds_that_it_lists(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    hand = plant.hand()
    request = ClaimRequest(session=hand.secret, runner=hand.info, want=1)
    with pytest.raises(Forbidden, match="may not claim one"):
        await plant.engine.leases.claim(NS, request, frozenset({"many"}))
    assert await plant.sql("SELECT COUNT(*) FROM session") == [(0,)]
