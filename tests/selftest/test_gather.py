"""The checker on a real database: right as it was left, and wrong where it is damaged afterwards."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from stoker.bootstrap.place import Place
from stoker.selftest import checker, gather, quick
from stoker.selftest.evidence import Evidence


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a quick check that went well leaves behind."""
    folder = tmp_path_factory.mktemp("selftest") / "site"
    cases, wrongs = quick.check(folder)
    assert [case.wrong for case in cases] == [""] * len(quick.CASES)
    assert wrongs == []
    return folder


@pytest.fixture
def folder(left: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(left, tmp_path / "copy"))


def gathered(folder: Path) -> list[Evidence]:
    place = Place(data=folder / "server-1", artifacts=folder / "artifacts", database=None)

    async def all_of() -> list[Evidence]:
        return [one async for one in gather.evidence(place, gather.executed(folder / "traces"))]

    return asyncio.run(all_of())


def rules(folder: Path) -> set[str]:
    return {wrong.rule for one in gathered(folder) for wrong in checker.wrongs(one)}


def test_what_a_good_check_leaves_is_right_and_all_of_it_is_seen(folder: Path) -> None:
    found = gathered(folder)
    assert rules(folder) == set()
    assert len(found) == len(quick.CASES)
    assert sum(len(one.tasks) for one in found) == 45
    assert all(one.executions for one in found)
    assert [list(one.artifacts) for one in found if one.artifacts] == [[1]]


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        ("DELETE FROM item WHERE run = 1 AND node = 1", "one result per task"),
        ("UPDATE join_row SET arrived = arrived + 1", "join rows equal their recount"),
        ("UPDATE node_count SET succeeded = succeeded - 1", "node counters equal the tasks"),
        ("UPDATE run SET open = 1 WHERE id = 1", "run counters equal the tasks"),
        ("UPDATE task SET state = 2, session = 1 WHERE id = 1", "no task is left"),
        ("DELETE FROM artifact", "large bytes are there"),
        ("UPDATE task SET attempt = 9 WHERE id = 1", "what succeeded was run"),
    ],
)
def test_damage_to_a_row_is_found(folder: Path, damage: str, rule: str) -> None:
    with closing(sqlite3.connect(folder / "server-1" / "stoker.db")) as connection, connection:
        assert connection.execute(damage).rowcount > 0
    assert rule in rules(folder)


def test_a_damaged_and_a_missing_file_are_found(folder: Path) -> None:
    (path,) = (folder / "artifacts").glob("[0-9a-f][0-9a-f]/*")
    path.chmod(0o600)
    path.write_text("something else")
    assert rules(folder) == {"large bytes are there"}
    path.unlink()
    assert rules(folder) == {"large bytes are there"}


def test_a_missing_trace_is_found(folder: Path) -> None:
    (folder / "traces").write_text("")
    assert rules(folder) == {"what succeeded was run"}
