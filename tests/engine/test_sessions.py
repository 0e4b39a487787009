"""Sessions, fence and leases over the real store: who holds what, until when, and what a late word still counts."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from engine.plant import NS, Hand, Plant, completion, failure, node
from stoker.core.duration import SECOND
from stoker.core.protocol import ClaimAnswer, Log, Progress, ReportRequest
from stoker.errors import NotFound, Unavailable

GONE = 20.001  # seconds after which a lease has ended


async def leased(plant: Plant, hand: Hand, **options: Any) -> Any:
    """A fresh run's one task, held by a hand."""
    await plant.push(node("a", **options))
    await plant.trigger()
    (task,) = await hand.claim(1)
    return task


# --- the fence ---


async def test_a_late_holder_cannot_overwrite_the_next_one(plant: Plant) -> None:
    late, next_one = plant.hand("late"), plant.hand("next")
    task = await leased(plant, late)
    await plant.pass_time(GONE)
    (again,) = await next_one.claim(1)
    assert (again.task, again.attempt) == (task.task, task.attempt + 1)
    assert (await late.complete(task, "late")).status == "stale"
    assert (await next_one.complete(again, "in time")).status == "accepted"
    assert (await late.complete(task, "late")).status == "stale"
    assert await plant.sql("SELECT body FROM item") == [(b'"in time"',)]


@pytest.mark.parametrize("report", [completion, failure])
async def test_a_repeated_report_is_accepted_again_and_changes_nothing(plant: Plant, report: Any) -> None:
    hand = plant.hand()
    task = await leased(plant, hand)
    assert [receipt.status for receipt in await hand.report(report(task))] == ["accepted"]
    before = await plant.sql("SELECT * FROM task"), await plant.sql("SELECT * FROM attempt")
    for _ in range(3):
        assert [receipt.status for receipt in await hand.report(report(task))] == ["accepted"]
    assert (await plant.sql("SELECT * FROM task"), await plant.sql("SELECT * FROM attempt")) == before


async def test_a_report_repeated_within_one_batch_counts_once(plant: Plant) -> None:
    hand = plant.hand()
    task = await leased(plant, hand)
    receipts = await asyncio.gather(*(hand.report(completion(task, number)) for number in range(5)))
    assert [receipt.status for (receipt,) in receipts] == ["accepted"] * 5
    assert await plant.sql("SELECT body FROM item") == [(b"0",)]


async def test_a_foreign_session_cannot_report(plant: Plant) -> None:
    hand, thief = plant.hand(), plant.hand("thief")
    task = await leased(plant, hand)
    await thief.claim(0)
    assert [receipt.status for receipt in await thief.report(completion(task))] == ["stale"]
    assert (await plant.task(task.task)).state == "LEASED"


async def test_a_session_nobody_introduced_is_told_to_claim_first(plant: Plant) -> None:
    hand = plant.hand()
    task = await leased(plant, hand)
    request = ReportRequest(session="f" * 32, reports=[completion(task)])
    answer = await plant.engine.leases.report(NS, request)
    assert answer.unknown_session
    assert [receipt.status for receipt in answer.receipts] == ["refused"]


# --- losing and reviving ---


async def test_a_lost_lease_is_revived_by_the_report_of_its_holder(plant: Plant) -> None:
    hand = plant.hand()
    task = await leased(plant, hand)
    await plant.pass_time(GONE)
    assert (await plant.task(task.task)).state == "READY"
    assert (await hand.complete(task)).status == "accepted"
    view = await plant.task(task.task)
    assert (view.state, view.attempt, view.losses) == ("SUCCEEDED", 1, 0)


async def test_a_lost_lease_is_revived_by_a_beat(plant: Plant) -> None:
    hand = plant.hand()
    task = await leased(plant, hand)
    await plant.pass_time(GONE)
    answer = await hand.beat()
    assert answer.stop == []
    view = await plant.task(task.task)
    assert (view.state, view.attempt, view.losses) == ("LEASED", 1, 0)
    await plant.pass_time(19)
    assert (await plant.task(task.task)).state == "LEASED"


