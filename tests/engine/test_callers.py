"""Callers whose leases are their own: how much one that is alone is given, and what a lost answer leaves behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from engine.plant import NS, SECOND, Plant, completion, node, until
from stoker.core.graph import Defaults
from stoker.core.own_claim import OwnClaim, OwnTask
from stoker.core.protocol import Held, Release
from stoker.engine.ports import CommitUnknown
from stoker.engine.transaction import Ask
from stoker.errors import Unavailable


async def claim(plant: Plant, want: int = 2, **more: Any) -> list[OwnTask]:
    given: dict[str, Any] = {"name": "sdk", "kinds": ("one",), "lease_s": 900, "stretch": 4, **more}
    return await plant.engine.own.claim(NS, OwnClaim(want=want, **given))


async def backlog(plant: Plant, runs: int = 30, **more: Any) -> None:
    await plant.push(node("a"), **more)
    for _ in range(runs):
        await plant.trigger()


async def waiting(plant: Plant, claims: int) -> None:
    await until(lambda: len(plant.engine.own._callers._waiting) == claims)
    await plant.settled()


async def test_one_that_is_alone_is_given_more_than_it_wants_less_what_it_holds(plant: Plant) -> None:
    await backlog(plant)
    assert [len(await claim(plant)) for _ in range(4)] == [8, 2, 2, 2]


async def test_two_that_ask_for_one_kind_are_given_what_they_want_until_one_was_not_seen_for_a_minute(
    plant: Plant,
) -> None:
    await backlog(plant)
    assert len(await claim(plant, caller="here", kinds=("one", "many"))) == 8
    assert len(await claim(plant, caller="there")) == 2
    plant.clock.advance(30)
    assert len(await claim(plant, caller="here", kinds=("one", "many"))) == 2
    plant.clock.advance(61)
    assert len(await claim(plant, caller="there")) == 6, "it is alone again, and holds two"


async def test_for_how_long_nobody_else_may_have_been_seen_is_told_with_the_claim(plant: Plant) -> None:
    await backlog(plant)
    await claim(plant, caller="there")
    plant.clock.advance(30)
    assert len(await claim(plant, caller="here")) == 2
    assert len(await claim(plant, caller="here", alone_for_s=25)) == 6, "it holds two"


async def test_one_that_hung_up_while_it_waited_is_nobody(plant: Plant) -> None:
    await plant.push(node("a"))
    call = asyncio.create_task(claim(plant, caller="there", wait_s=30))
    await waiting(plant, 1)
    call.cancel()
    await waiting(plant, 0)
    plant.clock.advance(25)  # where servers share a database, its row tells of it for so long
    await plant.engine.runs.trigger(NS, [plant.request({})] * 12)
    assert len(await claim(plant, caller="here")) == 8


async def test_a_backlog_larger_than_a_transaction_hands_out_is_given_in_one_answer(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.engine.runs.trigger(NS, [plant.request({})] * 600)
    tasks = await claim(plant, 5, stretch=120)
    assert len({each.task.id for each in tasks}) == len(tasks) == 600
    assert await claim(plant, 5, stretch=120) == []


async def test_one_that_hangs_up_while_it_is_given_more_leaves_nothing_leased(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    await plant.push(node("a"))
    await plant.engine.runs.trigger(NS, [plant.request({})] * 300)
    given: list[int] = []
    answer = plant.engine.own._answer

    async def hanging(*asked: Any) -> list[OwnTask]:
        if given:
            raise asyncio.CancelledError
        tasks = await answer(*asked)
        given.append(len(tasks))
        return tasks

    monkeypatch.setattr(plant.engine.own, "_answer", hanging)
    with pytest.raises(asyncio.CancelledError):
        await claim(plant, 5, stretch=120)
    monkeypatch.undo()
    await plant.settled()
    assert given == [256]
    assert await plant.sql("SELECT count(*) FROM task WHERE state = 2") == [(0,)]


async def test_those_that_ask_for_other_kinds_are_nobody(plant: Plant) -> None:
    await backlog(plant)
    await claim(plant, caller="other", kinds=("many",))
    assert len(await claim(plant)) == 8


async def test_a_native_runner_of_the_kind_is_somebody(plant: Plant) -> None:
    await backlog(plant)
    await plant.hand().claim(1)
    assert len(await claim(plant)) == 2


async def test_one_that_asks_twice_at_once_is_two(plant: Plant) -> None:
    await plant.push(node("a"))
    calls = [asyncio.create_task(claim(plant, wait_s=30)) for _ in range(2)]
    await waiting(plant, 2)
    for _ in range(12):
        await plant.trigger()
    assert sorted(len(tasks) for tasks in await asyncio.gather(*calls)) == [1, 1]
    assert len(await claim(plant)) == 2


async def test_a_claim_that_waits_alone_is_held_to_its_want_when_another_comes(plant: Plant) -> None:
    await plant.push(node("a"))
    calls = [asyncio.create_task(claim(plant, wait_s=30, caller="here"))]
    await waiting(plant, 1)
    calls.append(asyncio.create_task(claim(plant, wait_s=30, caller="there")))
    await waiting(plant, 2)
    requests = [plant.request({})] * 12
    await plant.engine.runs.trigger(NS, requests)
    assert [len(tasks) for tasks in await asyncio.gather(*calls)] == [2, 2]


async def test_first_calls_at_once_make_one_session_and_find_its_lanes(plant: Plant) -> None:
    await backlog(plant, 5)
    given = await asyncio.gather(*(claim(plant, 1, stretch=1) for _ in range(5)))
    assert [len(tasks) for tasks in given] == [1] * 5
    assert await plant.sql("SELECT COUNT(*) FROM session") == [(1,)]


# --- answers that are lost ---


def breaking(plant: Plant, verb: str, error: Exception, *, done: bool) -> list[str]:
    """Have the next transaction with such a verb go wrong, before it was carried out or after."""
    broken: list[str] = []

    async def transact(real: Callable[[Any], Awaitable[Any]], work: Any) -> Any:
        commands = getattr(work, "args", ((),))[0]
        if broken or not any(type(each).__name__ == verb for each in commands):
            return await real(work)
        if done:
            await real(work)
        broken.append(verb)
        raise error

    plant.seam(transact)
    return broken


async def test_what_a_commit_of_unknown_outcome_has_leased_is_given_back(plant: Plant) -> None:
    await backlog(plant, 1)
    broken = breaking(plant, Ask.__name__, CommitUnknown("the line went dead"), done=True)
    assert await claim(plant) == []
    await plant.settled()
    assert broken
    (task,) = await plant.tasks(1)
    assert (task.state, task.losses, task.attempt) == ("READY", 0, 1)


async def test_what_could_not_be_given_back_is_with_the_next_claim_of_anybody(plant: Plant) -> None:
    await backlog(plant, 1)
    (task,) = await claim(plant)
    broken = breaking(plant, "Handback", Unavailable("the database is away", code="away"), done=False)
    await plant.engine.own.release(NS, [(task.task.id, 1)])
    await plant.settled()
    assert broken
    assert await plant.states(1) == ["LEASED"]
    await claim(plant, caller="another", kinds=("many",))
    await plant.settled()
    assert await plant.states(1) == ["READY"]


# --- leases of both sorts ---


@pytest.mark.parametrize("seed", range(3))
async def test_own_leases_end_when_they_say_beside_leases_that_beat(plant: Plant, seed: int) -> None:
    """Whatever is done in whatever order: none ends early, none outlives a look, none is taken for the other."""
    dice = random.Random(seed)
    await backlog(plant, 8, defaults=Defaults(max_losses=1_000))
    own, hand = plant.engine.own, plant.hand()
    held: dict[tuple[int, int], int] = {}
    ended = 0
    for _ in range(60):
        (pick,) = dice.choices(
            ("claim", "native", "complete", "done", "extend", "release", "time"), (4, 3, 1, 1, 2, 1, 6)
        )
        some = dice.choice(sorted(held)) if held else None
        if pick == "claim":
            for each in await claim(plant, dice.randint(1, 2), lease_s=dice.randint(1, 60), stretch=1):
                held[each.task.id, each.task.attempt] = each.until
        elif pick == "native":
            await hand.claim(1)
        elif pick == "done" and hand.held:
            assert (await hand.complete(dice.choice(list(hand.held.values())))).status == "accepted"
            await plant.trigger()
        elif pick == "complete" and some:
            assert (await own.report(NS, completion(Held(*some)))).accepted
            del held[some]
            await plant.trigger()
        elif pick == "extend" and some:
            lasts = dice.randint(1, 60)
            assert (await own.extend(NS, *some, lasts)).accepted
            held[some] = max(held[some], plant.clock.now() + lasts * SECOND)
        elif pick == "release" and some:
            assert (await own.report(NS, Release(task=some[0], attempt=some[1]))).accepted
            del held[some]
        elif pick == "time":
            await hand.beat()
            await plant.pass_time(dice.randint(1, 15))
            await hand.beat()
            over = [each for each, at in held.items() if at <= plant.clock.now()]
            for each in over:
                del held[each]
            ended += len(over)
            assert [each.reason for each in await own.standing(NS, over)] == ["superseded"] * len(over)
        assert [each.reason for each in await own.standing(NS, sorted(held))] == [""] * len(held)
        assert not hand.stops
    assert ended > 3
