"""One suite, every store. Another database is one more name here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stoker.storage.postgres.store import Postgres
from stoker.storage.sqlite.store import Sqlite

STORES = ["sqlite", "postgres"]


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """An empty, migrated store."""
    match request.param:
        case "sqlite":
            store: Any = Sqlite(tmp_path / "stoker.db", durable=False)
        case "postgres":
            store = Postgres(request.getfixturevalue("database"))
        case other:
            raise AssertionError(other)
    await store.open()
    yield store
    await store.close()
