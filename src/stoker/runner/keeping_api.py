"""The endpoints of retention as coroutines."""

from __future__ import annotations

from stoker.core.keep_views import KeepSpec, KeepView
from stoker.runner.wire import Wire


class KeepingApi:
    """What one namespace keeps. `path`: where that is."""

    def __init__(self, wire: Wire, path: str) -> None:
        self._wire = wire
        self._path = f"{path}/retention"

    async def show(self) -> KeepView:
        return await self._wire.call("GET", self._path, answer=KeepView)

    async def put(self, keep: KeepSpec, *, dry_run: bool = False) -> KeepView:
        query = {"dry_run": "true" if dry_run else None}
        return await self._wire.call("PUT", self._path, body=keep, answer=KeepView, query=query)

    async def clear(self) -> KeepView:
        return await self._wire.call("DELETE", self._path, answer=KeepView)
