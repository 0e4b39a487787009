from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.plant import ManualClock, Plant, meet

STORES = ["sqlite", "postgres"]


@pytest.fixture
def database(migrated: str) -> str:
    """A database like new; how it comes to its schema is told elsewhere."""
    return migrated


@pytest.fixture(params=STORES)
async def plant(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Plant]:
    """An installation on each database."""
    database = request.getfixturevalue("database") if request.param == "postgres" else None
    plant = await Plant(tmp_path / "data", database=database).start()
    yield plant
    await plant.stop()


@pytest.fixture
async def servers(database: str, tmp_path: Path) -> AsyncIterator[tuple[Plant, Plant]]:
    """Two servers, `here` and `there`, of one clock."""
    clock = ManualClock()
    here = await Plant(tmp_path / "data", database=database, clock=clock).start()
    there = await Plant(tmp_path / "data", database=database, clock=clock, seed=1).start()
    await meet(here, there)
    yield here, there
    for plant in (there, here):
        await plant.stop()
