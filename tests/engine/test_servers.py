"""Several servers on one database: each knows of the others by whispers alone, and does without them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.plant import NS, Hand, Plant, after, completion, elsewhere, node, until
from stoker.bootstrap.clock import SystemClock
from stoker.core.duration import SECOND
from stoker.core.protocol import Held
from stoker.engine import peers as peering
from stoker.errors import Unavailable


async def test_a_task_made_here_wakes_a_runner_that_waits_there(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    await here.push(node("a"))
    hand = there.hand()
    stream = hand.waiting()
    await hand.armed()
    run = await here.trigger()
    (task,) = (await asyncio.wait_for(stream, 10)).tasks
    assert task.run == run
    await hand.complete(task)
    assert (await asyncio.wait_for(here.engine.runs.wait(NS, run, 10), 11)).state == "SUCCEEDED"


async def test_an_end_there_wakes_who_waits_for_it_here(
    servers: tuple[Plant, Plant], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = servers
    monkeypatch.setattr("stoker.engine.runs.UNHEARD_S", 60.0)  # it is no look of its own that finds out
    await here.push(node("a"))
    run = await here.trigger()
    waiting = asyncio.create_task(here.engine.runs.wait(NS, run, 60))
    await until(lambda: run in here.engine.events._ends)
    hand = there.hand()
    (task,) = await hand.claim()
    await hand.complete(task)
    assert (await asyncio.wait_for(waiting, 30)).state == "SUCCEEDED"


async def test_a_cancel_here_reaches_a_runner_whose_claim_is_held_there(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    await here.push(node("a"))
    run = await here.trigger()
    hand = there.hand()
    await hand.claim()
    stream = hand.waiting()
    await hand.armed()
    await here.engine.runs.cancel(NS, run)
    (stop,) = (await asyncio.wait_for(stream, 10)).stop
    assert stop.reason == "cancelled"


async def test_a_graph_pushed_here_is_triggered_there_at_once_in_its_newest_version(
    servers: tuple[Plant, Plant],
) -> None:
    here, there = servers
    for version in range(1, 4):
        await here.push(*[node(f"n{number}") for number in range(version)])
        run = await there.trigger()
        assert (await there.run(run)).version == version


async def test_a_runner_that_waits_there_gets_tasks_of_a_kind_that_a_push_here_brought(
    servers: tuple[Plant, Plant],
) -> None:
    here, there = servers
    hand = there.hand()
    stream = hand.waiting()
    await until(lambda: hand.waiters == 1)
    await here.push(node("a"))
    await here.trigger()
    answer = await asyncio.wait_for(stream, 10)
    assert answer.tasks or await hand.claim()


async def test_without_whispers_the_slow_looks_find_everything(
    servers: tuple[Plant, Plant], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every hint is lost: runners get their tasks and callers their results all the same, a little later."""
    here, there = servers
    await here.push(node("a"))
    hand = there.hand()
    await hand.claim(0)

    async def mute(_: str) -> None:
        return None

    monkeypatch.setattr(here.engine.peers._hints, "say", mute)
    monkeypatch.setattr(there.engine.peers._hints, "say", mute)
    monkeypatch.setattr("stoker.engine.runs.UNHEARD_S", 0.05)
    await here.push(node("c", kind="many"))  # a lane that nobody told of
    stream = hand.waiting()
    await hand.armed()
    run = await here.trigger()
    there.clock.advance(10)
    await there.engine.peers.tick()
    (task,) = (await asyncio.wait_for(stream, 10)).tasks or await hand.claim()  # of the new lane it must ask anew
    waiting = asyncio.create_task(here.engine.runs.wait(NS, run, 60))
    await until(lambda: run in here.engine.events._ends)
    await hand.complete(task)
    assert (await asyncio.wait_for(waiting, 10)).state == "SUCCEEDED"


