"""While the storage is away reports wait; nothing that a runtime could die of is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from api.dialects.exosphere.conftest import Spoken
from engine.plant import node
from stoker.api.dialects.exosphere.work import patience
from stoker.errors import Unavailable


class Outage:
    """A storage that is away until it is back. `tried`: a transaction met it; `after`: it fails after the commit."""

    def __init__(self, spoken: Spoken, *, after: bool = False) -> None:
        self.tried = asyncio.Event()
        self.away = True
        self.after = after
        spoken.plant.seam(self._transact)

    async def _transact(self, real: Callable[..., Any], work: Any) -> Any:
        if not self.away:
            return await real(work)
        if self.after:
            await real(work)
        self.tried.set()
        raise Unavailable("the disk is away")


async def test_a_report_waits_until_the_storage_is_back_and_succeeds(spoken: Spoken) -> None:
    await spoken.plant.push(node("a"), node("b"), node("c"), node("d"))
    run = await spoken.plant.trigger()
    sdk = spoken.sdk()
    a, b, c, d = [state["state_id"] for state in await sdk.enqueue()]
    outage = Outage(spoken)
    said = asyncio.gather(sdk.executed(a), sdk.errored(b), sdk.prune(c), sdk.requeue(d, 5))
    await outage.tried.wait()
    outage.away = False
    assert [answer["status"] for answer in await said] == ["EXECUTED", "ERRORED", "PRUNED", "CREATED"]
    assert await spoken.plant.states(run) == ["SUCCEEDED", "FAILED", "PRUNED", "READY"]


async def test_a_report_whose_commit_was_not_heard_of_is_answered_as_accepted(spoken: Spoken) -> None:
    await spoken.plant.push(node("a"))
    run = await spoken.plant.trigger()
    sdk = spoken.sdk()
    state = (await sdk.take())["state_id"]
    outage = Outage(spoken, after=True)
    said = asyncio.create_task(sdk.executed(state, {"x": "1"}))
    await outage.tried.wait()
    outage.away = False
    assert await said == {"status": "EXECUTED"}
    assert await spoken.plant.states(run) == ["SUCCEEDED"]


async def test_a_storage_that_stays_away_is_told_as_json_after_a_minute(
    spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "HOLD_S", 0.1)
    await spoken.plant.push(node("a"))
    await spoken.plant.trigger()
    sdk = spoken.sdk()
    state = (await sdk.take())["state_id"]
    Outage(spoken)
    told = await sdk.ask("POST", f"state/{state}/prune", {"data": {}})
    assert told == (503, {"detail": "service unavailable"})


async def test_a_server_that_closes_holds_no_report(spoken: Spoken) -> None:
    await spoken.plant.push(node("a"))
    await spoken.plant.trigger()
    sdk = spoken.sdk()
    state = (await sdk.take())["state_id"]
    outage = Outage(spoken)
    said = asyncio.create_task(sdk.ask("POST", f"state/{state}/executed", {"outputs": [{}]}))
    await outage.tried.wait()
    spoken.app.closing.begin()
    assert await said == (503, {"detail": "service unavailable"})
