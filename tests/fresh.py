"""SQLite files that are like new, without running every migration for each of them."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import apsw

from stoker.storage.sqlite import migrate


def settle(path: Path) -> None:
    """Put a file there in which nothing is but the newest schema, unless there is one already."""
    if not path.exists():
        path.write_bytes(_template())


@cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stoker.db")
        connection = apsw.Connection(str(path))
        connection.execute("PRAGMA journal_mode=WAL")  # as the store has it; it is kept in the file
        migrate.apply(connection, path)
        connection.close()
        return path.read_bytes()
