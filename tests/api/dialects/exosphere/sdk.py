"""A client that asks as the SDK of Exosphere 0.0.3 does: the same bodies and headers, a connection for each request.

What the SDK itself makes of the answers is tested with the real one (`conformance/exosphere`).
"""

from __future__ import annotations

import io
import json
from typing import Any

import aiohttp

Reply = tuple[int, Any]


class Sdk:
    """One runtime, of these kinds."""

    def __init__(self, url: str, key: str, *nodes: str, namespace: str = "default", batch_size: int = 16) -> None:
        self.root = f"{url}/v0/namespace/{namespace}"
        self.key = key
        self.nodes = list(nodes)
        self.batch_size = batch_size

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Status and JSON. A path without a leading slash lies in the namespace; bytes are sent as they are."""
        url = path if path.startswith("http") else f"{self.root}/{path}"
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        given = None if content is None else io.BytesIO(content)  # as a file, or it warns of large ones
        async with aiohttp.ClientSession() as session:
            headers = {"x-api-key": self.key, "content-type": "application/json", **headers}
            async with session.request(method, url, headers=headers, data=given) as response:
                return response.status, await response.json()

    async def enqueue(self, batch_size: int | None = None) -> list[dict[str, Any]]:
        wanted = self.batch_size if batch_size is None else batch_size
        status, answer = await self.ask("POST", "states/enqueue", {"nodes": self.nodes, "batch_size": wanted})
        assert status == 200, answer
        assert (answer["count"], answer["status"]) == (len(answer["states"]), "QUEUED")
        states: list[dict[str, Any]] = answer["states"]
        return states

    async def take(self) -> dict[str, Any]:
        """The one state that there is."""
        (state,) = await self.enqueue(1)
        return state

    async def executed(self, state: str, *outputs: Any) -> Any:
        return await self._reported(state, "executed", {"outputs": list(outputs)})

    async def errored(self, state: str, error: str = "it broke") -> Any:
        return await self._reported(state, "errored", {"error": error})

    async def prune(self, state: str, **data: Any) -> Any:
        return await self._reported(state, "prune", {"data": data})

    async def requeue(self, state: str, ms: int) -> Any:
        return await self._reported(state, "re-enqueue-after", {"enqueue_after": ms})

    async def all_four(self, state: str) -> list[Any]:
        """What every sort of report on a state is answered."""
        return [
            await self.executed(state),
            await self.errored(state),
            await self.prune(state),
            await self.requeue(state, 5),
        ]

    async def _reported(self, state: str, verb: str, body: Any) -> Any:
        status, answer = await self.ask("POST", f"state/{state}/{verb}", body)
        assert status == 200, answer
        return answer