async def test_a_runner_may_claim_here_and_report_there(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    await here.push(node("a"), node("b", after("a")))
    run = await here.trigger()
    hand = here.hand()
    (first,) = await hand.claim()
    other = elsewhere(hand, there)
    answer = await other.exchange(completion(first), want=1)
    assert [receipt.status for receipt in answer.receipts] == ["accepted"]
    (second,) = answer.tasks
    assert (await hand.report(completion(second), held=[]))[0].status == "accepted"
    assert (await here.run(run)).state == "SUCCEEDED"
    assert (await other.report(completion(second), held=[]))[0].status == "accepted"  # a repeat, wherever it arrives


async def test_the_work_of_a_runner_and_its_server_that_died_together_is_offered_by_the_other_server(
    servers: tuple[Plant, Plant],
) -> None:
    here, there = servers
    await here.push(node("a"))
    await here.trigger()
    hand = here.hand()
    (lost,) = await hand.claim()
    here.clock.advance(1)
    await there.tick()
    await here.kill()
    other = there.hand("other")
    waited = 0.0
    while not (found := await other.claim()):
        here.clock.advance(1)
        waited += 1
        await there.tick()
        assert waited < 60
    assert found[0].task == lost.task
    assert waited + 1 <= 21 + 20  # a server that has just started is patient for one lease length
    await here.start()


async def test_a_lease_that_was_cut_short_there_is_not_promised_from_memory_here(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    await here.push(node("a"), node("b"))
    await here.trigger()
    hand = here.hand()
    await hand.claim(2)
    other = elsewhere(hand, there)
    await other.beat()
    await there.engine.leases.closed(hand.secret)
    assert await hand.until() == here.clock.now() + 5_000_000
    first, _ = hand.held.values()
    answer = await hand.exchange(completion(first), held=None)  # compares the promise with the row
    assert answer.lease_s > 5


async def test_a_claim_that_is_opened_anew_at_another_server_keeps_the_lease(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    await here.push(node("a"))
    await here.trigger()
    hand = here.hand()
    await hand.claim()
    other = elsewhere(hand, there)
    await other.beat()
    await here.engine.leases.closed(hand.secret)
    await other.ask(0)
    assert await hand.until() == here.clock.now() + 20_000_000


async def test_a_beat_there_keeps_what_a_server_here_was_about_to_take_back(servers: tuple[Plant, Plant]) -> None:
    """The row is written by another server between the look of a tick and its transaction."""
    here, there = servers
    await here.push(node("a"))
    await here.trigger()
    hand = here.hand()
    (task,) = await hand.claim()
    other = elsewhere(hand, there)
    await there.pass_time(0)
    here.clock.advance(20.5)
    beaten = False

    async def unlocked(real, work):  # type: ignore[no-untyped-def]
        nonlocal beaten
        if not beaten:
            beaten = True
            await there.engine.leases.report(NS, _beat_of(other))
        return await real(work)

    here.seam(unlocked)
    await here.engine.upkeep.reap()
    view = await here.task(task.task)
    assert (view.state, view.losses) == ("LEASED", 0)


def _beat_of(hand: Hand):  # type: ignore[no-untyped-def]
    from stoker.core.protocol import ReportRequest

    return ReportRequest(session=hand.secret, reports=[], want=0, read=hand.read, held=hand.listed)


async def test_runners_of_every_server_are_listed_and_explained_everywhere(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    await here.push(node("a"))
    hand = there.hand("far")
    stream = hand.waiting(0)
    await hand.armed()
    views = await here.engine.views.runners(NS)
    assert [(view.name, view.connected) for view in views] == [("far", True)]
    await here.engine.batches.close()
    run = await here.trigger()
    (task,) = await here.tasks(run)
    explained = await here.engine.views.explain_task(NS, task.id)
    assert "1 connected runner offers the kind 'one'" in explained.because[0]
    there.engine.dispatcher.end_all()
    await stream


async def test_messages_stay_below_what_the_database_takes() -> None:
    from stoker.engine.events import Ended

    many = range(2**53 - 1000, 2**53)
    news = peering.News(
        2**43,
        dict.fromkeys(many, 1000),
        [Ended(2**40, run, 3) for run in many],
        list(many),
        list(many),
        graphs=True,
    )
    parts = peering._parts(news)
    assert all(len(msgspec.json.encode(part)) < 7_900 for part in parts)
    assert {lane for part in parts for lane in part.lanes} == set(many)
    assert sum(len(part.ended) for part in parts) == sum(len(part.nudged) for part in parts) == len(many)
    assert [part.graphs for part in parts].count(True) == 1


async def test_a_server_that_ends_is_missed_at_once(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    await there.stop()
    async with asyncio.timeout(8):  # well before the next look that nobody asks for
        while not here.engine.peers.alone:
            await here.engine.peers.tick()
            await asyncio.sleep(0.01)
    await there.start()
    await until(lambda: here.engine.peers._beat_at == 0)
    await here.engine.peers.tick()
    assert not here.engine.peers.alone


async def test_held_leases_of_both_servers_stand_beside_each_other(servers: tuple[Plant, Plant]) -> None:
    """A runner that got tasks from both names them to either; nothing it holds is released."""
    here, there = servers
    await here.push(node("a"))
    for _ in range(2):
        await here.trigger()
    hand = here.hand()
    (first,) = await hand.claim()
    here.clock.advance(0.001)
    other = elsewhere(hand, there)
    (second,) = await other.claim()
    other.read = max(other.read, hand.read)
    await other.exchange(held=[Held(task=each.task, attempt=each.attempt) for each in (first, second)])
    assert {(await here.task(each.task)).state for each in (first, second)} == {"LEASED"}


async def test_the_newest_version_is_not_believed_from_before_another_server_came_and_went(
    servers: tuple[Plant, Plant],
) -> None:
    here, there = servers
    await here.push(node("a"))
    await there.push(node("a"), node("b"))
    await there.stop()
    await until(here.engine.peers.wake.is_set)
    await here.engine.peers.tick()
    assert here.engine.peers.alone
    assert (await here.run(await here.trigger())).version == 2
    await there.start()


async def test_lanes_that_could_not_be_looked_at_are_looked_at_again(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    await here.push(node("a"))
    hand = there.hand()
    await hand.claim(0)
    await there.engine.peers.tick()

    async def mute(_: str) -> None:
        return None

    here.engine.peers._hints.say = mute  # type: ignore[method-assign,union-attr]
    await here.push(node("c", kind="many"))
    real = there.engine.store.read

    async def away(_: Any) -> Any:
        there.engine.store.read = real  # type: ignore[method-assign]
        raise Unavailable("the database is away")

    there.engine.store.read = away  # type: ignore[method-assign]
    there.clock.advance(10)
    with pytest.raises(Unavailable):
        await there.engine.peers.tick()
    there.clock.advance(10)
    await there.engine.peers.tick()
    await here.trigger()
    assert len(await hand.claim()) == 1


async def test_a_session_that_another_server_ended_is_forgotten(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    hand = here.hand()
    await hand.claim(0)
    here.clock.advance(60)
    await there.tick()
    for _ in range(2):
        here.clock.advance(600)
        await here.engine.peers.tick()
    assert here.engine.sessions._known == {}


async def test_who_waited_for_the_database_takes_nothing_back_for_one_lease_length(
    servers: tuple[Plant, Plant],
) -> None:
    """Neither could a runner beat at another server."""
    here, there = servers
    await here.push(node("a"))
    await here.trigger()
    here.clock.advance(30)  # no server is fresh any more
    hand = here.hand()
    (task,) = await hand.claim()
    here.clock.advance(15)
    real = there.engine.store.peek

    async def late(work: Any) -> Any:
        there.engine.store.peek = real  # type: ignore[method-assign]
        here.clock.advance(6)
        return await real(work)

    there.engine.store.peek = late  # type: ignore[method-assign]
    await there.tick()
    assert (await there.task(task.task)).state == "LEASED"
    here.clock.advance(20)
    await there.tick()
    assert (await there.task(task.task)).state == "READY"


async def test_a_lane_that_was_told_of_during_a_claim_is_asked_once_more(servers: tuple[Plant, Plant]) -> None:
    """The claim looked before the task was there, and ends after the hint."""
    here, there = servers
    await here.push(node("a"))
    hand = there.hand()
    await hand.claim(0)
    real = there.engine.store.transact

    async def meanwhile(work: Any) -> Any:
        there.engine.store.transact = real  # type: ignore[method-assign]
        found = await real(work)
        await here.trigger()
        there.engine.peers._heard(msgspec.json.encode(peering.News(0, lanes=dict.fromkeys(hand_lanes(), 1))).decode())
        return found

    def hand_lanes() -> tuple[int, ...]:
        (session,) = there.engine.sessions._known.values()
        return session.lanes

    there.engine.store.transact = meanwhile  # type: ignore[method-assign]
    here.engine.peers._others = 0  # so that it says nothing itself
    assert len((await asyncio.wait_for(hand.waiting(), 10)).tasks) == 1


class Wrong(SystemClock):
    """A wall clock that is so many seconds ahead, until it is told the database's."""

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self._offset += seconds * SECOND


@pytest.mark.parametrize("seconds", [-3_600, 3_600])
async def test_a_fresh_server_whose_own_clock_is_wrong_is_patient_for_one_lease_length(
    database: str, tmp_path: Path, seconds: int
) -> None:
    plant = Plant(tmp_path / "data", database=database)
    plant.clock = Wrong(seconds)  # type: ignore[assignment]
    await plant.start()
    await plant.push(node("a"))
    await plant.trigger()
    hand = plant.hand()
    hand.closed = True  # this clock does not stand still while a promise is compared with its row
    (task,) = await hand.claim()
    await plant.kill()
    plant.clock = Wrong(seconds)  # type: ignore[assignment]
    await plant.start()
    await plant.sql("UPDATE session SET until = ?", plant.clock.now() - SECOND)
    await plant.tick()
    assert (await plant.task(task.task)).state == "LEASED"
    plant.engine.clock._offset += 20 * SECOND  # type: ignore[attr-defined]
    await plant.tick()
    assert (await plant.task(task.task)).state == "READY"
    await plant.stop()
