"""Artifacts that nothing names go, with their bytes; what is named, young, or just being written does not."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.plant import NS, Plant, after, encoded, join, node
from stoker.artifacts import sweeping
from stoker.core.graph import Value
from stoker.core.keep_views import KeepSpec
from stoker.core.schedule_views import ScheduleSpec
from stoker.core.upkeep_views import CollectionView
from stoker.engine import marking
from stoker.engine.holds import BACKUP, COLLECT, Holds
from stoker.engine.retention import BETWEEN
from stoker.errors import NotFound
from stoker.storage import shape

SQLITE = pytest.mark.parametrize("plant", ["sqlite"], indirect=True)  # the SQL of which runs on both elsewhere

DAY = 86_400.0
MEGABYTE = 1024 * 1024

READ = {"item.body", "past_item.body", "run_input.body", "run_store.body", "schedule.spec", "version.spec"} | {
    "document.body"
}
NAME_NONE = {
    "task.element",  # a part of an item, an input or a graph
    "past_task.body",
    "spread.places",
    "live_node.bound",  # numbers of outputs
    "live_node.bound_before",
    "keep.spec",
    "kind.spec",
    "version.kinds",
    "token.kinds",
    "log.text",
}
SUSPECT = {
    "body",
    "spec",
    "element",
    "places",
    "kinds",
    "bound",
    "bound_before",
    "text",
    "value_json",
    "input",
    "output",
}


async def upload(plant: Plant, content: bytes = b"x") -> int:
    async def chunks() -> AsyncIterator[bytes]:
        yield content

    return (await plant.engine.artifacts.put(NS, "a name", "text/plain", chunks())).id


def files(plant: Plant) -> list[Path]:
    return [path for path in (plant.data / "artifacts").glob("??/*") if len(path.name) == 64]


def aged(plant: Plant) -> None:
    """A day and more passes, also for files."""
    plant.clock.advance(DAY + 1)
    for path in files(plant):
        os.utime(path, (1, 1))


async def collected(plant: Plant, **options: Any) -> CollectionView:
    plant.engine.collecting.start(**{"dry_run": False, **options})
    view = await plant.engine.collecting.look(60)
    assert not view.running
    return view


async def there(plant: Plant) -> set[int]:
    return {row[0] for row in await plant.sql("SELECT id FROM artifact")}


def handle(artifact: int) -> dict[str, int]:
    return {"$artifact": artifact}


# --- what goes ---


async def test_what_nothing_names_goes_with_its_bytes(plant: Plant) -> None:
    one, two = await upload(plant, b"one"), await upload(plant, b"two")
    await plant.push(node("a"), inputs=["x"])
    await plant.trigger(inputs={"x": [handle(two)]})
    aged(plant)
    would = await collected(plant, dry_run=True)
    assert (would.artifacts, would.artifact_bytes, would.files, would.file_bytes) == (1, 3, 1, 3)
    assert await there(plant) == {one, two}
    view = await collected(plant)
    assert (view.artifacts, view.files, view.file_bytes, view.error) == (1, 1, 3, "")
    assert await there(plant) == {two}
    assert len(files(plant)) == 1
    with pytest.raises(NotFound):
        await plant.engine.artifacts.get(NS, one)


@SQLITE
async def test_bytes_go_when_the_last_artifact_of_them_goes(plant: Plant) -> None:
    one, two = await upload(plant), await upload(plant)
    await plant.push(node("a"), inputs=["x"])
    await plant.trigger(inputs={"x": handle(one)})
    aged(plant)
    view = await collected(plant)
    assert (view.artifacts, view.files) == (1, 0)
    assert await there(plant) == {one}
    assert two


@SQLITE
async def test_what_is_young_stays(plant: Plant) -> None:
    await upload(plant)
    plant.clock.advance(DAY - 1)
    assert (await collected(plant)).artifacts == 0
    plant.clock.advance(2)
    view = await collected(plant)
    assert (view.artifacts, view.files) == (1, 0), "the file is young by its own clock"


@SQLITE
async def test_what_an_attempt_that_goes_on_uploaded_stays_however_old(plant: Plant) -> None:
    await plant.push(node("a", timeout="3d"))
    await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim()
    plant.clock.advance(1)
    one = await upload(plant)
    aged(plant)
    assert (await collected(plant)).artifacts == 0
    await hand.complete(task)
    assert (await collected(plant)).artifacts == 1
    assert one


# --- what stays ---


async def test_whatever_names_an_artifact_keeps_it(plant: Plant) -> None:
    ids = [await upload(plant, bytes([number])) for number in range(7)]
    await plant.push(node("a"), node("b", after("a")), node("c", join("b", policy="all_done")), inputs=["x"])
    run = await plant.trigger(inputs={"x": handle(ids[0])}, store={"s": encoded(handle(ids[1]))})
    hand = plant.hand()
    await hand.complete(*await hand.claim(), handle(ids[2]))
    await hand.fail(*await hand.claim())
    await hand.complete(*await hand.claim(), {"big": "x" * MEGABYTE, "file": handle(ids[3])})  # lies in a file
    await plant.engine.schedules.put(
        NS, "late", ScheduleSpec(graph="sample", every="300d", inputs={"x": encoded(handle(ids[4]))})
    )
    await plant.push(node("a", bind={"x": Value(value=handle(ids[5]))}), name="other")
    await plant.engine.documents.change(NS, lambda changes: changes.add("sort", encoded(handle(ids[6]))))
    aged(plant)
    assert (await collected(plant)).artifacts == 0
    await plant.engine.runs.retry(NS, run, rerun_below=True)  # what it gave is in the past now
    assert [row[0] for row in await plant.sql("SELECT COUNT(*) FROM past_item")] == [1]
    assert (await collected(plant)).artifacts == 0
    assert await there(plant) == {*ids}


def test_every_column_with_values_of_users_is_read() -> None:
    """A new one belongs to those that are read, or to those that name no artifact."""
    found = {f"{table.name}.{column}" for table in shape.newest() for column in table.columns if column in SUSPECT}
    assert found == READ | NAME_NONE
    assert len(marking.SOURCES) == len(READ)


@SQLITE
async def test_a_handle_across_pieces_of_a_large_value_is_found(plant: Plant) -> None:
    one = await upload(plant)
    await plant.push(node("a"))
    await plant.trigger()
    hand = plant.hand()
    piece = 256 * 1024
    for pad in (piece - 12, piece - 8, 2 * piece - 7):  # the handle begins three bytes behind
        text = "x" * (pad - 10)
        await hand.complete(*await hand.claim(), {"p": text, "f": handle(one), "more": "y" * MEGABYTE})
        await plant.trigger()
    aged(plant)
    assert (await collected(plant)).artifacts == 0


# --- whatever happens meanwhile ---


async def test_no_run_is_hidden_while_it_is_looked_what_they_name(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    hand = plant.hand()
    await hand.complete(*await hand.claim())
    holds = Holds(plant.engine.store, plant.clock, plant.dice)
    holder = await holds.take(COLLECT)
    assert holder is not None
    await plant.engine.retention.put(NS, KeepSpec(count=0))
    await plant.tick()
    assert len((await plant.engine.views.runs(NS, limit=9, after=None)).items) == 1
    assert "another server is collecting" in (await collected(plant)).error
    await holds.give(COLLECT, holder)
    await plant.pass_time(BETWEEN / 1e6)
    assert not (await plant.engine.views.runs(NS, limit=9, after=None)).items
    await plant.engine.collecting.look(60)


async def test_nothing_is_deleted_while_a_backup_is_made(plant: Plant) -> None:
    one = await upload(plant)
    aged(plant)
    await Holds(plant.engine.store, plant.clock, plant.dice).take(BACKUP)
    assert "a backup is being made" in (await collected(plant)).error
    assert (await collected(plant, dry_run=True)).artifacts == 1
    assert await there(plant) == {one}
    plant.clock.advance(121)  # whoever made it died
    assert (await collected(plant)).artifacts == 1


@SQLITE
async def test_who_stood_still_for_too_long_deletes_nothing(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    one = await upload(plant)
    aged(plant)
    real = marking.Marking.pages

    async def slow(self: marking.Marking) -> AsyncIterator[int]:
        async for page in real(self):
            yield page
        plant.clock.advance(121)

    monkeypatch.setattr(marking.Marking, "pages", slow)
    assert "a pause of more than" in (await collected(plant)).error
    assert await there(plant) == {one}


@SQLITE
async def test_bytes_that_are_written_again_meanwhile_stay(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at the rows and the deletion of the file."""
    await upload(plant, b"same")
    aged(plant)
    real = sweeping.sweep

    def sweep(root: Path, keys: Any, age_s: float) -> list[str]:
        for key in keys:
            (root / key[:2] / key).touch()  # as a new file that a writer has just put there
        return real(root, keys, age_s)

    monkeypatch.setattr(sweeping, "sweep", sweep)
    view = await collected(plant)
    assert (view.artifacts, view.files) == (1, 0)
    two = await upload(plant, b"same")
    found = await plant.engine.artifacts.get(NS, two)
    assert [piece async for piece in plant.engine.artifacts.read(found, 0, 4)] == [b"same"]


