"""A node class that moved over by its import, in one graph with a runtime of the dialect."""

from __future__ import annotations

import asyncio
import time

from pydantic import BaseModel

import stoker
from api.dialects.exosphere.conftest import Spoken
from api.dialects.exosphere.putting import put, start
from api.dialects.exosphere.samples import node
from api.dialects.exosphere.sdk import Sdk
from engine.plant import NS as HOME
from stoker.runner.work import flatten


class Shout(stoker.Node):
    """As it was written for the SDK, but for its import."""

    class Inputs(BaseModel):
        text: str

    class Outputs(BaseModel):
        loud: str

    class Secrets(BaseModel):
        MARK: str

    async def execute(self) -> Outputs:
        return self.Outputs(loud=self.inputs.text.upper() + self.secrets.MARK)


async def test_a_class_whose_import_changed_works_between_nodes_of_the_sdk(spoken: Spoken, sdk: Sdk) -> None:
    await spoken.plant.engine.catalog.put_kinds(HOME, [work.kind for work in flatten([Shout]).values()])
    await put(
        sdk,
        node("a", "shout"),
        node("shout", "b", node_name="Shout", inputs={"text": "${{ a.outputs.x }}!"}),
        node("b", inputs={"x": "${{ shout.outputs.loud }}"}),
        secrets={"MARK": "(sealed)"},
    )
    run = await start(sdk)
    await sdk.executed((await sdk.take())["state_id"], {"x": "one"}, {"x": "two"})
    runner = stoker.Runner([Shout], HOME, url=spoken.url, token=spoken.key)
    await asyncio.to_thread(runner.start_background)
    try:
        states = await both(sdk)
    finally:
        await asyncio.to_thread(runner.stop)
    assert sorted(state["inputs"]["x"] for state in states) == ["ONE!***", "TWO!***"]
    for state in states:
        await sdk.executed(state["state_id"], {})
    _, answer = await sdk.ask("GET", f"states/run/{run}/graph")
    assert answer["execution_summary"]["SUCCESS"] == 6  # two items of a, each with its own way


async def both(sdk: Sdk) -> list[dict[str, object]]:
    """The two states below the runner's, when they have come."""
    states: list[dict[str, object]] = []
    ends = time.monotonic() + 30
    while len(states) < 2 and time.monotonic() < ends:
        states += await sdk.enqueue()
        await asyncio.sleep(0.01)
    return states
