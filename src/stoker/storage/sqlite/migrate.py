"""Brings a SQLite file to the newest schema, or refuses one that is newer than this code."""

from __future__ import annotations

from pathlib import Path

import apsw

from stoker.errors import Unavailable
from stoker.storage import queries


def apply(connection: apsw.Connection, path: Path) -> None:
    """Run the migrations that the file has not seen, in one transaction."""
    known = queries.migrations("sqlite")
    connection.execute("BEGIN IMMEDIATE")
    try:
        ((found,),) = connection.execute("PRAGMA user_version")
        _check(found, known[-1][0], path)
        for number, _, sql in known:
            if number > found:
                connection.execute(sql)
                connection.execute(f"PRAGMA user_version={number}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has undone it already
            connection.execute("ROLLBACK")
        raise


def _check(found: int, newest: int, path: Path) -> None:
    if found > newest:
        raise Unavailable(
            f"the database has schema {found}; this version of Stoker knows schemas up to {newest}.",
            code="schema_newer",
            place=str(path),
            remedy="Upgrade Stoker, or restore a backup made before the database was upgraded.",
        )
