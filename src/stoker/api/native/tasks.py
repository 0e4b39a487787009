"""Tasks: what became of each unit of work, and the input of the one a runner holds."""

from __future__ import annotations

from typing import Annotated

import msgspec

from stoker.api.auth import need
from stoker.api.call import Answer, Call, as_json
from stoker.api.native.logs import page
from stoker.api.native.paging import TaskLogsQuery
from stoker.api.native.runs import RetryQuery
from stoker.api.native.session import SESSION_HEADER, session_of
from stoker.api.query import After, Filter, Limit, Query
from stoker.api.route import NAMESPACED, Route
from stoker.api.streams import started
from stoker.core.views import AttemptView, Explanation, LogPage, Page, RetryAnswer, TaskStateName, TaskView
from stoker.errors import Invalid

_TASK = f"{NAMESPACED}/tasks/{{id}}"


Past = Annotated[bool, msgspec.Meta(description="Those that a re-run has replaced, instead of those that stand now.")]


class TasksQuery(Query, frozen=True):
    filter: Filter = ""
    state: TaskStateName | None = None
    node: str | None = None
    past: Past = False
    limit: Limit = 100
    after: After | None = None


class InputQuery(Query, frozen=True):
    attempt: (
        Annotated[int, msgspec.Meta(ge=1, description="The attempt; needed of a runner, else the newest.")] | None
    ) = None


async def list_tasks(call: Call) -> Answer:
    query: TasksQuery = call.query
    page = await call.engine.views.tasks(
        call.namespace,
        call.id,
        filter=query.filter,
        state=query.state,
        node=query.node,
        past=query.past,
        limit=query.limit,
        after=query.after,
    )
    return as_json(page)


async def get_task(call: Call) -> Answer:
    return as_json(await call.engine.views.task(call.namespace, call.id))


async def retry_task(call: Call) -> Answer:
    query: RetryQuery = call.query
    return as_json(await call.engine.runs.retry_task(call.namespace, call.id, rerun_below=query.rerun_below))


async def explain_task(call: Call) -> Answer:
    return as_json(await call.engine.views.explain_task(call.namespace, call.id))


async def cancel_task(call: Call) -> Answer:
    return as_json(await call.engine.tasks.cancel(call.namespace, call.id))


async def list_attempts(call: Call) -> Answer:
    return as_json(await call.engine.views.attempts(call.namespace, call.id))


async def list_task_logs(call: Call) -> Answer:
    return await page(call, call.query, run=None, task=call.id)


async def get_input(call: Call) -> Answer:
    """To the runner that holds the attempt; without a session, as it is recorded."""
    query: InputQuery = call.query
    if not call.header(SESSION_HEADER.lower().encode()):
        need(call.caller, "read", "the recorded input of a task")
        return Answer(stream=await started(await call.engine.recorded.input(call.namespace, call.id, query.attempt)))
    need(call.caller, "run", "the input of an attempt")
    session = session_of(call)
    if query.attempt is None:
        raise Invalid("the attempt that the session holds is missing", place="query", remedy="Add `attempt=1`.")
    return Answer(stream=await started(await call.engine.leases.input(call.namespace, session, call.id, query.attempt)))


async def get_items(call: Call) -> Answer:
    return Answer(stream=await started(await call.engine.recorded.items(call.namespace, call.id)))


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
        method="POST",
        path=f"{_TASK}/retry",
        scopes=("trigger",),
        summary="Make a task READY again that FAILED, or was pruned or cancelled",
        endpoint=retry_task,
        query=RetryQuery,
        response=RetryAnswer,
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
        method="POST",
        path=f"{_TASK}/cancel",
        scopes=("trigger",),
        summary="Cancel a task",
        endpoint=cancel_task,
        response=TaskView,
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
        query=TaskLogsQuery,
        response=LogPage,
    ),
    Route(
        method="GET",
        path=f"{_TASK}/input",
        scopes=("run", "read"),
        summary="The input of a task, as one JSON object: of an attempt that the caller holds, or as it is recorded",
        endpoint=get_input,
        query=InputQuery,
        headers=(SESSION_HEADER,),
        response=object,
    ),
    Route(
        method="GET",
        path=f"{_TASK}/items",
        scopes=("read",),
        summary="What a task settled with, as one JSON list",
        endpoint=get_items,
        response=object,
    ),
)
