"""Logs as they are read: in order, once, by page and filter, as they come, and to the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.plant import NS, Plant, after, completion, node, until
from stoker.core.log import TASK_CUT
from stoker.core.protocol import LOG_CHUNK, LOG_TASK, Assignment, Log
from stoker.core.views import LogPage
from stoker.engine import logs as paging
from stoker.errors import Invalid, NotFound


@pytest.fixture(autouse=True)
def _no_gathering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "GATHER_S", 0.0)


def said(task: Assignment, seq: int, text: str, **more: Any) -> Log:
    return Log(task=task.task, attempt=task.attempt, seq=seq, text=text, **more)


async def page(plant: Plant, run: int | None, task: int | None = None, **asked: Any) -> LogPage:
    return await plant.engine.logs.page(NS, run=run, task=task, **{"limit": 100, "after": 0, **asked})


def texts(found: LogPage) -> list[str]:
    return [chunk.text for chunk in found.items]


async def test_pages_follow_one_another_until_the_run_is_over(plant: Plant) -> None:
    await plant.push(node("a"))
    run, hand = await plant.trigger(), plant.hand()
    (task,) = await hand.claim()
    await hand.report(*(said(task, number, f"{number}") for number in range(5)))
    first = await page(plant, run, limit=3)
    assert (texts(first), first.ended) == (["0", "1", "2"], False)
    second = await page(plant, run, limit=3, after=first.after)
    assert (texts(second), second.ended) == (["3", "4"], False)
    await hand.report(said(task, 5, "5"), completion(task))
    third = await page(plant, run, limit=1, after=second.after)
    assert (texts(third), third.ended) == (["5"], False)
    assert await page(plant, run, after=third.after) == LogPage(items=[], after=third.after, ended=True)
    assert texts(await page(plant, run)) == ["0", "1", "2", "3", "4", "5"]


async def test_a_page_ends_where_it_has_enough_bytes(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "PAGE_BYTES", 10)
    monkeypatch.setattr(paging, "SLICE", 2)
    await plant.push(node("a"))
    run, hand = await plant.trigger(), plant.hand()
    (task,) = await hand.claim()
    await hand.report(*(said(task, number, "abcd") for number in range(7)), completion(task))
    found = await page(plant, run)
    assert (len(found.items), found.ended) == (4, False)
    rest = await page(plant, run, after=found.after)
    assert (len(rest.items), rest.ended) == (3, True)


async def test_a_filter_leaves_out_other_nodes_tasks_streams_and_times(plant: Plant) -> None:
    await plant.push(node("a"), node("b", after("a")))
    run, hand = await plant.trigger(), plant.hand()
    (a,) = await hand.claim()
    await hand.report(said(a, 0, "early"), said(a, 1, "oops", stream="stderr"))
    plant.clock.advance(60)
    await hand.report(completion(a))
    (b,) = await hand.claim()
    await hand.report(said(b, 0, "late"))
    assert texts(await page(plant, run, node="a")) == ["early", "oops"]
    assert texts(await page(plant, run, stream="stderr")) == ["oops"]
    assert texts(await page(plant, run, since="30s")) == ["late"]
    assert texts(await page(plant, run, since="2023-11-14T22:13:00Z")) == ["early", "oops", "late"]
    assert texts(await page(plant, run, b.task)) == texts(await page(plant, None, b.task)) == ["late"]
    passed = await page(plant, run, stream="stdout")
    assert passed.after == (await page(plant, run)).after  # what is left out is not looked at again
    with pytest.raises(Invalid, match=r"no node 'c'.*'a', 'b'"):
        await page(plant, run, node="c")
    with pytest.raises(Invalid, match="'soon' is no time"):
        await page(plant, run, since="soon")
    other = await plant.trigger()
    with pytest.raises(NotFound, match=f"run {other} has no task {b.task}"):
        await page(plant, other, b.task)


async def test_who_waits_is_told_of_what_is_said_and_of_the_end_without_looking(plant: Plant) -> None:
    await plant.push(node("a"), node("b", after("a")))
    run, hand = await plant.trigger(), plant.hand()
    (task,) = await hand.claim()
    following = asyncio.create_task(page(plant, run, wait_s=60))
    of_task = asyncio.create_task(page(plant, run, task.task, stream="stderr", wait_s=60))
    await until(lambda: len(plant.engine.events._listeners) == 2)
    reads = plant.reads
    await hand.report(said(task, 0, "hello"))
    found = await following
    assert (texts(found), found.ended) == (["hello"], False)
    following = asyncio.create_task(page(plant, run, after=found.after, wait_s=60))
    await until(lambda: len(plant.engine.events._listeners) == 2)
    await hand.report(said(task, 1, "bye"), completion(task))
    assert texts(await following) == ["bye"]
    over = await of_task
    assert (over.items, over.ended) == ([], True)  # the task has ended, the run goes on
    assert plant.reads - reads <= 8
    (b,) = await hand.claim()
    following = asyncio.create_task(page(plant, run, after=over.after, wait_s=60))
    await until(lambda: len(plant.engine.events._listeners) == 1)
    await hand.complete(b)
    assert (await following).ended


async def test_who_waits_in_vain_is_answered_when_the_time_is_up(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await plant.trigger()
    found = await page(plant, run, wait_s=0.01)
    assert found == LogPage(items=[], after=0, ended=False)
    assert not plant.engine.events._listeners


async def test_what_is_said_through_another_server_is_seen_without_being_told(
    servers: tuple[Plant, Plant], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "UNHEARD_S", 0.02)
    here, there = servers
    await here.push(node("a"))
    run, hand = await here.trigger(), there.hand()
    (task,) = await hand.claim()
    following = asyncio.create_task(page(here, run, wait_s=60))
    await until(lambda: len(here.engine.events._listeners) == 1)
    await hand.report(said(task, 0, "from there"))
    found = await following  # of what runs say, other servers are not told
    assert texts(found) == ["from there"]
    await hand.complete(task)
    assert (await page(here, run, after=found.after, wait_s=60)).ended


async def test_a_task_keeps_so_much_over_all_its_attempts_and_the_cut_is_seen(plant: Plant) -> None:
    await plant.push(node("a"))
    run, hand = await plant.trigger(), plant.hand()
    (task,) = await hand.claim()
    fill = LOG_TASK // LOG_CHUNK
    for start in range(0, fill - 1, 16):
        numbers = range(start, min(start + 16, fill - 1))
        await hand.report(*(said(task, number, "x" * LOG_CHUNK) for number in numbers))
    last = said(task, fill - 1, "y" * LOG_CHUNK)
    await hand.report(last, last, completion(task))  # the repeat counts for nothing
    await hand.report(last)
    ((total, kept),) = await plant.sql("SELECT MAX(total), COUNT(*) FROM log")
    assert (total, kept) == (LOG_TASK, fill)
    await hand.report(said(task, fill, "z"), said(task, fill + 1, "z"))
    assert await plant.sql("SELECT text FROM log ORDER BY id DESC LIMIT 1") == [(TASK_CUT,)]
    assert await plant.sql("SELECT COUNT(*) FROM log") == [(fill + 1,)]
    assert await plant.states(run) == ["SUCCEEDED"]
