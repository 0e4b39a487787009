"""A disk that is full or broken, memory that runs out: nothing acknowledged is lost, and the store recovers."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from engine.plant import Plant, completion, node
from stoker.bootstrap.engine import StokerEngine
from stoker.errors import Unavailable
from stoker.storage.sqlite.store import Sqlite
from storage.faults import Disk, FaultyVfs


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    vfs = FaultyVfs(disk)
    yield disk
    disk.operation = ""
    vfs.unregister()


@pytest.fixture
async def plant(disk: Disk, tmp_path: Path) -> Any:
    plant = await Plant(tmp_path / "data", durable=True).start()
    await plant.push(node("a"))
    await plant.trigger()
    yield plant
    await plant.stop()


@pytest.mark.parametrize(
    ("operation", "error"),
    [("write", apsw.FullError), ("write", apsw.IOError), ("sync", apsw.IOError), ("write", apsw.NoMemError)],
)
async def test_a_disk_that_fails_makes_all_items_unavailable_and_heals(
    plant: Plant, disk: Disk, operation: str, error: type[apsw.Error]
) -> None:
    hand = plant.hand()
    (task,) = await hand.claim(1)
    before = plant.engine.store._connection
    with disk.fails(operation, error):
        calls = [hand.report(completion(task)), *(plant.trigger() for _ in range(5))]
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert disk.failed
    assert all(isinstance(answer, Unavailable) and answer.remedy for answer in answers)
    assert plant.engine.store._connection is not before
    assert await plant.sql("SELECT COUNT(*) FROM run") == [(1,)]
    assert (await plant.task(task.task)).state == "LEASED"
    assert (await hand.complete(task)).status == "accepted"
    assert await plant.sql("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("after", range(12))
async def test_a_disk_that_fills_up_in_any_write_of_a_commit_loses_nothing_acknowledged(
    plant: Plant, disk: Disk, after: int
) -> None:
    acknowledged: set[int] = {1}
    with disk.fails("write", apsw.FullError, after):
        for _ in range(4):
            try:
                acknowledged.add(await plant.trigger())
            except Unavailable:
                continue
    acknowledged.add(await plant.trigger())
    kept = {run for (run,) in await plant.sql("SELECT id FROM run")}
    assert acknowledged <= kept
    hand = plant.hand()
    while tasks := await hand.claim(10):
        await hand.report(*(completion(task) for task in tasks))
    assert await plant.sql("SELECT COUNT(*) FROM run WHERE state != 2") == [(0,)]
    assert await plant.sql("PRAGMA integrity_check") == [("ok",)]


async def test_readers_go_on_while_nothing_can_be_written(plant: Plant, disk: Disk) -> None:
    with disk.fails("write", apsw.FullError):
        with pytest.raises(Unavailable):
            await plant.trigger()
        assert (await plant.run(1)).state == "RUNNING"


async def test_an_error_while_reading_is_unavailable_and_heals(plant: Plant) -> None:
    async def broken(reader: Any) -> Any:
        await reader.rows("namespaces")
        raise apsw.IOError("on purpose")

    for _ in range(3):
        with pytest.raises(Unavailable):
            await plant.engine.store.read(broken)
    assert (await plant.run(1)).state == "RUNNING"


async def test_a_full_disk_for_artifacts_is_unavailable_and_the_report_can_be_repeated(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = plant.hand()
    (task,) = await hand.claim(1)
    large = "x" * (1024 * 1024 + 1)
    write = os.write

    def full(handle: int, content: Any) -> int:
        if len(content) > 1024 * 1024:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, content)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(Unavailable):
        await hand.complete(task, large)
    monkeypatch.undo()
    assert (await hand.complete(task, large)).status == "accepted"


# --- files that cannot be used ---


async def refused(path: Path) -> Unavailable:
    store = Sqlite(path)
    try:
        with pytest.raises(Unavailable) as caught:
            await store.open()
    finally:
        await store.close()
    return caught.value


async def test_a_file_that_is_newer_than_the_code_is_refused(tmp_path: Path) -> None:
    store = Sqlite(tmp_path / "stoker.db")
    await store.open()
    await store.close()
    connection = apsw.Connection(str(tmp_path / "stoker.db"))
    connection.execute("PRAGMA user_version=999")
    connection.close()
    error = await refused(tmp_path / "stoker.db")
    assert error.code == "schema_newer"
    assert "999" in error.message
    assert error.remedy


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "stoker.db").write_bytes(b"this is a shopping list\n" * 1_000)
    error = await refused(tmp_path / "stoker.db")
    assert error.place == str(tmp_path / "stoker.db")
    assert error.remedy
    assert (tmp_path / "stoker.db").read_bytes().startswith(b"this is a shopping list")


async def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    error = await refused(tmp_path / "nowhere" / "stoker.db")
    assert "folder" in error.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_that_is_not_writable_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "writable" in (await refused(tmp_path / "stoker.db")).remedy
    tmp_path.chmod(0o700)


async def test_an_engine_that_could_not_open_can_be_closed(tmp_path: Path) -> None:
    engine = StokerEngine(tmp_path / "nowhere")
    with pytest.raises(Unavailable):
        await engine.open()
    await engine.close()


async def test_opening_twice_changes_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        store = Sqlite(tmp_path / "stoker.db")
        await store.open()
        await store.close()


async def test_a_full_disk_while_migrating_says_so_and_can_be_repeated(tmp_path: Path, disk: Disk) -> None:
    with disk.fails("write", apsw.FullError, after=3):
        error = await refused(tmp_path / "stoker.db")
    assert "space" in error.remedy
    store = Sqlite(tmp_path / "stoker.db")
    await store.open()
    await store.close()
