"""StateManager as a process: each line that it reads is a call, as JSON; each that it writes is what came of it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import aiohttp
from exospherehost import CronTrigger, GraphNodeModel, RetryPolicyModel, StateManager, StoreConfigModel

asked: list[str] = []


async def upsert(manager: StateManager, name: str, nodes: list[dict[str, Any]], **more: Any) -> Any:
    given = {
        "retry_policy": RetryPolicyModel(**more["retry_policy"]) if "retry_policy" in more else None,
        "store_config": StoreConfigModel(**more["store_config"]) if "store_config" in more else None,
        "triggers": [CronTrigger(expression=each) for each in more["triggers"]] if "triggers" in more else None,
    }
    models = [GraphNodeModel(**node) for node in nodes]
    return await manager.upsert_graph(name, graph_nodes=models, secrets=more.get("secrets", {}), **given)


async def trigger(manager: StateManager, name: str, times: int = 1, **more: Any) -> Any:
    return [(await manager.trigger(name, **more))["run_id"] for _ in range(times)]


async def get(manager: StateManager, name: str) -> Any:
    return await manager.get_graph(name)


def _count_requests() -> None:
    """Note every request that the SDK makes."""
    request = aiohttp.ClientSession._request

    async def noted(self: Any, method: str, url: Any, **more: Any) -> Any:
        asked.append(f"{method} {str(url).partition('/v0/')[2]}")
        return await request(self, method, url, **more)

    aiohttp.ClientSession._request = noted


def main() -> None:
    _count_requests()
    verbs = {"upsert": upsert, "trigger": trigger, "get": get}
    for line in sys.stdin:
        call = json.loads(line)
        verb, manager = verbs[call.pop("verb")], StateManager(call.pop("namespace"))
        asked.clear()
        begun = time.perf_counter()
        try:
            said = {"value": asyncio.run(verb(manager, **call))}
        except Exception as error:
            said = {"error": str(error)}
        said |= {"took_s": time.perf_counter() - begun, "asked": list(asked)}
        print(json.dumps(said), flush=True)


main()
