"""A real server on an ephemeral port of loopback, in front of the engine in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from api.fake import FakeEngine, make
from stoker.api import listener
from stoker.api.app import App, build
from stoker.api.serve import serve

ROOT = "/v1/namespaces/default"


class Served:
    """A served application and a client of it that presents the token `all`."""

    def __init__(self, app: App, engine: FakeEngine, url: str, client: aiohttp.ClientSession) -> None:
        self.app = app
        self.engine = engine
        self.url = url
        self.client = client
        self.stop = asyncio.Event()

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any, Any]:
        """Status, JSON (or bytes), headers. A path without a leading slash lies in the namespace `default`."""
        path = path if path.startswith("/") else f"{ROOT}/{path}"
        if body is not None:
            options["json"] = body
        async with self.client.request(method, self.url + path, **options) as response:
            content = await response.read()
            is_json = "json" in response.headers.get("content-type", "").replace("ndjson", "")
            return response.status, await response.json(content_type=None) if is_json else content, response.headers


@asynccontextmanager
async def serving(engine: FakeEngine, **options: Any) -> AsyncIterator[Served]:
    app = build(engine, version="1.2.3", **options)
    bound = listener.bind("127.0.0.1", 0, insecure=False)
    ready = asyncio.Event()
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer all"}) as client:
        served = Served(app, engine, listener.url(bound), client)
        task = asyncio.ensure_future(serve(app, bound, served.stop, ready=ready.set))
        try:
            await ready.wait()
            yield served
        finally:
            served.stop.set()
            await client.close()
            await task


@pytest.fixture(autouse=True)
def _no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stoker.api.serve.LINGER_S", 0.0)


@pytest.fixture
def engine() -> FakeEngine:
    engine = make()
    engine.allow("all", "read", "trigger", "run", "author", "admin")
    return engine


@pytest.fixture
async def served(engine: FakeEngine) -> AsyncIterator[Served]:
    async with serving(engine) as served:
        yield served
