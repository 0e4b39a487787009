"""An installation with a clock that stands, served to clients of the dialect on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from api.dialects.exosphere.putting import register
from api.dialects.exosphere.samples import WORK, schema
from api.dialects.exosphere.sdk import Sdk
from engine.plant import NS as HOME
from engine.plant import Plant
from stoker.api import listener
from stoker.api.app import App, build
from stoker.api.dialects.exosphere.dialect import exosphere
from stoker.api.serve import serve
from stoker.config import Exosphere
from stoker.core.graph import KindSpec
from stoker.core.roles import ScopeName
from stoker.core.views import TokenRequest

AUTHOR: list[ScopeName] = ["read", "trigger", "run", "author"]
SECRETIVE = KindSpec(name="Secretive", items="many", secrets=("KEY",), input=schema(optional=("x",)))
TOKEN = TokenRequest(name="worker", scopes=["run"])


class Spoken:
    """A plant that speaks the dialect. `key`: a token with the scope `run`."""

    def __init__(self, plant: Plant, app: App, url: str, key: str) -> None:
        self.plant = plant
        self.app = app
        self.url = url
        self.key = key

    def sdk(self, *nodes: str, **more: Any) -> Sdk:
        return Sdk(self.url, self.key, *(nodes or ("one", "many")), **more)


@asynccontextmanager
async def speaking(plant: Plant, **settings: Any) -> AsyncIterator[Spoken]:
    """Serve a plant. Enqueue waits for nothing unless `settings` say so."""
    key = (await plant.engine.tokens.create(TOKEN)).token
    assert key
    dialect = exosphere(Exosphere(**{"enqueue_wait": 0.0, **settings}))
    await dialect.begin(plant.engine)
    app = build(plant.engine, version="1", dialects=[dialect])
    bound = listener.bind("127.0.0.1", 0, insecure=False)
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.ensure_future(serve(app, bound, stop, ready=ready.set))
    try:
        await ready.wait()
        yield Spoken(plant, app, listener.url(bound), key)
    finally:
        stop.set()
        await task


@pytest.fixture(autouse=True)
def _no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stoker.api.serve.LINGER_S", 0.0)


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Plant]:
    plant = await Plant(tmp_path / "data", keys=[b"k" * 32]).start()
    yield plant
    await plant.stop()


@pytest.fixture
async def spoken(plant: Plant) -> AsyncIterator[Spoken]:
    async with speaking(plant) as spoken:
        yield spoken


@pytest.fixture(params=["sqlite", "postgres"])
async def everywhere(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Spoken]:
    """As `spoken`, on each database."""
    database = request.getfixturevalue("database") if request.param == "postgres" else None
    plant = await Plant(tmp_path / "data", database=database, keys=[b"k" * 32]).start()
    async with speaking(plant) as spoken:
        yield spoken
    await plant.stop()


async def author(spoken: Spoken) -> Sdk:
    """A caller that may do everything but administer, in a namespace with kinds."""
    await register(spoken.plant, HOME, WORK, SECRETIVE)
    spoken.key = (await spoken.plant.engine.tokens.create(TokenRequest(name="all", scopes=AUTHOR))).token or ""
    return spoken.sdk("Work", "Secretive")


@pytest.fixture
async def sdk(spoken: Spoken) -> Sdk:
    return await author(spoken)