async def test_the_work_of_a_silent_runner_is_offered_within_21_seconds_of_its_last_beat(plant: Plant) -> None:
    hand, other = plant.hand(), plant.hand("other")
    task = await leased(plant, hand)
    for _ in range(4):
        await plant.pass_time(5)
        await hand.beat()
    await plant.pass_time(19.9)
    assert (await plant.task(task.task)).state == "LEASED"
    await plant.pass_time(1.1)
    assert [each.task for each in await other.claim(1)] == [task.task]


async def test_the_scheduler_wakes_for_the_end_of_a_lease(plant: Plant) -> None:
    """However long nothing was due before, the next tick is planned for when the new lease ends."""
    await plant.push(node("a"))
    await plant.tick()
    plant.clock.advance(21)  # no longer a fresh server
    await plant.tick()
    alarm = plant.engine.alarm
    assert alarm.planned > plant.clock.now() + 25 * SECOND
    alarm.rung.clear()
    hand = plant.hand()
    await plant.trigger()
    await hand.claim(1)
    assert alarm.rung.is_set()
    assert alarm.planned <= plant.clock.now() + 20 * SECOND
    alarm.rung.clear()
    await plant.engine.leases.closed(hand.secret)
    assert alarm.rung.is_set()
    assert alarm.planned <= plant.clock.now() + 5 * SECOND


async def test_a_closed_stream_leaves_five_seconds(plant: Plant) -> None:
    hand = plant.hand()
    task = await leased(plant, hand)
    await plant.engine.leases.closed(hand.secret)
    await plant.pass_time(4.9)
    assert (await plant.task(task.task)).state == "LEASED"
    await plant.pass_time(0.2)
    assert (await plant.task(task.task)).state == "READY"


@pytest.mark.parametrize("says", ["what it holds", "nothing about leases"])
async def test_coming_back_restores_the_lease(plant: Plant, says: str) -> None:
    hand = plant.hand()
    task = await leased(plant, hand)
    await plant.engine.leases.closed(hand.secret)
    await plant.pass_time(2)
    await hand.claim(0, **({} if says == "what it holds" else {"held": None}))
    await plant.pass_time(19)
    assert (await plant.task(task.task)).state == "LEASED"


async def test_a_plain_beat_that_lists_nothing_keeps_the_lease(plant: Plant) -> None:
    hand = plant.hand()
    task = await leased(plant, hand)
    for _ in range(6):
        await plant.pass_time(5)
        await hand.exchange(held=None)
    assert (await plant.task(task.task)).losses == 0


async def test_a_fresh_server_takes_nothing_back_for_one_lease_length(plant: Plant) -> None:
    hand = plant.hand()
    task = await leased(plant, hand)
    await plant.stop()
    plant.clock.advance(3_600)
    await plant.start()
    await plant.pass_time(19)
    assert (await plant.task(task.task)).state == "LEASED"
    await plant.pass_time(1.1)
    assert (await plant.task(task.task)).state == "READY"


async def test_a_session_lost_to_a_fresh_server_goes_on_where_it_was(plant: Plant) -> None:
    hand = plant.hand()
    task = await leased(plant, hand)
    await plant.crash()
    plant.clock.advance(15)
    await plant.tick()
    await hand.claim(0)
    await plant.pass_time(15)
    assert (await plant.task(task.task)).state == "LEASED"
    assert (await hand.complete(task)).status == "accepted"


async def test_a_database_that_was_away_gives_everyone_a_lease_length(plant: Plant) -> None:
    """Nobody could beat meanwhile."""
    hand = plant.hand()
    task = await leased(plant, hand)
    await plant.pass_time(15)
    real = plant.engine.store.transact

    async def away(work: Any) -> Any:
        raise Unavailable("the disk is away")

    plant.engine.store.transact = away  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await hand.beat()
    plant.engine.store.transact = real  # type: ignore[method-assign]
    await plant.pass_time(6)
    assert (await plant.task(task.task)).state == "LEASED"
    await plant.pass_time(20)
    assert (await plant.task(task.task)).state == "READY"


