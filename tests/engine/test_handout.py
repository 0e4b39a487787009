"""Tasks on their way to runners: armed waiters, hand-off in one transaction, and what nobody came to take."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from engine.plant import Plant, after, completion, node, run_input
from stoker.core.graph import Ref
from stoker.core.model import PAYLOAD_INLINE


async def test_a_waiter_that_was_armed_first_gets_the_task_in_the_transaction_that_makes_it(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    hand = plant.hand()
    await hand.complete(*await hand.claim(5))
    waiting = hand.waiting()
    await hand.armed()
    with plant.counting() as transactions:
        run = await plant.trigger()
        answer = await waiting
    assert [task.run for task in answer.tasks] == [run]
    assert transactions() == 1


async def test_two_waiters_share_what_one_transaction_makes(plant: Plant) -> None:
    await plant.push(node("a"), node("b"))
    hands = [plant.hand(), plant.hand()]
    calls = [hand.waiting() for hand in hands]
    for hand in hands:
        await hand.armed()
    await plant.trigger()
    answers = await asyncio.wait_for(asyncio.gather(*calls), 5)
    assert sorted(task.node for answer in answers for task in answer.tasks) == ["a", "b"]
    assert all(len(answer.tasks) == 1 for answer in answers)


async def test_several_askers_in_one_batch_get_all_that_is_there(plant: Plant) -> None:
    await plant.push(node("a"), node("b"), node("c"))
    await plant.trigger()
    hands = [plant.hand() for _ in range(3)]
    given = await asyncio.gather(*(hand.claim(1) for hand in hands))
    assert sorted(task.node for tasks in given for task in tasks) == ["a", "b", "c"]


async def test_a_claim_whose_client_vanished_in_mid_transaction_leaves_no_lease(plant: Plant) -> None:
    await plant.push(node("a"))
    hand, other = plant.hand(), plant.hand()
    await hand.claim(0)
    await plant.trigger()
    inside, go_on = threading.Event(), threading.Event()

    async def held_up(real: Any, work: Any) -> Any:
        async def slow(tx: Any) -> Any:
            answer = await work(tx)
            inside.set()
            go_on.wait(10)
            return answer

        return await real(slow)

    plant.seam(held_up)
    call = hand.waiting()
    await asyncio.to_thread(inside.wait, 10)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    go_on.set()
    await plant.settled()
    assert [task.node for task in await other.claim(1)] == ["a"]


async def test_a_report_whose_client_vanished_leaves_no_lease(plant: Plant) -> None:
    await plant.push(node("a"), node("b"))
    hand, other = plant.hand(), plant.hand()
    await plant.trigger()
    (first,) = await hand.claim(1)
    inside, go_on = threading.Event(), threading.Event()

    async def held_up(real: Any, work: Any) -> Any:
        async def slow(tx: Any) -> Any:
            answer = await work(tx)
            inside.set()
            go_on.wait(10)
            return answer

        return await real(slow)

    plant.seam(held_up)
    call = asyncio.create_task(hand.report(completion(first), want=1))
    await asyncio.to_thread(inside.wait, 10)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    go_on.set()
    await plant.settled()
    assert len(await other.claim(1)) == 1
    assert (await plant.task(first.task)).state == "SUCCEEDED"


async def test_a_task_made_right_after_an_empty_claim_wakes_it(plant: Plant) -> None:
    """The claim finds nothing in one transaction; the next one makes a task before the claim has heard of that."""
    await plant.push(node("a"))
    hand = plant.hand()
    await hand.claim(0)
    trigger: list[asyncio.Task[int]] = []
    loop = asyncio.get_running_loop()

    async def followed(real: Any, work: Any) -> Any:
        async def then(tx: Any) -> Any:
            if not trigger and plant.engine.store.shared:  # it runs on this loop
                trigger.append(asyncio.ensure_future(plant.trigger()))
                await asyncio.sleep(0)
            elif not trigger:  # while the claim's transaction runs, a trigger is put behind it
                done = threading.Event()

                def start() -> None:
                    trigger.append(asyncio.ensure_future(plant.trigger()))
                    loop.call_soon(lambda: loop.call_soon(done.set))

                loop.call_soon_threadsafe(start)
                done.wait(10)
            return await work(tx)

        return await real(then)

    await plant.trigger()  # so that ids are there already
    (task,) = await hand.claim(1)
    await hand.complete(task)
    plant.seam(followed)
    answer = await asyncio.wait_for(hand.waiting(), 5)
    assert len(answer.tasks) == 1
    await trigger[0]


async def test_arming_while_a_transaction_picks_waiters_is_safe(plant: Plant) -> None:
    """Waiters come and go on one thread while another picks among them."""
    await plant.push(node("a"))
    hands = [plant.hand(f"hand{number}") for number in range(60)]
    for hand in hands:
        await hand.claim(0)

    async def come_and_go() -> None:
        while not over:
            calls = [hand.waiting() for hand in hands]
            await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    over: list[bool] = []
    traffic = asyncio.create_task(come_and_go())
    runs = [await plant.trigger() for _ in range(40)]
    over.append(True)
    await traffic
    await plant.settled()
    worker = plant.hand("worker")
    while tasks := await worker.claim(50):
        for task in tasks:
            await worker.complete(task)
    assert [(await plant.run(run)).state for run in runs] == ["SUCCEEDED"] * 40


async def test_a_waiter_that_no_longer_serves_a_kind_takes_nobodys_place(plant: Plant) -> None:
    await plant.push(node("a"), node("b", kind="many"))
    fickle, steady = plant.hand("fickle"), plant.hand("steady", kinds=("one",))
    first = fickle.waiting()
    await fickle.armed()
    fickle.info = plant.hand("fickle", kinds=("many",)).info
    second = fickle.waiting()
    await first
    await fickle.armed()
    waiting = steady.waiting()
    await steady.armed()
    await plant.trigger()
    answers = await asyncio.wait_for(asyncio.gather(second, waiting), 5)
    assert [task.node for answer in answers for task in answer.tasks] == ["b", "a"]


async def test_only_the_newest_claim_of_a_session_is_given_tasks(plant: Plant) -> None:
    await plant.push(node("a"))
    hand = plant.hand()
    old = hand.waiting()
    await hand.armed()
    new = hand.waiting()
    await hand.armed(2)
    run = await plant.trigger()
    answer = await asyncio.wait_for(new, 5)
    assert [task.run for task in answer.tasks] == [run]
    assert not old.done()
    old.cancel()
    with pytest.raises(asyncio.CancelledError):
        await old


async def test_a_waiting_claim_costs_no_statement(plant: Plant) -> None:
    await plant.push(node("a"))
    hands = [plant.hand(f"hand{number}") for number in range(50)]
    calls = [hand.waiting() for hand in hands]
    for hand in hands:
        await hand.armed()
    transactions, reads = plant.transactions, plant.reads
    statements = plant.engine.store.statements
    for _ in range(200):
        await asyncio.sleep(0)
    assert (plant.transactions, plant.engine.store.statements) == (transactions, statements)
    assert plant.reads == reads
    plant.engine.dispatcher.end_all()
    await asyncio.gather(*calls)


async def test_a_task_that_cannot_be_bound_does_not_keep_a_waiter_from_the_next_one(plant: Plant) -> None:
    await plant.push(node("a", bind={"x": run_input("x", "deep")}), inputs=["x"])
    hand = plant.hand()
    waiting = hand.waiting(1)
    await hand.armed()
    requests = [plant.request({"x": 1}), plant.request({"x": {"deep": 2}})]
    refs = await plant.engine.runs.trigger("default", requests)
    answer = await asyncio.wait_for(waiting, 5)
    assert [task.run for task in answer.tasks] == [refs[1].id]
    await plant.engine.batches.close()  # it is refused in a batch after the claim
    assert [task.code for task in await plant.tasks(refs[0].id)] == ["binding"]


async def test_the_tasks_of_a_stopping_run_do_not_keep_a_waiter_from_the_next_one(plant: Plant) -> None:
    await plant.push(node("a"))
    stopping = await plant.trigger()
    await plant.engine.runs.cancel("default", stopping)
    hand = plant.hand()
    run = await plant.trigger()
    waiting = hand.waiting(1)
    await hand.armed()
    await plant.tick()
    answer = await asyncio.wait_for(waiting, 5)
    assert [task.run for task in answer.tasks] == [run]
    assert (await plant.run(stopping)).state == "CANCELLED"


async def test_a_large_item_of_the_same_batch_binds_whoever_gets_the_tasks_behind_it(plant: Plant) -> None:
    """It lies in the artifact store; its row is not written yet when tasks are handed over directly."""
    binding = {"x": Ref(node="a")}
    await plant.push(node("a"), node("b", after("a"), bind=binding), node("c", after("a"), bind=binding))
    run = await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim(5)  # now the lane is known to be dry
    answer = await hand.exchange(completion(task, "x" * (PAYLOAD_INLINE + 1)), want=1)
    await plant.settled()
    assert [given.input_url != "" for given in answer.tasks] == [True]
    assert sorted(await plant.states(run)) == ["LEASED", "READY", "SUCCEEDED"]
