"""What tests begin with is what servers begin with: the databases, and where they lie."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import apsw
import pytest

import fresh
import rooms
from databases import Cluster, name_of
from stoker.storage.postgres.store import Postgres
from stoker.storage.sqlite.store import Sqlite

SHAPE = """SELECT c.relname, c.relkind, a.attname, a.atttypid, a.attnotnull, pg_get_indexdef(c.oid),
pg_get_expr(d.adbin, d.adrelid) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1, a.attnum"""


async def test_a_file_like_new_is_what_the_migrations_make(tmp_path: Path) -> None:
    fresh.settle(tmp_path / "like-new.db")
    opened = Sqlite(tmp_path / "new.db", durable=False)
    await opened.open()
    await opened.close()
    assert contents(tmp_path / "like-new.db") == contents(tmp_path / "new.db")


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "stoker.db"
    path.write_text("mine")
    fresh.settle(path)
    assert path.read_text() == "mine"


async def test_a_migrated_database_is_what_the_migrations_make(cluster: Cluster, database: str, migrated: str) -> None:
    opened = Postgres(database)
    await opened.open()
    await opened.close()
    shapes = [cluster.psql(SHAPE, database=name_of(url)) for url in (database, migrated)]
    assert shapes[0] == shapes[1] != ""
    numbers = [cluster.psql("SELECT * FROM stoker_schema", database=name_of(url)) for url in (database, migrated)]
    assert numbers[0] == numbers[1] != ""


def test_a_folder_that_is_missing_or_too_small_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "ENOUGH", 1)
    assert not rooms.has_room(tmp_path / "nowhere")
    assert rooms.has_room(tmp_path)
    monkeypatch.setattr(rooms, "ENOUGH", 1 << 60)
    assert not rooms.has_room(tmp_path)


def test_memory_is_taken_unless_somebody_said_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(rooms, "ENOUGH", 1)
    monkeypatch.setattr(rooms, "MEMORY", tmp_path)
    monkeypatch.setenv("TMPDIR", "elsewhere")
    rooms.settle()
    assert (os.environ["TMPDIR"], tempfile.tempdir) == ("elsewhere", None)
    monkeypatch.delenv("TMPDIR")
    rooms.settle()
    assert (os.environ["TMPDIR"], tempfile.gettempdir()) == (str(tmp_path), str(tmp_path))


def contents(path: Path) -> list[object]:
    connection = apsw.Connection(str(path))
    try:
        tables = [table for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        rows = [list(connection.execute(f'SELECT * FROM "{table}"')) for table in tables]
        pragmas = [connection.pragma(name) for name in ("user_version", "journal_mode", "page_size", "auto_vacuum")]
        return [list(connection.execute("SELECT type, name, sql FROM sqlite_schema")), rows, pragmas]
    finally:
        connection.close()