async def test_a_beat_that_overtakes_the_reaper_keeps_the_lease(plant: Plant) -> None:
    """The reaper looks without a lock; it decides under it."""
    hand = plant.hand()
    task = await leased(plant, hand)
    await plant.pass_time(25)
    await hand.beat()
    plant.clock.advance(GONE)
    real = plant.engine.store.read

    async def then_beat(work: Any) -> Any:
        plant.engine.store.read = real  # type: ignore[method-assign]
        found = await real(work)
        await hand.beat()
        return found

    plant.engine.store.read = then_beat  # type: ignore[method-assign]
    await plant.tick()
    assert (await plant.task(task.task)).state == "LEASED"


async def test_a_runner_whose_stream_is_open_but_does_not_beat_is_reaped(plant: Plant) -> None:
    """As if it had got SIGSTOP: its kernel keeps the connection, nobody reads it."""
    stopped, other = plant.hand("stopped"), plant.hand("other")
    task = await leased(plant, stopped)
    stream = stopped.waiting(5)
    await stopped.armed()
    await plant.pass_time(GONE)
    assert (await plant.task(task.task)).state == "READY"
    assert [each.task for each in await other.claim(1)] == [task.task]
    assert (await stream).tasks == []


async def test_news_for_a_held_claim_is_no_beat(plant: Plant) -> None:
    """A runner that hangs must not be kept alive by what others do."""
    hand = plant.hand()
    task = await leased(plant, hand)
    for _ in range(5):
        plant.clock.advance(3)
        stream = hand.waiting(1)
        await hand.armed()
        before = await hand.until()
        plant.engine.dispatcher.nudge(hand.session)
        await stream
        assert await hand.until() == before
    await plant.pass_time(GONE)
    assert (await plant.task(task.task)).state == "READY"


async def test_a_task_that_is_lost_too_often_fails(plant: Plant) -> None:
    hand = plant.hand()
    task = await leased(plant, hand, max_losses=2)
    await plant.pass_time(GONE)
    hand.drop()
    (task,) = await hand.claim(1)
    await plant.pass_time(GONE)
    view = await plant.task(task.task)
    assert (view.state, view.code, view.losses) == ("FAILED", "lost", 2)
    assert (await hand.complete(task)).status == "stale"


# --- answers that got lost, and leaving ---


async def test_a_lease_from_a_read_answer_that_is_not_listed_is_released(plant: Plant) -> None:
    await plant.push(node("a"), node("b"))
    await plant.trigger()
    hand, other = plant.hand(), plant.hand("other")
    first, second = await hand.claim(2)
    del hand.held[first.task, first.attempt]
    await hand.beat()
    assert [task.task for task in await other.claim(2)] == [first.task]
    assert (await plant.task(second.task)).state == "LEASED"


async def test_a_lease_from_an_answer_that_may_still_come_is_kept(plant: Plant) -> None:
    hand = plant.hand()
    task = await leased(plant, hand)
    await hand.exchange(held=[], read=0)
    assert (await plant.task(task.task)).state == "LEASED"


@pytest.mark.parametrize("call", ["claim", "report"])
async def test_a_runner_with_nothing_on_its_way_gets_rid_of_lost_answers(plant: Plant, call: str) -> None:
    hand, other = plant.hand(), plant.hand("other")
    task = await leased(plant, hand)
    hand.drop()
    hand.read = 0  # the answer never came
    if call == "claim":
        await hand.claim(0, alone=True)
    else:
        await hand.exchange(alone=True)
    assert [each.task for each in await other.claim(1)] == [task.task]


async def test_a_lost_answer_of_a_server_that_died_is_released_by_its_successor(plant: Plant) -> None:
    hand, other = plant.hand(), plant.hand("other")
    task = await leased(plant, hand)
    hand.drop()
    hand.read = 0
    await plant.crash()
    plant.clock.advance(1)
    await hand.claim(0, alone=True)
    assert [each.task for each in await other.claim(1)] == [task.task]


