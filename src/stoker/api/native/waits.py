"""Waits: what is to be settled, what to know before, and the decision."""

from __future__ import annotations

from typing import Annotated

import msgspec

from stoker.api.call import Answer, Call, as_json
from stoker.api.query import After, Limit, Query
from stoker.api.route import NAMESPACED, Route
from stoker.core.views import Page, SettleRequest, TaskView


class WaitsQuery(Query, frozen=True):
    run: Annotated[int, msgspec.Meta(ge=1, description="Only those of this run.")] | None = None
    limit: Limit = 100
    after: After | None = None


async def list_waits(call: Call) -> Answer:
    query: WaitsQuery = call.query
    page = await call.engine.waits.open(call.namespace, run=query.run, limit=query.limit, after=query.after)
    return as_json(page)


async def settle_task(call: Call) -> Answer:
    request: SettleRequest = call.body
    return as_json(await call.engine.waits.settle(call.namespace, call.id, request))


ROUTES = (
    Route(
        method="GET",
        path=f"{NAMESPACED}/waits",
        scopes=("read",),
        summary="List the waits that are to be settled, oldest first",
        endpoint=list_waits,
        query=WaitsQuery,
        response=Page[TaskView],
    ),
    Route(
        method="POST",
        path=f"{NAMESPACED}/tasks/{{id}}/settle",
        scopes=("trigger",),
        summary="Settle a wait with a value or with a failure",
        endpoint=settle_task,
        request=SettleRequest,
        response=TaskView,
    ),
)
