"""Events: hints as they come, a sign of life when there are none, an end when either side goes."""

from __future__ import annotations

import asyncio

from api.conftest import ROOT, Served, serving
from api.fake import FakeEngine
from stoker.api.closing import Closing
from stoker.api.native.events import events
from stoker.core.views import Hint


async def test_hints_come_as_server_sent_events(served: Served) -> None:
    async with served.client.get(f"{served.url}{ROOT}/events?run=4") as response:
        assert response.headers["content-type"] == "text/event-stream"
        assert await response.content.readuntil(b"\n\n") == b"retry: 1000\n\n"
        served.engine.hints.put_nowait(Hint(kind="run", run=4, state="SUCCEEDED"))
        block = await response.content.readuntil(b"\n\n")
        assert block == b'event: run\ndata: {"kind":"run","run":4,"task":0,"state":"SUCCEEDED"}\n\n'
        assert ("subscribe", "default", 4) in served.engine.asked


async def test_a_client_that_leaves_ends_its_subscription(served: Served) -> None:
    response = await served.client.get(f"{served.url}{ROOT}/events")
    await served.engine.waiting.wait()
    response.close()
    await served.engine.hung_up.wait()


async def test_a_server_that_stops_ends_its_streams(engine: FakeEngine) -> None:
    async with serving(engine) as served, served.client.get(f"{served.url}{ROOT}/events") as response:
        await engine.waiting.wait()
        served.stop.set()
        assert await response.read() == b"retry: 1000\n\n"
    assert engine.hung_up.is_set()


async def test_a_quiet_stream_says_that_it_is_alive(engine: FakeEngine) -> None:
    async def receive() -> dict[str, str]:
        await asyncio.Event().wait()
        raise AssertionError

    stream = events(await engine.subscribe("default", None), receive, Closing(), keepalive_s=0.001)
    assert await anext(stream) == b"retry: 1000\n\n"
    assert await anext(stream) == b": still here\n\n"
    engine.hints.put_nowait(Hint(kind="log"))
    while (block := await anext(stream)) == b": still here\n\n":
        pass
    assert block.startswith(b"event: log\n")
    engine.hints.put_nowait(None)
    assert [block async for block in stream if not block.startswith(b":")] == []
