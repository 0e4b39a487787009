"""The SDK of Exosphere as a process, unmodified, in its own environment: one Runtime, or a StateManager that triggers.

`exosphere_sdk.py runtime <trace> <options as JSON>`: each execution is a line in the file, its time in seconds.
`exosphere_sdk.py manager`: `graph` makes it; a number triggers so many runs and prints when the first was begun.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from exospherehost import BaseNode, GraphNodeModel, Runtime, StateManager

NAMESPACE = "bench"
GRAPH = "single"


class Noop(BaseNode):
    async def execute(self) -> None:
        print(now(), file=trace)


def now() -> float:
    """Seconds of wall clock, which all processes of this machine have in common."""
    return time.time_ns() / 1e9


async def manage(manager: StateManager) -> None:
    for line in sys.stdin:
        begun = now()
        if line.strip() == "graph":
            node = GraphNodeModel(
                node_name="Noop", namespace=NAMESPACE, identifier="noop", inputs={}, next_nodes=[], unites=None
            )
            await manager.upsert_graph(GRAPH, graph_nodes=[node], secrets={})
        else:
            for _ in range(int(line)):
                await manager.trigger(GRAPH)
        print(begun, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "runtime":
        trace = Path(sys.argv[2]).open("a", buffering=1)  # noqa: SIM115  for as long as the process lives
        Runtime(namespace=NAMESPACE, name="bench", nodes=[Noop], **json.loads(sys.argv[3])).start()
    else:
        asyncio.run(manage(StateManager(NAMESPACE)))
