"""Cancel and retry of many runs: page by page, whatever happens between two of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.plant import NS, Plant, failure, node
from stoker.core.bulk import BulkVerb
from stoker.core.views import BulkAnswer, BulkRequest
from stoker.engine import bulk
from stoker.errors import Invalid, Unavailable
from stoker.runner.bulk import together


async def page(plant: Plant, verb: BulkVerb, text: str, **options: Any) -> BulkAnswer:
    return await plant.engine.bulk.runs(NS, verb, BulkRequest(filter=text, **options))


async def every(plant: Plant, verb: BulkVerb, text: str, **options: Any) -> BulkAnswer:
    answers = []
    after: str | None = None
    while True:
        answers.append(await page(plant, verb, text, after=after, **options))
        after = answers[-1].after
        if after is None:
            return together(iter(answers))


async def runs(plant: Plant, count: int = 7, **options: Any) -> list[int]:
    """So many runs, newest first."""
    await plant.push(node("a"))
    made = []
    for _ in range(count):
        made.insert(0, await plant.trigger(**options))
        plant.clock.advance(1)
    return made


async def failed(plant: Plant, count: int = 5) -> list[int]:
    made = await runs(plant, count)
    hand = plant.hand(capacity=100)
    await hand.report(*(failure(task) for task in await hand.claim(100)))
    return made


async def states(plant: Plant, made: list[int]) -> set[str]:
    return {(await plant.run(run)).state for run in made}


async def test_all_that_a_filter_asks_for_are_cancelled_page_by_page(plant: Plant) -> None:
    blue = await runs(plant, tags={"team": "blue"})
    red = await runs(plant, 2, tags={"team": "red"})
    first = await page(plant, "cancel", "tag.team=blue", limit=3)
    assert (first.matched, first.done, first.skipped) == (3, blue[:3], [])
    assert first.after is not None
    rest = await every(plant, "cancel", "tag.team=blue", limit=3)
    assert rest.done == blue[3:]
    await plant.tick()
    assert (await states(plant, blue), await states(plant, red)) == ({"CANCELLED"}, {"RUNNING"})


async def test_a_dry_run_says_what_would_be_done_and_does_nothing(plant: Plant) -> None:
    made = await runs(plant)
    answer = await every(plant, "cancel", "graph=sample", dry_run=True, limit=3)
    assert (answer.matched, answer.done) == (7, made)
    assert await plant.sql("SELECT COUNT(*) FROM run WHERE stopping > 0") == [(0,)]
    assert (await every(plant, "cancel", "graph=sample", limit=3)).done == answer.done


async def test_what_was_done_is_not_found_again(plant: Plant) -> None:
    made = await runs(plant)
    assert (await every(plant, "cancel", "graph=sample")).done == made
    assert await every(plant, "cancel", "graph=sample") == BulkAnswer(matched=0, done=[])
    hand = plant.hand(capacity=100)
    await plant.tick()
    assert (await every(plant, "retry", "graph=sample")).done == made
    assert await every(plant, "retry", "graph=sample") == BulkAnswer(matched=0, done=[])
    assert len(await hand.claim(100)) == 7


async def test_a_repeated_page_does_nothing_twice(plant: Plant) -> None:
    """The answer was lost: the same request comes again, from before the page that was done."""
    await failed(plant)
    first = await page(plant, "retry", "graph=sample state=FAILED,RUNNING", limit=2)
    again = await page(plant, "retry", "graph=sample state=FAILED,RUNNING", limit=2)
    assert (len(first.done), again.done) == (2, [])
    assert [(skip.id, skip.code) for skip in again.skipped] == [(run, "still_running") for run in first.done]
    assert again.after == first.after


async def test_a_server_that_ends_in_the_middle_loses_nothing(plant: Plant) -> None:
    made = await runs(plant)
    first = await page(plant, "cancel", "graph=sample", limit=4)
    await plant.crash()
    rest = await page(plant, "cancel", "graph=sample", limit=100, after=first.after)
    assert first.done + rest.done == made
    await plant.tick()
    assert await states(plant, made) == {"CANCELLED"}


async def test_a_database_that_fails_in_the_middle_leaves_the_rest_to_the_next_call(plant: Plant) -> None:
    made = await failed(plant)
    calls = 0

    async def fails(real: Any, work: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Unavailable("the disk is gone")
        return await real(work)

    plant.seam(fails)
    with pytest.raises(Unavailable):
        await page(plant, "retry", "graph=sample")
    rest = await page(plant, "retry", "graph=sample")
    assert 0 < len(rest.done) < len(made)
    assert await states(plant, made) == {"RUNNING"}


async def test_what_a_verb_does_not_apply_to_is_skipped_with_the_reason(plant: Plant) -> None:
    await failed(plant, 2)
    stopping, running = await runs(plant, 2)
    await plant.engine.runs.cancel(NS, stopping)
    answer = await every(plant, "cancel", "state=RUNNING,FAILED stopping=yes,no", limit=2)
    assert answer.done == [running]
    assert {skip.id: skip.message for skip in answer.skipped} == {
        stopping: "it is stopping already",
        **{skip.id: "it has ended FAILED" for skip in answer.skipped if skip.id != stopping},
    }
    assert answer.matched == 4
    dry = await every(plant, "retry", "state!=SUCCEEDED", dry_run=True)
    assert len(dry.done) == 2
    assert {skip.code for skip in dry.skipped} == {"still_running"}


async def test_what_the_engine_refuses_is_skipped_in_its_words(plant: Plant) -> None:
    """A run is retried by somebody else between the look and the verb."""
    made = await failed(plant, 3)
    real = plant.engine.runs.retry

    async def raced(namespace: str, run: int) -> Any:
        if run == made[1]:
            await real(namespace, run)
        return await real(namespace, run)

    plant.engine.runs.retry = raced  # type: ignore[method-assign]
    answer = await page(plant, "retry", "state=FAILED")
    assert answer.done == [made[0], made[2]]
    assert [(skip.id, skip.message) for skip in answer.skipped] == [(made[1], f"run {made[1]} is still running.")]


async def test_a_slow_page_ends_where_it_has_come_to(plant: Plant) -> None:
    made = await failed(plant)
    real = plant.engine.runs.retry

    async def slow(namespace: str, run: int) -> Any:
        plant.clock.advance(bulk.LONGEST / 2_000_000)
        return await real(namespace, run)

    plant.engine.runs.retry = slow  # type: ignore[method-assign]
    first = await page(plant, "retry", "state=FAILED")
    assert (first.matched, first.done) == (2, made[:2])
    assert first.after is not None
    assert (await every(plant, "retry", "state=FAILED")).done == made[2:]


@pytest.mark.parametrize("text", ["", "   "])
async def test_an_empty_filter_is_refused_unless_all_are_meant(plant: Plant, text: str) -> None:
    made = await runs(plant, 2)
    with pytest.raises(Invalid, match="would cancel every run") as caught:
        await page(plant, "cancel", text)
    assert caught.value.code == "empty_filter"
    assert await states(plant, made) == {"RUNNING"}
    assert (await page(plant, "cancel", text, all=True)).done == made


@pytest.mark.parametrize("options", [{"limit": 0}, {"limit": 1_001}, {"after": "x"}, {"filter": "x=1"}])
async def test_a_bad_page_is_refused(plant: Plant, options: dict[str, Any]) -> None:
    await runs(plant, 1)
    with pytest.raises(Invalid):
        await plant.engine.bulk.runs(NS, "cancel", BulkRequest(**{"filter": "id=1", **options}))


async def test_other_namespaces_are_left_alone(plant: Plant) -> None:
    made = await runs(plant, 2)
    await plant.engine.catalog.put_kinds("elsewhere", [])
    answer = await plant.engine.bulk.runs("elsewhere", "cancel", BulkRequest(all=True))
    assert answer == BulkAnswer(matched=0, done=[])
    assert await states(plant, made) == {"RUNNING"}


async def test_cancels_of_a_page_share_transactions(plant: Plant) -> None:
    await plant.push(node("a"))
    await asyncio.gather(*(plant.trigger() for _ in range(100)))
    with plant.counting() as counted:
        assert len((await page(plant, "cancel", "graph=sample", limit=100)).done) == 100
        await plant.settled()
    assert counted() <= 5
