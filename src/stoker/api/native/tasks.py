"""Tasks: what became of each unit of work, and the input of the one a runner holds."""

from __future__ import annotations

from typing import Annotated

import msgspec

from stoker.api.call import Answer, Call, as_json
from stoker.api.native.paging import LogsQuery
from stoker.api.native.session import SESSION_HEADER, session_of
from stoker.api.query import After, Filter, Limit, Query
from stoker.api.route import NAMESPACED, Route
from stoker.api.streams import started
from stoker.core.views import AttemptView, Explanation, LogView, Page, TaskStateName, TaskView

_TASK = f"{NAMESPACED}/tasks/{{id}}"


class TasksQuery(Query, frozen=True):
    filter: Filter = ""
    state: TaskStateName | None = None
    node: str | None = None
    limit: Limit = 100
    after: After | None = None


class InputQuery(Query, frozen=True):
    attempt: Annotated[int, msgspec.Meta(ge=1, description="The attempt that the caller holds.")]


async def list_tasks(call: Call) -> Answer:
    query: TasksQuery = call.query
    page = await call.engine.views.tasks(
        call.namespace,
        call.id,
        filter=query.filter,
        state=query.state,
        node=query.node,
        limit=query.limit,
        after=query.after,
    )
    return as_json(page)


async def get_task(call: Call) -> Answer:
    return as_json(await call.engine.views.task(call.namespace, call.id))


async def explain_task(call: Call) -> Answer:
    return as_json(await call.engine.views.explain_task(call.namespace, call.id))


async def list_attempts(call: Call) -> Answer:
    return as_json(await call.engine.views.attempts(call.namespace, call.id))


async def list_task_logs(call: Call) -> Answer:
    query: LogsQuery = call.query
    logs = await call.engine.views.logs(call.namespace, run=None, task=call.id, limit=query.limit, after=query.after)
    return as_json(logs)


async def get_input(call: Call) -> Answer:
    query: InputQuery = call.query
    chunks = await call.engine.leases.input(call.namespace, session_of(call), call.id, query.attempt)
    return Answer(stream=await started(chunks))


ROUTES = (
    Route(
        method="GET",
        path=f"{NAMESPACED}/runs/{{id}}/tasks",
        scopes=("read",),
        summary="List the tasks of a run that a filter asks for",
        endpoint=list_tasks,
        query=TasksQuery,
        response=Page[TaskView],
    ),
    Route(
        method="GET",
        path=_TASK,
        scopes=("read",),
        summary="Show a task",
        endpoint=get_task,
        response=TaskView,
    ),
    Route(
        method="GET",
        path=f"{_TASK}/explain",
        scopes=("read",),
        summary="Why a task stands where it stands",
        endpoint=explain_task,
        response=Explanation,
    ),
    Route(
        method="GET",
        path=f"{_TASK}/attempts",
        scopes=("read",),
        summary="The attempts of a task that did not settle it well",
        endpoint=list_attempts,
        response=list[AttemptView],
    ),
    Route(
        method="GET",
        path=f"{_TASK}/logs",
        scopes=("read",),
        summary="What a task printed and logged",
        endpoint=list_task_logs,
        query=LogsQuery,
        response=list[LogView],
    ),
    Route(
        method="GET",
        path=f"{_TASK}/input",
        scopes=("run",),
        summary="The input of a leased task, as one JSON object",
        endpoint=get_input,
        query=InputQuery,
        headers=(SESSION_HEADER,),
        response=object,
    ),
)
