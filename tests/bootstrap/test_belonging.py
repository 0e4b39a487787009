"""Servers on one database share one folder of artifacts, and one with another folder is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stoker.bootstrap import belonging
from stoker.bootstrap.engine import opened
from stoker.errors import Conflict, Unavailable
from stoker.storage.postgres.store import Postgres


async def start(data: Path, database: str, artifacts: Path) -> None:
    async with opened(data, durable=False, database=database, artifacts=artifacts):
        pass


async def test_the_first_server_makes_the_id_and_the_next_ones_agree(tmp_path: Path, database: str) -> None:
    shared = tmp_path / "shared"
    async with opened(tmp_path / "one", durable=False, database=database, artifacts=shared):
        first = belonging.read(shared)
        assert first is not None
        async with opened(tmp_path / "two", durable=False, database=database, artifacts=shared):
            assert belonging.read(shared) == first
    assert [path for path in shared.iterdir() if path.name.startswith(".id")] == []


async def test_another_folder_is_refused_with_the_remedy(tmp_path: Path, database: str, cluster: object) -> None:
    await start(tmp_path / "one", database, tmp_path / "shared")
    known = belonging.read(tmp_path / "shared")
    for other in (tmp_path / "two" / "artifacts", tmp_path / "three" / "artifacts"):
        if "three" in str(other):
            belonging.made(other)
        with pytest.raises(Conflict, match="not the artifact folder of the database") as caught:
            await start(other.parent, database, other)
        assert caught.value.place == str(other)
        assert str(known) in str(caught.value)
        assert "--artifacts" in caught.value.remedy
    assert belonging.read(tmp_path / "two" / "artifacts") is None


async def test_a_lost_id_can_be_written_again(tmp_path: Path, database: str) -> None:
    shared = tmp_path / "shared"
    await start(tmp_path / "one", database, shared)
    known = belonging.read(shared)
    (shared / "id").unlink()
    with pytest.raises(Conflict, match="has no id") as caught:
        await start(tmp_path / "one", database, shared)
    assert f"write {known} into it" in caught.value.remedy
    (shared / "id").write_text(f"{known}\n")
    await start(tmp_path / "one", database, shared)


async def test_of_two_first_servers_with_two_folders_one_is_refused(tmp_path: Path, database: str) -> None:
    store = Postgres(database)
    await store.open()
    folders = [tmp_path / "one", tmp_path / "two"]
    found = await asyncio.gather(*(belonging.check(store, each) for each in folders), return_exceptions=True)
    await store.close()
    assert sorted(map(type, found), key=str) == sorted([type(None), Conflict], key=str)


async def test_an_own_database_asks_for_no_id(tmp_path: Path) -> None:
    async with opened(tmp_path, durable=False):
        assert belonging.read(tmp_path / "artifacts") is None


def test_an_empty_or_unreadable_id_is_said(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("\n")
    with pytest.raises(Conflict, match="is empty"):
        belonging.made(tmp_path)
    (tmp_path / "id").unlink()
    (tmp_path / "id").mkdir()
    with pytest.raises(Unavailable, match="cannot be read or written"):
        belonging.read(tmp_path)
