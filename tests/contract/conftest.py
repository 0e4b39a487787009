"""One suite, every store. A second database is one more name here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stoker.storage.sqlite import Sqlite

STORES = ["sqlite"]


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """An empty, migrated store."""
    match request.param:
        case "sqlite":
            store = Sqlite(tmp_path / "stoker.db", durable=False)
        case other:
            raise AssertionError(other)
    await store.open()
    yield store
    await store.close()
