from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.plant import Plant

STORES = ["sqlite", "postgres"]


@pytest.fixture(params=STORES)
async def plant(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Plant]:
    """An installation on each database."""
    database = request.getfixturevalue("database") if request.param == "postgres" else None
    plant = await Plant(tmp_path / "data", database=database).start()
    yield plant
    await plant.stop()
