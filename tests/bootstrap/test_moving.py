"""A whole installation moves: its runs go on, its artifacts are there, and what is in use stays where it is."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from databases import Cluster, name_of
from engine.plant import START, Hand, ManualClock, Plant, completion, node
from stoker.bootstrap import belonging, linking
from stoker.bootstrap.embedded import Embedded
from stoker.bootstrap.engine import opened
from stoker.bootstrap.lock import locked
from stoker.bootstrap.moving import Report, move
from stoker.bootstrap.place import Place, there
from stoker.bootstrap.survey import migrate, survey
from stoker.errors import Conflict, NotFound, StokerError, Unavailable
from stoker.storage import queries

CONTENT = b"bytes of an artifact " * 1000


def place(data: Path, database: str | None = None, artifacts: Path | None = None) -> Place:
    return Place(data=data, artifacts=artifacts or data / "artifacts", database=database)


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def installation(data: Path) -> tuple[int, Hand]:
    """A SQLite installation with an artifact and a run; gives the run and who has leased its first task."""
    plant = await Plant(data, clock=ManualClock(START)).start()
    await plant.push(node("a"), node("b"))
    await plant.engine.artifacts.put("default", "kept.bin", "application/octet-stream", chunks(CONTENT))
    run = await plant.trigger()
    hand = plant.hand()
    assert len(await hand.claim()) == 1
    await plant.stop()
    return run, hand


async def go_on(hand: Hand, run: int, data: Path, database: str | None) -> None:
    """Whoever had the task reports it to a server on the moved database, and does the rest."""
    plant = Plant(data, clock=ManualClock(START + 10_000_000), database=database)
    hand.plant = await plant.start()
    (held,) = hand.held.values()
    (receipt,) = await hand.report(completion(held))
    assert receipt.status == "accepted"
    (rest,) = await hand.claim()
    (receipt,) = await hand.report(completion(rest))
    assert (await plant.run(run)).state == "SUCCEEDED"
    await plant.stop()


async def test_a_run_that_goes_on_goes_on_at_the_target(tmp_path: Path, database: str) -> None:
    data = tmp_path / "data"
    run, hand = await installation(data)
    report = await move(place(data), place(data, database))
    assert {one.table: one.rows for one in report.tables}["task"] == 2
    await go_on(hand, run, data, database)


async def test_and_back_to_a_folder_with_its_artifacts_and_token(tmp_path: Path, database: str) -> None:
    data, back = tmp_path / "data", tmp_path / "back"
    run, hand = await installation(data)
    (data / "token").write_text("stk_of_this_installation\n")
    first = await move(place(data), place(data, database))
    second = await move(place(data, database), there(place(data, database), str(back)))
    one, two = ({table.table: table.digest for table in report.tables} for report in (first, second))
    assert {table for table in one if one[table] != two[table]} == {
        "fact",
        "audit",
    }  # the move itself wrote whose artifacts
    assert second.linked is not None
    assert (second.linked.files, second.linked.size) == (1, len(CONTENT))
    assert (second.missing, (back / "token").read_text()) == (0, "stk_of_this_installation\n")
    key = hashlib.sha256(CONTENT).hexdigest()
    assert (back / "artifacts" / key[:2] / key).read_bytes() == CONTENT
    await go_on(hand, run, back, None)


async def test_the_target_knows_the_artifact_folder_from_the_start(tmp_path: Path, database: str) -> None:
    data = tmp_path / "data"
    await installation(data)
    await move(place(data), place(data, database))
    with pytest.raises(Conflict, match="not the artifact folder"):
        async with opened(tmp_path / "other", database=database):
            pass
    with pytest.raises(Conflict, match="not the artifact folder"):
        await move(place(data, database, tmp_path / "other"), place(tmp_path / "back"))
    assert not (tmp_path / "back" / "stoker.db").exists()


async def test_the_source_is_left_as_it_was(tmp_path: Path, database: str) -> None:
    data = tmp_path / "data"
    await installation(data)
    before = (data / "stoker.db").read_bytes()
    await move(place(data), place(data, database))
    await move(place(data), place(tmp_path / "copy"))
    assert (data / "stoker.db").read_bytes() == before


async def test_a_folder_in_use_is_neither_source_nor_target(tmp_path: Path, database: str) -> None:
    data, used = tmp_path / "data", tmp_path / "used"
    await installation(data)
    with Embedded(used):
        for source, target in ((used, place(used, database)), (data, place(used))):
            with pytest.raises(Conflict, match="in use by the server"):
                await move(place(source), target)


async def test_a_source_that_is_not_there_is_said_and_not_made(tmp_path: Path, database: str) -> None:
    with pytest.raises(NotFound, match="no database to move"):
        await move(place(tmp_path / "data"), place(tmp_path / "data", database))
    assert list(tmp_path.iterdir()) == []


async def test_the_same_place_twice_is_refused(tmp_path: Path) -> None:
    await installation(tmp_path)
    with pytest.raises(StokerError, match="source and target are the same"):
        await move(place(tmp_path), there(place(tmp_path), str(tmp_path)))


async def test_a_damaged_artifact_stops_the_move_and_undoes_it(tmp_path: Path) -> None:
    data, back = tmp_path / "data", tmp_path / "back"
    await installation(data)
    key = hashlib.sha256(CONTENT).hexdigest()
    path = data / "artifacts" / key[:2] / key
    path.chmod(0o600)
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(Unavailable, match="not what its name says") as caught:
        await move(place(data), place(back))
    assert str(path) in caught.value.remedy
    assert not (back / "stoker.db").exists()


async def test_bytes_that_are_missing_are_counted(tmp_path: Path, database: str) -> None:
    data = tmp_path / "data"
    await installation(data)
    report: Report = await move(
        place(data, None, tmp_path / "elsewhere"), place(data, database, tmp_path / "elsewhere")
    )
    assert report.missing == 1


def test_on_another_disk_artifacts_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = hashlib.sha256(CONTENT).hexdigest()
    (tmp_path / "one" / key[:2]).mkdir(parents=True)
    (tmp_path / "one" / key[:2] / key).write_bytes(CONTENT)
    (tmp_path / "one" / "incoming").mkdir()
    (tmp_path / "one" / "id").write_text("x\n")

    def no_link(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", no_link)
    assert linking.link(tmp_path / "one", tmp_path / "two").files == 1
    copy = tmp_path / "two" / key[:2] / key
    assert (copy.read_bytes(), copy.stat().st_nlink, [path.name for path in copy.parent.iterdir()]) == (
        CONTENT,
        1,
        [key],
    )


def test_where_links_can_be_no_byte_is_copied(tmp_path: Path) -> None:
    key = hashlib.sha256(CONTENT).hexdigest()
    (tmp_path / "one" / key[:2]).mkdir(parents=True)
    (tmp_path / "one" / key[:2] / key).write_bytes(CONTENT)
    for _ in range(2):  # again does no harm
        assert linking.link(tmp_path / "one", tmp_path / "two").size == len(CONTENT)
    assert os.stat(tmp_path / "two" / key[:2] / key).st_nlink == 2


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_survey_counts_what_people_know(tmp_path: Path, database: str, kind: str) -> None:
    here = place(tmp_path, database if kind == "postgres" else None)
    empty, servers = await survey(here)
    assert (empty.schema, empty.tasks, servers) == (0, 0, [])
    plant = await Plant(tmp_path, clock=ManualClock(time.time_ns() // 1_000), database=here.database).start()
    await plant.push(node("a"), node("b"))
    await plant.push(node("a"), name="other")
    await plant.engine.artifacts.put("default", "kept.bin", "text/plain", chunks(CONTENT))
    await plant.trigger()
    found, servers = await survey(here)
    assert (found.schema, found.newest) == (queries.newest("sqlite"),) * 2
    assert (found.namespaces, found.graphs, found.runs, found.tasks) == (1, 2, {"RUNNING": 1}, 2)
    assert (found.artifacts, found.artifact_bytes, found.tokens) == (1, len(CONTENT), 0)
    assert found.size > 10_000
    assert len(servers) == (1 if kind == "postgres" else 0)  # an engine without a server wrote no server.json
    await plant.stop()
    assert (await survey(here))[1] == []


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_migrating_brings_an_older_schema_up_and_says_so(
    tmp_path: Path, database: str, cluster: Cluster, kind: str
) -> None:
    here, newest = place(tmp_path, database if kind == "postgres" else None), queries.newest("sqlite")
    assert await migrate(here) == (0, newest)
    assert await migrate(here) == (newest, newest)
    if kind == "sqlite":
        with locked(tmp_path):
            assert await migrate(here) == (newest, newest)
    else:
        cluster.psql(f"UPDATE stoker_schema SET number = {newest + 1}", database=name_of(database))
        with pytest.raises(Unavailable, match=f"schema {newest + 1}"):
            await migrate(here)


async def test_a_folder_in_use_is_not_migrated(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(Conflict, match="in use"):
        await migrate(place(tmp_path))


async def test_an_id_of_artifacts_goes_along(tmp_path: Path, database: str) -> None:
    data, back = tmp_path / "data", tmp_path / "back"
    await installation(data)
    await move(place(data), place(data, database))
    await move(place(data, database), place(back))
    assert belonging.read(back / "artifacts") == belonging.read(data / "artifacts") is not None
