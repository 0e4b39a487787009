"""What is kept of runs that have ended: what is beyond it goes wholly, bit by bit, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from engine.plant import NS, Plant, after, completion, encoded, failure, join, node
from engine.test_children import child
from stoker.core.graph import OnChange, RunInput
from stoker.core.keep_views import KeepSpec
from stoker.core.protocol import Log, Progress
from stoker.core.views import PublishRequest
from stoker.engine import erasing
from stoker.engine.again import RetryRun, RetryTask
from stoker.engine.ports import Interrupted
from stoker.engine.retention import BETWEEN
from stoker.errors import Invalid, NotFound
from stoker.storage import shape

SQLITE = pytest.mark.parametrize("plant", ["sqlite"], indirect=True)  # the SQL of which runs on both elsewhere

DAY = 86_400.0
OF_RUNS = {table.name for table in shape.newest() if "run" in table.columns} | {"run"}


@contextmanager
def slices(rows: int, runs: int = erasing.RUNS) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(erasing, "SLICE", rows)
        patch.setattr(erasing, "RUNS", runs)
        yield


async def keep(plant: Plant, **rule: Any) -> None:
    await plant.engine.retention.put(NS, KeepSpec(**rule))


async def ended(plant: Plant, *, fail: bool = False, **options: Any) -> int:
    """A run of one task that has ended."""
    run = await plant.trigger(**options)
    hand = plant.hand()
    (task,) = await hand.claim()
    await (hand.fail(task) if fail else hand.complete(task))
    return run


async def kept(plant: Plant) -> set[int]:
    return {run.id for run in (await plant.engine.views.runs(NS, limit=1_000, after=None)).items}


async def left(plant: Plant) -> dict[str, int]:
    """How many rows of runs there are, by table."""
    counts = {table: (await plant.sql(f"SELECT COUNT(*) FROM {table}"))[0][0] for table in sorted(OF_RUNS)}
    return {table: count for table, count in counts.items() if count}


# --- which ---


@SQLITE
async def test_everything_is_kept_unless_somebody_says_otherwise(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await ended(plant)
    await plant.pass_time(1_000 * DAY)
    assert await kept(plant) == {run}
    view = await plant.engine.retention.show(NS)
    assert (view.source, view.keep, view.beyond) == ("default", KeepSpec(), 0)


async def test_runs_that_ended_long_ago_go(plant: Plant) -> None:
    await plant.push(node("a"))
    old = await ended(plant)
    await keep(plant, age="2d")
    await plant.pass_time(DAY)
    young = await ended(plant)
    await plant.pass_time(DAY + 1)
    assert await kept(plant) == {young}
    with pytest.raises(NotFound, match=f"no run {old}"):
        await plant.run(old)


@SQLITE
async def test_a_run_is_as_old_as_its_end(plant: Plant) -> None:
    await plant.push(node("a"))
    await keep(plant, age="2d")
    run = await plant.trigger()
    await plant.pass_time(3 * DAY)
    hand = plant.hand()
    await hand.complete(*await hand.claim())
    await plant.pass_time(DAY)
    assert await kept(plant) == {run}


async def test_the_newest_so_many_are_kept(plant: Plant) -> None:
    await plant.push(node("a"))
    runs = []
    for _ in range(5):
        runs.append(await ended(plant))
        plant.clock.advance(1)
    going = await plant.trigger()
    await keep(plant, count=2)
    await plant.tick()
    assert await kept(plant) == {*runs[-2:], going}


async def test_what_failed_is_kept_for_a_time_of_its_own(plant: Plant) -> None:
    await plant.push(node("a"))
    failed = await ended(plant, fail=True)
    plant.clock.advance(1)
    good = await ended(plant)
    await keep(plant, age="1d", count=0, failed_age="5d")
    await plant.tick()
    assert await kept(plant) == {failed}
    await plant.pass_time(5 * DAY)
    assert await kept(plant) == set()
    assert good


@SQLITE
async def test_an_idempotency_key_holds_for_a_day(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await ended(plant, idempotency_key="k")
    await keep(plant, count=0)
    await plant.tick()
    assert await plant.trigger(idempotency_key="k") == run
    await plant.pass_time(DAY)
    assert await kept(plant) == set()
    assert await plant.trigger(idempotency_key="k") != run


@SQLITE
async def test_another_namespace_keeps_its_own(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await ended(plant)
    await plant.engine.catalog.put_kinds("other", [])
    await plant.engine.retention.put("other", KeepSpec(count=0))
    await plant.tick()
    assert await kept(plant) == {run}


async def test_a_tree_goes_together_and_only_when_all_of_it_has_ended(plant: Plant) -> None:
    await _tree(plant)
    run = await plant.trigger("outer")
    await keep(plant, count=0)
    await plant.tick()
    assert await kept(plant) == {run}
    hand = plant.hand()
    await hand.complete(*await hand.claim())
    await plant.pass_time(BETWEEN / 1e6)
    assert await left(plant) == {}


@SQLITE
async def test_a_run_is_not_hidden_above_one_that_goes_on(plant: Plant) -> None:
    await _tree(plant)
    run = await plant.trigger("outer")
    await plant.sql("UPDATE run SET state = 4, ended_at = created_at WHERE id = ?", run)  # as a cancel may leave it
    assert await plant.engine.retention._erasing.hide([run]) == 0
    assert await kept(plant) == {run}


async def _tree(plant: Plant) -> None:
    await plant.push(node("inside"), name="inner")
    await plant.push(child("c"), name="outer")


# --- wholly ---


async def busy(plant: Plant) -> int:
    """A run with rows in every table that there is."""
    await plant.push(node("a", kind="many"), node("b", after("a")), node("c", join("b", anchor="a")), inputs=["x"])
    run = await plant.trigger(inputs={"x": 1}, store={"s": encoded(1)}, tags={"t": "v"}, idempotency_key="k")
    hand = plant.hand()
    (task,) = await hand.claim()
    names = {"task": task.task, "attempt": task.attempt}
    await hand.report(Log(**names, seq=0, text="x"), Progress(**names, fraction=0.5))
    await hand.complete(task, items=[1, 2])
    bad, good = await hand.claim(2)
    await hand.complete(good)
    await hand.report(failure(bad))
    await plant.engine.runs.retry(NS, run)
    for _ in range(2):
        for each in await hand.claim(2):
            await hand.complete(each)
    return run


async def test_nothing_of_a_run_is_left(plant: Plant) -> None:
    await busy(plant)
    rows = await left(plant)
    assert {"task", "item", "join_row", "node_count", "attempt", "progress", "log", "run_input", "run_store"} <= {*rows}
    await keep(plant, age="1d")
    await plant.pass_time(2 * DAY)
    assert await left(plant) == {}


@pytest.mark.parametrize("rows", [1, 500])
async def test_slices_of_any_size_come_to_the_same_end(plant: Plant, rows: int) -> None:
    with slices(rows, runs=2):
        await busy(plant)
        await keep(plant, age="1d")
        await plant.pass_time(2 * DAY)
    assert await left(plant) == {}


@SQLITE
async def test_no_transaction_takes_more_rows_of_a_table_than_a_slice(plant: Plant) -> None:
    await busy(plant)
    await keep(plant, age="1d")
    plant.clock.advance(2 * DAY)
    with slices(2):
        before = await left(plant)
        while await plant.engine.retention.tick():
            now = await left(plant)
            assert all(before[table] - now.get(table, 0) <= 2 for table in before if table not in erasing.SINGLE)
            assert "run" in now or not now
            before = now
    assert await left(plant) == {}


def test_every_table_of_runs_is_erased() -> None:
    assert {*erasing.SLICED, *erasing.SINGLE, *erasing.OF_TASKS, "run"} == OF_RUNS


async def test_a_live_run_goes_with_its_outputs(plant: Plant) -> None:
    await plant.push(
        node("a", OnChange(of=("x",)), bind={"x": RunInput(name="x")}), inputs=["x"], mode="live", name="alive"
    )
    run = await plant.trigger("alive", inputs={"x": 1})
    await plant.engine.live.publish(NS, run, "a", PublishRequest(value=encoded(1)))
    await plant.engine.runs.cancel(NS, run)
    await plant.tick()
    assert {"live_node", "output"} <= {*await left(plant)}
    await keep(plant, count=0)
    await plant.tick()
    assert await left(plant) == {}


async def test_what_a_re_run_replaced_goes_too(plant: Plant) -> None:
    await plant.push(node("a"), node("b", after("a")), node("c", join("b", policy="all_done")))
    run = await plant.trigger()
    hand = plant.hand()
    await hand.complete(*await hand.claim())
    await hand.fail(*await hand.claim())
    await hand.complete(*await hand.claim())
    await plant.engine.runs.retry(NS, run, rerun_below=True)
    for _ in range(2):
        await hand.complete(*await hand.claim())
    assert {"past_task", "past_item"} <= {*await left(plant)}
    await keep(plant, count=0)
    with slices(1):
        await plant.tick()
    assert await left(plant) == {}


# --- whatever happens meanwhile ---


@SQLITE
async def test_whoever_comes_after_a_crash_goes_on(plant: Plant) -> None:
    await busy(plant)
    await keep(plant, age="1d")
    plant.clock.advance(2 * DAY)
    with slices(1):
        for _ in range(6):
            assert await plant.engine.retention.tick()
        assert await kept(plant) == set()
        assert await left(plant)
        await plant.crash()
        await plant.engine.retention.clear(NS)
        await plant.tick()
    assert await left(plant) == {}


@SQLITE
async def test_a_run_that_is_retried_in_the_last_moment_stays(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await ended(plant, fail=True)
    await plant.engine.runs.retry(NS, run)
    assert await plant.engine.retention._erasing.hide([run]) == 0
    assert (await plant.run(run)).state == "RUNNING"


@SQLITE
async def test_a_run_that_is_hidden_is_retried_no_more(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await ended(plant, fail=True)
    (task,) = await plant.tasks(run)
    await plant.engine.retention._erasing.hide([run])
    for verb in (RetryRun(run), RetryTask(task.id)):
        with pytest.raises(NotFound, match="has just been deleted"):
            await plant.engine.batches.submit(verb)
    await plant.tick()
    with pytest.raises(NotFound):
        await plant.engine.batches.submit(RetryRun(run))


@SQLITE
async def test_a_late_report_of_a_deleted_run_is_refused(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim()
    await hand.complete(task)
    await keep(plant, count=0)
    await plant.tick()
    (receipt,) = await hand.report(completion(task, 2))
    assert receipt.status == "refused"


@SQLITE
async def test_an_interrupted_slice_is_tried_again(plant: Plant) -> None:
    await plant.push(node("a"))
    await ended(plant)
    faults = [Interrupted("the line went dead")]

    async def seam(real: Any, work: Any) -> Any:
        if "Erasing.erase" in getattr(work, "__qualname__", "") and faults:
            await real(work)
            raise faults.pop()
        return await real(work)

    plant.seam(seam)
    await keep(plant, count=0)
    await plant.tick()
    assert not faults
    assert await left(plant) == {}


async def test_two_servers_delete_beside_each_other(servers: tuple[Plant, Plant]) -> None:

    here, there = servers
    await here.push(node("a"))
    for _ in range(6):
        await ended(here)
    await keep(here, count=0)
    with slices(2, runs=2):
        await asyncio.gather(here.tick(), there.tick())
        await here.tick()
    assert await left(here) == {}


# --- the cost ---


@SQLITE
async def test_with_nothing_to_do_a_tick_asks_nothing_of_the_store(plant: Plant) -> None:
    await plant.push(node("a"))
    await ended(plant)
    await plant.tick()
    statements, transactions, reads = plant.engine.store.statements, plant.transactions, plant.reads
    for _ in range(100):
        assert not await plant.engine.retention.tick()
    assert (plant.engine.store.statements, plant.transactions, plant.reads) == (statements, transactions, reads)


# --- the rule ---


@SQLITE
async def test_a_rule_is_shown_with_what_is_beyond_it(plant: Plant) -> None:
    await plant.push(node("a"))
    await ended(plant)
    would = await plant.engine.retention.put(NS, KeepSpec(count=0), dry_run=True)
    assert (would.beyond, (await plant.engine.retention.show(NS)).source) == (1, "default")
    await keep(plant, age="1d")
    view = await plant.engine.retention.show(NS)
    assert (view.source, view.keep.age, view.beyond) == ("namespace", "1d", 0)
    assert (await plant.engine.retention.clear(NS)).source == "default"


@SQLITE
@pytest.mark.parametrize(
    ("rule", "wrong"),
    [({"age": "soon"}, "age: a duration"), ({"count": -1}, "count: -1 is no number"), ({"age": -1}, "age: ")],
)
async def test_a_rule_that_means_nothing_is_refused(plant: Plant, rule: dict[str, Any], wrong: str) -> None:
    with pytest.raises(Invalid, match=wrong):
        await keep(plant, **rule)
    assert (await plant.engine.retention.show(NS)).source == "default"
