"""Features that meet: what one of them deletes, hides or makes again, another one still tells right."""

from __future__ import annotations

import apsw
import msgspec
import pytest

from core.player import slices_of
from engine.plant import NS, Plant, after, node
from engine.test_archives import exported, files, imported, packed, upload
from stoker.core.fork_views import ForkRequest
from stoker.core.graph import Element
from stoker.core.schedule_views import RunNowRequest, ScheduleSpec
from stoker.errors import Conflict, Invalid, NotFound
from stoker.storage import queries

HOURLY = ScheduleSpec(graph="sample", every="1h")


async def test_the_runs_of_a_deleted_schedule_are_never_those_of_the_next_one(plant: Plant) -> None:
    await plant.push(node("a"))
    schedules, keyed = plant.engine.schedules, RunNowRequest(idempotency_key="once")
    await schedules.put(NS, "old", HOURLY)
    run = (await schedules.run(NS, "old", keyed)).id
    assert (await plant.run(run)).schedule == "old"
    await schedules.delete(NS, "old")
    await schedules.put(NS, "new", HOURLY)
    assert (await plant.run(run)).schedule is None
    with pytest.raises(Conflict, match="once"):
        await schedules.run(NS, "new", keyed)


def test_so_it_is_with_schedules_from_before() -> None:
    connection = apsw.Connection(":memory:")
    for _, name, sql in queries.migrations("sqlite"):
        if name.endswith("schedule_ids.sql"):
            connection.execute("INSERT INTO schedule VALUES (3, 1, 'kept', '{}', 0, 0, NULL)")
            run = (
                "INSERT INTO run (id, namespace, version, state, stopping, priority, last_order_at, open, tasks, failed"
            )
            connection.execute(f"{run}, created_at, schedule) VALUES (1, 1, 1, 2, 0, 5, 0, 0, 0, 0, 0, 7)")
        connection.execute(sql)
    assert list(connection.execute("SELECT name, next FROM sequence")) == [("schedule", 8)]
    connection.close()


async def test_the_elements_of_an_imported_run_name_its_own_files(plant: Plant) -> None:
    await plant.push(node("s"), node("m", after("s", ()), bind={"file": Element(of="s")}))
    hand, file = plant.hand(), await upload(plant, b"a file")
    run = await plant.trigger()
    await hand.complete(*await hand.claim(), [{"$artifact": file}])
    await hand.complete(*await hand.claim(), "seen")
    copy = await imported(plant, await exported(plant, run))
    (seen,) = await plant.tasks(copy, "m")
    given = b"".join([part async for part in await plant.engine.recorded.input(NS, seen.id)])
    named = msgspec.json.decode(given)["file"]["$artifact"]
    assert named != file
    assert (await plant.engine.artifacts.get(NS, named)).name == "a name"
    (past,) = await plant.sql("SELECT element FROM task WHERE run = ? AND element IS NOT NULL", copy)
    assert bytes(past[0]) == b'{"$artifact":%d}' % named


async def test_what_failed_in_an_imported_run_is_retried_in_its_fork(plant: Plant) -> None:
    await plant.push(node("bad"), node("good"))
    hand, run = plant.hand(), await plant.trigger()
    for task in await hand.claim(2):
        await (hand.fail(task) if task.node == "bad" else hand.complete(task))
    copy = await imported(plant, await exported(plant, run))
    fork = (await plant.engine.forks.fork(NS, copy, ForkRequest(from_="good"))).run
    assert fork is not None
    await hand.complete(*await hand.claim())
    await plant.engine.runs.retry(NS, fork)
    await hand.complete(*await hand.claim())
    assert (await plant.run(fork)).state == "SUCCEEDED"


@pytest.mark.parametrize("plant", ["sqlite"], indirect=True)
async def test_so_do_those_of_which_no_tasks_were_made_and_they_are_looked_at_before(plant: Plant) -> None:
    await plant.push(node("s"), node("m", after("s", ())))
    hand, file = plant.hand(), await upload(plant, b"a file")
    run = await plant.trigger()
    with slices_of(1):
        await hand.complete(*await hand.claim(), [{"$artifact": file}] * 2)
        await plant.engine.runs.cancel(NS, run)
        await plant.tick()
    archive = await exported(plant, run)
    copy = await imported(plant, archive)
    ((places,),) = await plant.sql("SELECT places FROM spread WHERE run = ?", copy)
    elements = {bytes(element) for _, element in msgspec.msgpack.decode(places)}
    assert elements
    assert b'{"$artifact":%d}' % file not in elements
    content = files(archive)
    (part,) = (name for name in content if name.startswith("tables/spread/"))
    for wrong in (b"\xc1", msgspec.msgpack.encode([(b"", b"{")]), msgspec.msgpack.encode([(b"x", None)])):
        (row,) = msgspec.json.decode(content[part])
        row[8] = wrong
        with pytest.raises(Invalid, match="archive"):
            await imported(plant, packed(content | {part: msgspec.json.encode([row])}))


@pytest.mark.parametrize("plant", ["sqlite"], indirect=True)
@pytest.mark.parametrize("what", ["manifest", "export"])
async def test_what_is_deleted_while_it_is_read_is_never_told_of_as_whole(plant: Plant, what: str) -> None:
    await plant.push(node("a"))
    hand, run = plant.hand(), await plant.trigger()
    await hand.complete(*await hand.claim())
    engine = plant.engine
    pieces = await engine.manifests.lines(NS, run) if what == "manifest" else engine.exporting.stream(NS, run)
    await anext(pieces)
    assert await engine.retention._erasing.hide([run]) == 1
    with pytest.raises(NotFound, match=f"no run {run}"):
        [piece async for piece in pieces]
