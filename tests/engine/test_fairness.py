"""Who is next: runs share, urgent tasks go first, and nothing waits for ever. Counted in claims, by a clock of ours.

A run that floods stands in the queue 100 µs a task into the future. So whoever comes while it is being worked off at
that pace waits for the few tasks that are older than his own, not for the flood.
"""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from engine.plant import Hand, Plant, after, completion, failure, node
from stoker.core.duration import SECOND
from stoker.core.graph import Retry
from stoker.core.picture import AGING, SHARE
from stoker.core.protocol import Assignment, Release, Requeue
from stoker.errors import Invalid

FLOOD = 5_000
PACE = SHARE / SECOND  # seconds between two claims, at which a flood is worked off as it stands in the queue


async def flood(plant: Plant, hand: Hand, name: str = "flood", tasks: int = FLOOD, **options: object) -> int:
    """A run with so many tasks that can be had at once; all of them are made."""
    await plant.push(node("s", kind="many"), node(name, after("s")), name=name)
    run = await plant.trigger(name, **options)
    (source,) = [task for task in await hand.claim(1) if task.run == run]
    await hand.report(completion(source, items=list(range(tasks))))
    await plant.tick()
    return run


async def stream(plant: Plant, kind: str = "one") -> None:
    """A graph of one task, for runs that come one by one."""
    await plant.push(node("one", kind=kind), name="stream")


async def claimed(hand: Hand, count: int) -> list[Assignment]:
    """The next tasks, one claim each; they are done at once."""
    found = []
    for _ in range(count):
        (task,) = await hand.claim(1)
        hand.plant.clock.advance(PACE)
        await hand.complete(task, items=[1] if task.kind == "many" else None)
        found.append(task)
    return found


@pytest.mark.parametrize("kind", ["one", "many"])
async def test_who_trickles_beside_a_flood_waits_for_a_few_claims_each_time(plant: Plant, kind: str) -> None:
    """In the flood's own lane and in another one: for as many as it was given itself, by which the flood is late."""
    hand = plant.hand()
    await stream(plant, kind)
    await flood(plant, hand, tasks=FLOOD if kind == "one" else 1_500)
    for given in range(20):
        run, waits = await plant.trigger("stream"), 0
        while (await claimed(hand, 1))[0].run != run:
            waits += 1
        assert waits <= given + 1


async def test_what_was_there_before_is_all_that_anybody_waits_for(plant: Plant) -> None:
    """Who comes late to a flood that nobody worked at waits for it, and for nothing that comes after him."""
    hand = plant.hand()
    await stream(plant)
    flooding = await flood(plant, hand, tasks=200)
    plant.clock.advance(60)
    late = await plant.trigger("stream")
    plant.clock.advance(1)
    for _ in range(20):
        await plant.trigger("stream")
    runs = [task.run for task in await claimed(hand, 201)]
    assert runs == [flooding] * 200 + [late]


async def test_two_runs_that_flood_take_turns(plant: Plant) -> None:
    hand = plant.hand()
    first = await flood(plant, hand, "first", 400)
    second = await flood(plant, hand, "second", 400)
    runs = [task.run for task in await claimed(hand, 200)]
    for upto in range(len(runs)):
        assert abs(runs[:upto].count(first) - runs[:upto].count(second)) <= 2


@pytest.mark.parametrize("weight", [3, 100])
async def test_a_run_of_more_weight_gets_so_many_turns_for_one_of_another(plant: Plant, weight: int) -> None:
    hand = plant.hand()
    light = await flood(plant, hand, "light", 500)
    heavy = await flood(plant, hand, "heavy", 500, weight=weight)
    runs = [task.run for task in await claimed(hand, 202)]
    for upto in range(1, len(runs)):
        turns = runs[:upto]
        assert abs(turns.count(heavy) - weight * turns.count(light)) <= 2 * weight
    assert (await plant.run(heavy)).weight == weight


async def test_a_weight_outlives_the_server(plant: Plant) -> None:
    hand = plant.hand()
    await flood(plant, hand, "heavy", 100, weight=50)
    await flood(plant, hand, "light", 100)
    await plant.crash()
    hand = plant.hand()
    tasks = await hand.claim(100)
    await hand.report(*(Release(task=task.task, attempt=task.attempt) for task in tasks))
    assert [task.node for task in await claimed(hand, 60)].count("heavy") >= 50


@pytest.mark.parametrize("weight", [0, 101])
async def test_a_weight_out_of_its_bounds_is_refused(plant: Plant, weight: int) -> None:
    await stream(plant)
    with pytest.raises(Invalid, match=f"a weight lies between 1 and 100, not {weight}"):
        await plant.trigger("stream", weight=weight)
    assert await plant.sql("SELECT COUNT(*) FROM run") == [(0,)]


async def test_urgent_tasks_of_a_run_go_first_and_alike_ones_in_order(plant: Plant) -> None:
    await plant.push(
        node("s", kind="many"),
        *(node(f"p{priority}", after("s"), priority=priority) for priority in (0, 5, 9)),
    )
    await plant.trigger()
    hand = plant.hand()
    (source,) = await hand.claim()
    await hand.report(completion(source, items=[0, 1, 2]))
    found = [(task.node, task.branch) for task in await claimed(hand, 9)]
    assert found == [(name, f"s[{number}]") for name in ("p9", "p5", "p0") for number in range(3)]


