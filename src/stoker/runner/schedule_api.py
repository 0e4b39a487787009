"""The endpoints of schedules as coroutines."""

from __future__ import annotations

from urllib.parse import quote

from stoker.core.schedule_views import FiringView, RunNowRequest, ScheduleSpec, ScheduleView
from stoker.core.views import Explanation, Page, RunRef
from stoker.runner.wire import Wire


class ScheduleApi:
    """The schedules of one namespace. `path`: where that is."""

    def __init__(self, wire: Wire, path: str) -> None:
        self._wire = wire
        self._path = f"{path}/schedules"

    async def put(self, name: str, spec: ScheduleSpec) -> ScheduleView:
        return await self._wire.call("PUT", self._of(name), body=spec, answer=ScheduleView)

    async def list(self, limit: int = 100, after: str | None = None) -> Page[ScheduleView]:
        query = {"limit": limit, "after": after}
        return await self._wire.call("GET", self._path, answer=Page[ScheduleView], query=query)

    async def get(self, name: str, times: int = 5) -> ScheduleView:
        return await self._wire.call("GET", self._of(name), answer=ScheduleView, query={"times": times})

    async def delete(self, name: str) -> None:
        await self._wire.call("DELETE", self._of(name))

    async def pause(self, name: str) -> ScheduleView:
        return await self._wire.call("POST", f"{self._of(name)}/pause", answer=ScheduleView)

    async def resume(self, name: str) -> ScheduleView:
        return await self._wire.call("POST", f"{self._of(name)}/resume", answer=ScheduleView)

    async def run(self, name: str, request: RunNowRequest) -> RunRef:
        return await self._wire.call("POST", f"{self._of(name)}/run", body=request, answer=RunRef)

    async def firings(self, name: str, limit: int = 100, after: str | None = None) -> Page[FiringView]:
        query = {"limit": limit, "after": after}
        return await self._wire.call("GET", f"{self._of(name)}/firings", answer=Page[FiringView], query=query)

    async def explain(self, name: str) -> Explanation:
        return await self._wire.call("GET", f"{self._of(name)}/explain", answer=Explanation)

    def _of(self, name: str) -> str:
        return f"{self._path}/{quote(name, safe='')}"
