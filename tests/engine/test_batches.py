"""Group commit: one transaction for what comes together, and the culprit alone gets the error."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.plant import NS, Plant, after, completion, node
from stoker.core.graph import Element
from stoker.engine import ids
from stoker.engine.ports import GuardFailed
from stoker.engine.transaction import Batch, Verb
from stoker.errors import Conflict, Unavailable


class Broken(Verb):
    """A command that breaks the transaction it is in."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def decide(self, tx: Any, batch: Batch) -> None:
        raise self.error


class Refused(Verb):
    async def decide(self, tx: Any, batch: Batch) -> None:
        raise Conflict("no")


async def test_what_arrives_during_a_commit_is_one_transaction(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    with plant.counting() as transactions:
        runs = await asyncio.gather(*(plant.trigger() for _ in range(50)))
    assert transactions() <= 2  # one trigger starts the first, the others gather behind it
    assert sorted(runs) == list(range(2, 52))


@pytest.mark.parametrize("error", [ValueError("a bug"), GuardFailed("update_task")])
async def test_one_broken_command_of_fifty_gets_its_error_alone(plant: Plant, error: Exception) -> None:
    await plant.push(node("a"))
    commands = [plant.trigger() for _ in range(49)]
    broken = plant.engine.batches.submit(Broken(error))
    answers = await asyncio.gather(*commands[:25], broken, *commands[25:], return_exceptions=True)
    culprit = answers.pop(25)
    assert isinstance(culprit, Unavailable if isinstance(error, GuardFailed) else ValueError)
    assert len({answer for answer in answers if isinstance(answer, int)}) == 49
    assert await plant.sql("SELECT COUNT(*) FROM run") == [(49,)]
    assert await plant.sql("SELECT COUNT(DISTINCT id) FROM task") == [(49,)]


async def test_a_refusal_does_not_undo_its_neighbours(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    with plant.counting() as transactions:
        refused = plant.engine.batches.submit(Refused())
        answers = await asyncio.gather(plant.trigger(), refused, plant.trigger(), return_exceptions=True)
    assert isinstance(answers[1], Conflict)
    assert transactions() <= 2
    assert await plant.sql("SELECT COUNT(*) FROM run") == [(3,)]


async def test_unavailable_fails_the_whole_batch_and_nothing_is_acknowledged(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    broken = plant.engine.batches.submit(Broken(Unavailable("the disk is full")))
    answers = await asyncio.gather(broken, *(plant.trigger() for _ in range(5)), return_exceptions=True)
    lost = [answer for answer in answers if isinstance(answer, Unavailable)]
    kept = [answer for answer in answers if isinstance(answer, int)]
    assert len(lost) + len(kept) == 6
    assert await plant.sql("SELECT COUNT(*) FROM run") == [(1 + len(kept),)]


async def test_a_transaction_that_runs_out_of_ids_is_decided_again(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ids, "FIRST_BLOCK", 2)
    await plant.push(node("a"), node("b", after("a", ()), bind={"x": Element(of="a")}))
    runs = await asyncio.gather(*(plant.trigger() for _ in range(5)))
    hand = plant.hand()
    await hand.report(*(completion(task, list(range(20))) for task in await hand.claim(5)))
    found = [task for (task,) in await plant.sql("SELECT id FROM task ORDER BY id")]
    assert found == list(range(1, 5 + 5 * 20 + 1))
    assert sorted(runs) == [1, 2, 3, 4, 5]


async def test_ids_go_on_without_a_gap_after_a_clean_restart(plant: Plant) -> None:
    await plant.push(node("a"))
    first = await plant.trigger()
    await plant.hand().claim(1)
    await plant.restart()
    assert await plant.trigger() == first + 1
    assert await plant.sql("SELECT id FROM task ORDER BY id") == [(1,), (2,)]
    await plant.hand("other").claim(1)
    assert await plant.sql("SELECT id FROM session ORDER BY id") == [(1,), (2,)]


async def test_ids_are_never_given_twice_after_a_crash(plant: Plant) -> None:
    await plant.push(node("a"))
    runs = [await plant.trigger()]
    for _ in range(3):
        await plant.crash()
        runs.append(await plant.trigger())
    assert len(set(runs)) == 4


async def test_a_retry_of_a_batch_gives_back_no_id_that_is_in_use(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions and artifacts draw their ids beside the batches."""
    await plant.push(node("a"))
    hands = [plant.hand(str(number)) for number in range(20)]
    monkeypatch.setattr(ids, "FIRST_BLOCK", 2)
    await asyncio.gather(*(plant.trigger() for _ in range(20)), *(hand.claim(0) for hand in hands))
    assert await plant.sql("SELECT COUNT(DISTINCT id) FROM session") == [(20,)]


async def test_closing_waits_for_what_was_submitted(plant: Plant) -> None:
    await plant.push(node("a"))
    calls = [asyncio.create_task(plant.trigger()) for _ in range(20)]
    await asyncio.sleep(0)
    await plant.stop()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    await plant.start()
    done = [answer for answer in answers if isinstance(answer, int)]
    assert all(isinstance(answer, int | Unavailable) for answer in answers)
    assert await plant.sql("SELECT COUNT(*) FROM run") == [(len(done),)]


async def test_a_stopped_engine_says_that_it_is_unavailable(plant: Plant) -> None:
    await plant.push(node("a"))
    hand = plant.hand()
    stream = hand.waiting()
    await hand.armed()
    engine = plant.engine
    await plant.stop()
    await asyncio.gather(stream, return_exceptions=True)
    assert isinstance(stream.exception() or Unavailable("ended"), Unavailable)
    for call in (plant.trigger(), hand.beat(), engine.views.run(NS, 1), engine.ready()):
        with pytest.raises(Unavailable):
            await call
    await plant.start()
