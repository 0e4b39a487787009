from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dialects.heat.served import Served, serving


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """A server on SQLite, in the mode Strict, as it is after its first start."""
    async with serving(tmp_path / "data") as served:
        yield served


@pytest.fixture(params=["sqlite", "postgres"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Served]:
    """The same on each database."""
    database = request.getfixturevalue("database") if request.param == "postgres" else None
    async with serving(tmp_path / "data", database=database) as served:
        yield served