async def test_a_task_of_low_priority_is_claimed_before_urgent_ones_that_come_ten_seconds_later_a_step(
    plant: Plant,
) -> None:
    """A never-ending stream of urgent tasks keeps it waiting for as long as was promised, and no longer."""
    await stream(plant)
    hand = plant.hand()
    begun = plant.clock.now()
    low = await plant.trigger("stream", priority=2)
    waited = 0
    while True:
        plant.clock.advance(1)
        await plant.trigger("stream", priority=9)
        (task,) = await hand.claim(1)
        await hand.complete(task)
        if task.run == low:
            break
        waited += 1
    assert plant.clock.now() - begun <= 7 * AGING + SECOND
    assert waited >= 7 * AGING // SECOND - 1


async def test_a_task_that_was_lost_or_put_back_queues_up_anew_and_is_not_starved(plant: Plant) -> None:
    """By a stream of others: it stands behind what was there, and before what comes then."""
    await stream(plant)
    hand = plant.hand()
    unlucky = await plant.trigger("stream")
    for end in ("release", "requeue", "lose"):
        (task,) = await hand.claim(1)
        assert task.run == unlucky
        others = [await plant.trigger("stream") for _ in range(3)]
        plant.clock.advance(0.001)
        match end:
            case "release":
                await hand.report(Release(task=task.task, attempt=task.attempt))
            case "requeue":
                await hand.report(Requeue(task=task.task, attempt=task.attempt, after_s=0))
            case _:
                hand.drop()
                hand = plant.hand()
                await plant.pass_time(21)
        plant.clock.advance(0.001)
        for _ in range(20):
            await plant.trigger("stream")
        assert [one.run for one in await claimed(hand, 3)] == others
        plant.clock.advance(30)
        assert len(await plant.sql("SELECT 1 FROM task WHERE state = 1")) >= 20
        if end == "lose":
            assert (await claimed(hand, 1))[0].run == unlucky
        else:
            await _drained(hand, until=unlucky)


async def _drained(hand: Hand, until: int) -> None:
    """Nothing is left but the one that is to be had next."""
    (task,) = await hand.claim(1)
    assert task.run == until
    rest = [one for one in await hand.claim(100) if one.run != until]
    await hand.report(Release(task=task.task, attempt=task.attempt), *map(completion, rest))


@pytest.mark.parametrize("seed", range(3))
async def test_claims_come_in_queue_order_whatever_is_lost_fails_or_is_killed_meanwhile(
    plant: Plant, seed: int
) -> None:
    """Nobody is passed by: what a claim leaves stands behind all that it took; and shares even out."""
    dice = Random(seed)
    await plant.push(
        node("s", kind="many"),
        *(node(f"p{p}", after("s"), priority=p, retry=Retry(attempts=50, base="1s"), max_losses=100) for p in (3, 6)),
        name="flood",
    )
    hand = plant.hand()
    for _ in range(3):
        await plant.trigger("flood", priority=dice.randint(3, 6))
    await hand.report(*(completion(task, items=list(range(60))) for task in await hand.claim(3)))
    hands, done = [hand, plant.hand("other")], Counter[str]()
    for _ in range(50):
        who = dice.choice(hands)
        tasks = await who.claim(dice.randint(1, 5))
        await assert_first(plant, tasks)
        await who.report(*(_outcome(task, dice, done) for task in who.held.values()))
        match dice.choices(("go on", "vanish", "crash", "time"), (70, 5, 5, 20))[0]:
            case "vanish":
                await who.claim(3)
                hands[hands.index(who)] = plant.hand(who.info.name)
            case "crash":
                await plant.crash()
            case "time":
                plant.clock.advance(dice.choice((0.01, 2, 21)))
        await plant.tick()
    assert done["p6"] >= done["p3"]
    assert sum(done.values()) > 30


def _outcome(task: Assignment, dice: Random, done: Counter[str]) -> object:
    match dice.choices(("well", "fail", "requeue", "release"), (80, 8, 6, 6))[0]:
        case "fail":
            return failure(task)
        case "requeue":
            return Requeue(task=task.task, attempt=task.attempt, after_s=dice.choice((0, 3)))
        case "release":
            return Release(task=task.task, attempt=task.attempt)
    done[task.node] += 1
    return completion(task)


async def assert_first(plant: Plant, tasks: list[Assignment]) -> None:
    """These tasks stood before all that can still be had."""
    ids = ", ".join(str(task.task) for task in tasks) or "0"
    taken = await plant.sql(f"SELECT order_at, created_at, priority FROM task WHERE id IN ({ids})")
    ((left,),) = await plant.sql("SELECT MIN(order_at) FROM task WHERE state = 1 AND due_at IS NULL")
    for order_at, created_at, priority in taken:
        assert left is None or order_at <= left
        assert order_at >= created_at + (9 - priority) * AGING