async def test_saying_nothing_about_leases_releases_nothing(plant: Plant) -> None:
    hand = plant.hand()
    task = await leased(plant, hand)
    await hand.exchange(held=None, alone=True)
    assert (await plant.task(task.task)).state == "LEASED"


async def test_an_answer_that_could_not_be_written_is_handed_back(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    hand, other = plant.hand(), plant.hand("other")
    answer = await hand.ask(1)
    await plant.engine.leases.undelivered(hand.secret, answer)
    await plant.settled()
    (task,) = await other.claim(1)
    assert task.task == answer.tasks[0].task
    assert (await plant.task(task.task)).losses == 0


async def test_a_runner_that_leaves_releases_everything_and_gets_nothing_more(plant: Plant) -> None:
    await plant.push(node("a"), node("b"))
    await plant.trigger()
    hand, other = plant.hand(), plant.hand("other")
    await hand.claim(2)
    stream = hand.waiting(5)
    await hand.armed()
    await plant.engine.leases.leave(NS, hand.secret)
    assert (await stream).tasks == []
    assert len(await other.claim(5)) == 2
    assert [view.name for view in await plant.engine.views.runners(NS)] == ["other"]


async def test_an_ended_session_that_comes_back_can_lose_its_leases_again(plant: Plant) -> None:
    hand = plant.hand()
    await hand.claim(0)
    await plant.engine.leases.leave(NS, hand.secret)
    task = await leased(plant, hand)
    await plant.pass_time(21)
    assert (await plant.task(task.task)).state == "READY"


async def test_a_session_that_is_put_away_while_it_is_given_work_keeps_its_row(plant: Plant) -> None:
    """It was idle and disconnected when the reaper looked, and has a lease when the reaper decides."""
    await plant.push(node("a"))
    hand = plant.hand()
    await hand.claim(0)
    await plant.trigger()
    await plant.tick()
    plant.clock.advance(GONE)
    real = plant.engine.store.read

    async def then_work(work: Any) -> Any:
        plant.engine.store.read = real  # type: ignore[method-assign]
        found = await real(work)
        await hand.exchange(want=1)
        return found

    plant.engine.store.read = then_work  # type: ignore[method-assign]
    await plant.tick()
    ((task, _),) = hand.held
    await plant.pass_time(21)
    assert (await plant.task(task)).state == "READY"


async def test_two_first_calls_of_a_session_at_once_make_one_session(plant: Plant) -> None:
    await plant.push(node("a"))
    hand = plant.hand()
    await asyncio.gather(*(hand.claim(0) for _ in range(5)))
    assert await plant.sql("SELECT COUNT(*) FROM session") == [(1,)]


async def test_two_first_calls_after_a_restart_share_one_session(plant: Plant) -> None:
    hand = plant.hand()
    task = await leased(plant, hand)
    await plant.crash()
    found = await asyncio.gather(*(plant.engine.sessions.find(hand.secret) for _ in range(5)))
    assert len({id(session) for session in found}) == 1
    assert (await hand.complete(task)).status == "accepted"


# --- promises ---


async def test_a_row_never_ends_before_a_promise_however_exchanges_meet(plant: Plant) -> None:
    """A closing stream, a hand-off and beats at once, some in the same transaction."""
    await plant.push(node("a", kind="many"))
    hand = plant.hand()
    await hand.claim(0)
    leases = plant.engine.leases
    for round_ in range(40):
        plant.clock.advance((0.0, 0.3, 3.0, 14.9)[round_ % 4])
        await plant.trigger()
        calls = [leases.closed(hand.secret), hand.exchange(want=1), hand.beat(), hand.exchange(want=1)]
        shift = round_ % 4
        await asyncio.gather(*(calls[shift:] + calls[:shift]), plant.trigger())
        await hand.beat()
        for task in list(hand.held.values()):
            await hand.complete(task)


async def test_a_promise_undone_with_its_transaction_is_not_remembered(plant: Plant) -> None:
    hand = plant.hand()
    await leased(plant, hand)
    await plant.pass_time(15)
    before = await hand.until()
    fail = True

    async def undone(real: Any, work: Any) -> Any:
        async def then(tx: Any) -> Any:
            answer = await work(tx)
            if fail:
                raise Unavailable("the disk is full")
            return answer

        return await real(then)

    plant.seam(undone)
    with pytest.raises(Unavailable):
        await hand.beat()
    assert await hand.until() == before
    fail = False
    await plant.trigger()
    answer = await hand.exchange(want=1, held=[])
    assert answer.tasks
    assert await hand.until() >= plant.clock.now() + round(answer.lease_s * SECOND)


async def test_no_promise_is_longer_than_a_lease(plant: Plant) -> None:
    """A connected runner without leases is put off for a minute, which promises nothing."""
    hand = plant.hand()
    await plant.push(node("a"))
    stream = hand.waiting(1)
    await hand.armed()
    await plant.pass_time(21)
    assert await plant.sql("SELECT until FROM session") == [(plant.clock.now() + 60 * SECOND,)]
    plant.engine.dispatcher.end_all()
    answer: ClaimAnswer = await stream
    assert answer.lease_s <= 20


# --- inputs of leased tasks, notes ---


async def test_the_input_is_shown_to_the_holder_alone(plant: Plant) -> None:
    hand, thief = plant.hand(), plant.hand("thief")
    task = await leased(plant, hand)
    await thief.claim(0)
    body = b"".join([part async for part in await plant.engine.leases.input(NS, hand.secret, task.task, 1)])
    assert body == b"{}"
    for secret, attempt in ((thief.secret, 1), (hand.secret, 2), ("0" * 31 + "g", 1)):
        with pytest.raises(NotFound):
            await plant.engine.leases.input(NS, secret, task.task, attempt)


async def test_progress_and_logs_are_kept_once_and_only_of_the_current_attempt(plant: Plant) -> None:
    hand = plant.hand()
    task = await leased(plant, hand)
    notes = [
        Progress(task=task.task, attempt=1, fraction=7.0, message="far"),
        Log(task=task.task, attempt=1, seq=0, text="hello"),
        Log(task=task.task, attempt=1, seq=0, text="hello"),
        Log(task=task.task, attempt=2, seq=0, text="stale"),
    ]
    receipts = await hand.report(*notes)
    assert [receipt.status for receipt in receipts] == ["accepted", "accepted", "accepted", "stale"]
    view = await plant.task(task.task)
    assert (view.progress, view.progress_message) == (1.0, "far")
    logs = await plant.engine.logs.page(NS, run=None, task=task.task, limit=10, after=0)
    assert [log.text for log in logs.items] == ["hello"]


async def test_a_first_claim_that_meets_a_push_ends_up_in_its_lane(tmp_path: Path) -> None:
    plant = await Plant(tmp_path / "data").start()
    await plant.push(node("x", kind="many"))
    gate = threading.Event()
    real = plant.engine.store.read

    async def slowly(work: Any) -> Any:
        found = await real(work)
        await asyncio.to_thread(gate.wait, 5)
        return found

    hand = plant.hand()
    plant.engine.store.read = slowly  # type: ignore[method-assign]
    stream = hand.waiting(1)
    await asyncio.sleep(0)
    plant.engine.store.read = real  # type: ignore[method-assign]
    await plant.push(node("a"))
    gate.set()
    await plant.trigger()
    answer = await asyncio.wait_for(stream, 5)
    if not answer.tasks:  # told to ask again
        answer = await asyncio.wait_for(hand.waiting(1), 5)
    assert [task.node for task in answer.tasks] == ["a"]
    await plant.stop()


async def test_a_runner_between_two_claims_counts_as_connected_for_a_moment(plant: Plant) -> None:
    await plant.push(node("a"))
    hand = plant.hand()
    await hand.claim()
    assert len(plant.engine.sessions.connected()) == 1
    plant.clock.advance(1.5)
    assert plant.engine.sessions.connected() == []
    await hand.claim()
    await plant.engine.leases.closed(hand.secret)
    assert plant.engine.sessions.connected() == []