async def test_where_runs_are_deleted_it_begins_by_itself_once_a_day(plant: Plant) -> None:
    await plant.push(node("a"), inputs=["x"])
    one = await upload(plant)
    await plant.trigger(inputs={"x": handle(one)})
    hand = plant.hand()
    await hand.complete(*await hand.claim())
    await plant.engine.retention.put(NS, KeepSpec(age="1d"))
    await plant.tick()
    assert (await plant.engine.collecting.look(60)).looked > 0
    aged(plant)
    await plant.tick()
    await plant.engine.collecting.look(60)
    assert await there(plant) == set()
    looked = plant.engine.collecting.view
    await plant.pass_time(BETWEEN / 1e6)
    assert plant.engine.collecting.view is looked


# --- the room ---


async def test_usage_counts_rows_and_bytes_by_namespace(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    hand = plant.hand()
    await hand.complete(*await hand.claim(), "12345")
    await upload(plant, b"123")
    view = await plant.engine.usage.look()
    (found,) = view.namespaces
    assert (found.name, found.runs, found.tasks, found.items, found.item_bytes) == (NS, 1, 1, 1, 7)
    assert (found.artifacts, found.artifact_bytes, found.deleting) == (1, 3, 0)
    assert 0 < view.free_bytes <= view.disk_bytes
