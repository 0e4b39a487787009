from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.plant import Plant


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Plant]:
    plant = await Plant(tmp_path / "data").start()
    yield plant
    await plant.stop()
