"""The schedules of a client: plain calls."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, Protocol, TypeVar

import msgspec

from stoker.core.schedule_views import FiringView, RunNowRequest, ScheduleSpec, ScheduleView
from stoker.runner.api import Api
from stoker.runner.handle import RunHandle

T = TypeVar("T")
Firings = list[FiringView]  # in the class `list` is a verb
Views = list[ScheduleView]


class Client(Protocol):
    """What schedules need of the client that made them."""

    @property
    def api(self) -> Api: ...
    def call(self, coroutine: Coroutine[Any, Any, T]) -> T: ...
    def run(self, run: int) -> RunHandle: ...
    def name_of(self, graph: Any) -> str: ...
    def encoded(self, values: Mapping[str, Any]) -> Coroutine[Any, Any, dict[str, msgspec.Raw]]: ...


class Schedules:
    """`client.schedules`: runs that start by themselves."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def put(
        self,
        name: str,
        graph: Any,
        /,
        *,
        inputs: Mapping[str, Any] | None = None,
        store: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> ScheduleView:
        """Make a schedule, or change it: `put("nightly", graph, cron="30 6 * * *", zone="Europe/Berlin")`.

        The graph is pushed first, if it is an object; files in inputs are uploaded. Options: the fields of
        `ScheduleSpec`, such as `every="15m"`, `overlap="queue"`, `catch_up="all"`, `logical_time_as="day"`. While the
        times stay what they were, none is lost or done twice. Invalid lists what is wrong.
        """
        return self._client.call(self._put(name, self._client.name_of(graph), inputs or {}, store or {}, options))

    def list(self) -> Views:
        """Return the schedules by name, each with its next time; at most 1,000."""
        return self._client.call(self._client.api.schedules.list(1_000)).items

    def get(self, name: str, times: int = 5) -> ScheduleView:
        """Return a schedule with so many of its next times."""
        return self._client.call(self._client.api.schedules.get(name, times))

    def firings(self, name: str, limit: int = 100) -> Firings:
        """Return what became of its times, newest first: the run it started, or why it started none."""
        return self._client.call(self._client.api.schedules.firings(name, limit)).items

    def pause(self, name: str) -> ScheduleView:
        """Have it start nothing until it is resumed."""
        return self._client.call(self._client.api.schedules.pause(name))

    def resume(self, name: str) -> ScheduleView:
        """Have it go on with the next time; what fell into the pause is not caught up."""
        return self._client.call(self._client.api.schedules.resume(name))

    def run(self, name: str, idempotency_key: str | None = None) -> RunHandle:
        """Start an extra run now, whatever runs. The same `idempotency_key` gives the same run again."""
        request = RunNowRequest(idempotency_key=idempotency_key)
        return self._client.run(self._client.call(self._client.api.schedules.run(name, request)).id)

    def delete(self, name: str) -> None:
        """Delete a schedule with its history; its runs stay."""
        self._client.call(self._client.api.schedules.delete(name))

    async def _put(
        self, name: str, graph: str, inputs: Mapping[str, Any], store: Mapping[str, Any], options: Mapping[str, Any]
    ) -> ScheduleView:
        spec = ScheduleSpec(
            graph=graph, inputs=await self._client.encoded(inputs), store=await self._client.encoded(store), **options
        )
        return await self._client.api.schedules.put(name, spec)
