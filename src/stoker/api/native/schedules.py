"""Schedules: made or changed, paused, run by hand, listed, with what became of their times."""

from __future__ import annotations

from typing import Annotated

import msgspec

from stoker.api.call import NO_CONTENT, Answer, Call, as_json
from stoker.api.query import After, Limit, Query
from stoker.api.route import NAMESPACED, Route
from stoker.core.schedule_views import FiringView, RunNowRequest, ScheduleSpec, ScheduleView
from stoker.core.views import Explanation, Page, RunRef

ONE = f"{NAMESPACED}/schedules/{{name}}"


class SchedulesQuery(Query, frozen=True):
    limit: Limit = 100
    after: After | None = None


class ScheduleQuery(Query, frozen=True):
    times: Annotated[int, msgspec.Meta(ge=0, le=100, description="How many of its next times to show.")] = 5


async def put_schedule(call: Call) -> Answer:
    view = await call.engine.schedules.put(call.namespace, call.name, call.body)
    return as_json(view, status=201 if view.created else 200)


async def list_schedules(call: Call) -> Answer:
    query: SchedulesQuery = call.query
    return as_json(await call.engine.schedules.list(call.namespace, limit=query.limit, after=query.after))


async def get_schedule(call: Call) -> Answer:
    query: ScheduleQuery = call.query
    return as_json(await call.engine.schedules.get(call.namespace, call.name, query.times))


async def delete_schedule(call: Call) -> Answer:
    await call.engine.schedules.delete(call.namespace, call.name)
    return NO_CONTENT


async def pause_schedule(call: Call) -> Answer:
    return as_json(await call.engine.schedules.pause(call.namespace, call.name, paused=True))


async def resume_schedule(call: Call) -> Answer:
    return as_json(await call.engine.schedules.pause(call.namespace, call.name, paused=False))


async def run_schedule(call: Call) -> Answer:
    ref = await call.engine.schedules.run(call.namespace, call.name, call.body)
    return as_json(ref, status=201 if ref.created else 200)


async def list_firings(call: Call) -> Answer:
    query: SchedulesQuery = call.query
    return as_json(await call.engine.schedules.firings(call.namespace, call.name, limit=query.limit, after=query.after))


async def explain_schedule(call: Call) -> Answer:
    return as_json(await call.engine.schedules.explain(call.namespace, call.name))


# Those below one schedule come first: at the end of a path a name takes all that is left.
ROUTES = (
    Route(
        method="GET",
        path=f"{NAMESPACED}/schedules",
        scopes=("read", "author"),
        summary="List the schedules by name, each with its next time",
        endpoint=list_schedules,
        query=SchedulesQuery,
        response=Page[ScheduleView],
    ),
    Route(
        method="POST",
        path=f"{ONE}/pause",
        scopes=("author", "trigger"),
        summary="Start nothing until it is resumed",
        endpoint=pause_schedule,
        response=ScheduleView,
    ),
    Route(
        method="POST",
        path=f"{ONE}/resume",
        scopes=("author", "trigger"),
        summary="Go on with the next time; what fell into the pause is not caught up",
        endpoint=resume_schedule,
        response=ScheduleView,
    ),
    Route(
        method="POST",
        path=f"{ONE}/run",
        scopes=("trigger",),
        summary="Start an extra run now; 200 if its idempotency key made one before",
        endpoint=run_schedule,
        request=RunNowRequest,
        response=RunRef,
        status=201,
        also=(200,),
    ),
    Route(
        method="GET",
        path=f"{ONE}/firings",
        scopes=("read",),
        summary="List what became of its times, newest first",
        endpoint=list_firings,
        query=SchedulesQuery,
        response=Page[FiringView],
    ),
    Route(
        method="GET",
        path=f"{ONE}/explain",
        scopes=("read",),
        summary="Say what a schedule waits for, and what became of its last time",
        endpoint=explain_schedule,
        response=Explanation,
    ),
    Route(
        method="PUT",
        path=ONE,
        scopes=("author",),
        summary="Make a schedule (201) or change it (200); unchanged times go on as they were",
        endpoint=put_schedule,
        request=ScheduleSpec,
        response=ScheduleView,
        status=201,
        also=(200,),
    ),
    Route(
        method="GET",
        path=ONE,
        scopes=("read", "author"),
        summary="Show a schedule with its next times",
        endpoint=get_schedule,
        query=ScheduleQuery,
        response=ScheduleView,
    ),
    Route(
        method="DELETE",
        path=ONE,
        scopes=("author",),
        summary="Delete a schedule with its history; its runs stay",
        endpoint=delete_schedule,
        status=204,
    ),
)
