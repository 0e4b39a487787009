"""The log is copied into the file beside the commits, and never at the price of one."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from stoker.engine.ports import Tx
from stoker.storage.sqlite import checkpoint
from stoker.storage.sqlite.store import Sqlite


async def test_a_reader_that_holds_the_log_fails_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "LOUD", 1)
    monkeypatch.setattr(checkpoint, "QUIET", 1)
    store = Sqlite(tmp_path / "stoker.db", durable=False)
    await store.open()

    async def put(tx: Tx) -> None:
        await tx.execute("insert_namespace", "first")

    await store.transact(put)
    store._connection.set_busy_timeout(0)  # type: ignore[union-attr]
    other = apsw.Connection(str(store.path), flags=apsw.SQLITE_OPEN_READWRITE)
    other.execute("BEGIN")
    other.execute("SELECT COUNT(*) FROM namespace").fetchall()

    async def more(tx: Tx) -> None:
        await tx.execute("insert_namespace", "second")

    try:
        for _ in range(3):
            await store.transact(more)
    finally:
        other.close()
        await store.close()
