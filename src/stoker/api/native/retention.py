"""What is kept of runs that have ended, in a namespace."""

from __future__ import annotations

from typing import Annotated

import msgspec

from stoker.api.call import Answer, Call, as_json
from stoker.api.query import Query
from stoker.api.route import NAMESPACED, Route
from stoker.core.keep_views import KeepSpec, KeepView

_ONE = f"{NAMESPACED}/retention"


class PutQuery(Query, frozen=True):
    dry_run: Annotated[bool, msgspec.Meta(description="Only say how many runs would be beyond it.")] = False


async def get_retention(call: Call) -> Answer:
    return as_json(await call.engine.retention.show(call.namespace))


async def put_retention(call: Call) -> Answer:
    return as_json(await call.engine.retention.put(call.namespace, call.body, dry_run=call.query.dry_run))


async def delete_retention(call: Call) -> Answer:
    return as_json(await call.engine.retention.clear(call.namespace))


ROUTES = (
    Route(
        method="GET",
        path=_ONE,
        scopes=("read",),
        summary="What is kept of runs that have ended, and how many are beyond it",
        endpoint=get_retention,
        response=KeepView,
    ),
    Route(
        method="PUT",
        path=_ONE,
        scopes=("admin",),
        summary="Keep by this rule from now on; runs beyond it are deleted with all that belongs to them",
        endpoint=put_retention,
        query=PutQuery,
        request=KeepSpec,
        response=KeepView,
        told=lambda call: None if call.query.dry_run else {},
    ),
    Route(
        method="DELETE",
        path=_ONE,
        scopes=("admin",),
        summary="Keep by what the server's settings say",
        endpoint=delete_retention,
        response=KeepView,
    ),
)
