"""How runtimes wait for states: held open, never swallowing work, and given more while they are alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from api.dialects.exosphere.conftest import Spoken, speaking
from engine.plant import NS, Plant, node, until
from stoker.core.views import TokenRequest


@pytest.fixture
async def patient(plant: Plant) -> AsyncIterator[Spoken]:
    """Served so that a runtime waits for a minute."""
    async with speaking(plant, enqueue_wait=60.0) as spoken:
        yield spoken


def waiting(spoken: Spoken) -> int:
    """How many calls wait for states."""
    return sum(map(len, spoken.plant.engine.dispatcher._by_session.values()))


async def leased(spoken: Spoken) -> int:
    ((count,),) = await spoken.plant.sql("SELECT count(*) FROM task WHERE session IS NOT NULL AND state = 2")
    return int(count)


async def test_a_waiting_runtime_is_answered_when_a_run_is_triggered(patient: Spoken) -> None:
    await patient.plant.push(node("a"))
    call = asyncio.create_task(patient.sdk().take())
    await until(lambda: waiting(patient) == 1)
    run = await patient.plant.trigger()
    assert (await call)["identifier"] == "a"
    assert await patient.plant.states(run) == ["LEASED"]


async def test_a_waiting_runtime_is_answered_when_a_delay_is_over(patient: Spoken) -> None:
    await patient.plant.push(node("a"))
    await patient.plant.trigger()
    sdk = patient.sdk()
    await sdk.requeue((await sdk.take())["state_id"], 5_000)
    call = asyncio.create_task(sdk.take())
    await until(lambda: waiting(patient) == 1)
    await patient.plant.pass_time(5)
    assert (await call)["identifier"] == "a"


async def test_a_runtime_that_hangs_up_while_it_waits_gets_no_state_leased(patient: Spoken) -> None:
    await patient.plant.push(node("a"))
    call = asyncio.create_task(patient.sdk().enqueue())
    await until(lambda: waiting(patient) == 1)
    call.cancel()
    await asyncio.wait([call])
    await until(lambda: waiting(patient) == 0)
    run = await patient.plant.trigger()
    await patient.plant.settled()
    (task,) = await patient.plant.tasks(run)
    assert (task.state, task.attempt) == ("READY", 0)


async def test_states_whose_answer_cannot_be_written_are_offered_again_at_once(
    patient: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    await patient.plant.push(node("a"))
    run = await patient.plant.trigger()
    monkeypatch.setattr("stoker.api.write.is_gone", lambda receive: True)
    with pytest.raises(aiohttp.ClientError):
        await asyncio.wait_for(patient.sdk().enqueue(), 5)
    monkeypatch.undo()
    await patient.plant.settled()
    assert await patient.plant.states(run) == ["READY"]
    assert (await patient.sdk().take())["identifier"] == "a"


async def test_a_server_that_closes_answers_waiting_runtimes_empty(plant: Plant) -> None:
    async with speaking(plant, enqueue_wait=60.0) as spoken:
        call = asyncio.create_task(spoken.sdk().enqueue())
        await until(lambda: waiting(spoken) == 1)
    assert await call == []


async def test_states_are_given_in_the_order_in_which_their_runs_were_triggered(spoken: Spoken) -> None:
    await spoken.plant.push(node("a"))
    runs = [await spoken.plant.trigger() for _ in range(10)]
    given = await spoken.sdk().enqueue(10)
    tasks = [(await spoken.plant.tasks(run))[0].id for run in runs]
    assert [int(state["state_id"].partition("-")[0]) for state in given] == tasks


async def test_a_runtime_that_is_alone_is_given_more_than_its_batch_less_what_it_holds(spoken: Spoken) -> None:
    await spoken.plant.push(node("a"))
    for _ in range(30):
        await spoken.plant.trigger()
    sdk = spoken.sdk(batch_size=4)
    assert [len(await sdk.enqueue()) for _ in range(3)] == [16, 4, 4]


async def test_two_runtimes_are_given_no_more_than_their_batches(spoken: Spoken) -> None:
    await spoken.plant.push(node("a"))
    first, second = spoken.sdk(batch_size=4), spoken.sdk(batch_size=5)
    await first.enqueue()
    await second.enqueue()
    for _ in range(30):
        await spoken.plant.trigger()
    assert [len(await sdk.enqueue()) for sdk in (first, second)] == [4, 5]
    await spoken.plant.pass_time(61)
    assert len(await first.enqueue()) > 4


async def test_a_token_is_held_to_its_scope_its_namespaces_and_its_kinds(spoken: Spoken) -> None:
    async def asked(path: str = "states/enqueue", **token: Any) -> tuple[int, Any]:
        made = await spoken.plant.engine.tokens.create(TokenRequest(name="t", **token))
        sdk = spoken.sdk("one")
        sdk.key = made.token or ""
        return await sdk.ask("POST", path, {"nodes": ["one"], "batch_size": 1, "outputs": [{}]})

    lacks = (403, {"detail": "API key lacks scope run"})
    for scope in ("read", "trigger", "author"):
        assert await asked(scopes=[scope]) == lacks
        assert await asked("state/1-1-0000000000000000/executed", scopes=[scope]) == lacks
    elsewhere = {"detail": f"API key has no access to namespace {NS}"}
    assert await asked(scopes=["run"], namespaces=["other"]) == (403, elsewhere)
    assert (await asked(scopes=["run"], kinds=["many"]))[0] == 403
    assert (await asked(scopes=["run"], kinds=["one"]))[0] == 200
    stranger = spoken.sdk()
    stranger.key = "nobody"
    assert await stranger.ask("POST", "states/enqueue", {}) == (401, {"detail": "Invalid API key"})
