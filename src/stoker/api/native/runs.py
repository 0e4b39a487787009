"""Runs: trigger, watch, and steer them."""

from __future__ import annotations

from typing import Any

from stoker.api.call import GONE, Answer, Call, as_json
from stoker.api.hold import hold
from stoker.api.native.logs import page
from stoker.api.native.paging import LogsQuery
from stoker.api.query import After, Filter, Limit, Query, RerunBelow, Wait
from stoker.api.route import NAMESPACED, Route
from stoker.core.trace import traceparent
from stoker.core.views import (
    BulkAnswer,
    BulkRequest,
    Explanation,
    LogPage,
    Page,
    RetryAnswer,
    RunRef,
    RunStateName,
    RunView,
    TriggerBatch,
    TriggerRequest,
)

_RUN = f"{NAMESPACED}/runs/{{id}}"


class RunsQuery(Query, frozen=True):
    filter: Filter = ""
    state: RunStateName | None = None
    graph: str | None = None
    limit: Limit = 100
    after: After | None = None


class RunQuery(Query, frozen=True):
    wait_s: Wait = 0.0


class RetryQuery(Query, frozen=True):
    rerun_below: RerunBelow = False


def _asked(call: Call) -> dict[str, Any] | None:
    """What the audit log is told of a verb for many."""
    request: BulkRequest = call.body
    return None if request.dry_run else {"filter": request.filter} | ({"all": True} if request.all else {})


async def trigger_run(call: Call) -> Answer:
    request: TriggerRequest = call.body
    [ref] = await call.engine.runs.trigger(call.namespace, [request], _trace(call))
    return as_json(ref, status=201 if ref.created else 200)


async def trigger_runs(call: Call) -> Answer:
    request: TriggerBatch = call.body
    return as_json(await call.engine.runs.trigger(call.namespace, request.runs, _trace(call)), status=201)


def _trace(call: Call) -> str | None:
    return traceparent(call.header(b"traceparent"))


async def list_runs(call: Call) -> Answer:
    query: RunsQuery = call.query
    page = await call.engine.views.runs(
        call.namespace,
        filter=query.filter,
        state=query.state,
        graph=query.graph,
        limit=query.limit,
        after=query.after,
    )
    return as_json(page)


async def get_run(call: Call) -> Answer:
    """The run; with `wait_s` once it has ended or the time is over, or the server begins to close."""
    query: RunQuery = call.query
    if not query.wait_s:
        return as_json(await call.engine.views.run(call.namespace, call.id))
    work = call.engine.runs.wait(call.namespace, call.id, query.wait_s)
    held = await hold(work, call.receive, call.server.closing)
    if held.gone:
        return GONE
    return as_json(held.value or await call.engine.views.run(call.namespace, call.id))


async def get_result(call: Call) -> Answer:
    """The result; with `wait_s` once the run has ended or the time is over, or the server begins to close."""
    query: RunQuery = call.query
    if not query.wait_s:
        return Answer(body=await call.engine.runs.result(call.namespace, call.id, 0.0))
    work = call.engine.runs.result(call.namespace, call.id, query.wait_s)
    held = await hold(work, call.receive, call.server.closing)
    if held.gone:
        return GONE
    return Answer(body=held.value or await call.engine.runs.result(call.namespace, call.id, 0.0))


async def cancel_run(call: Call) -> Answer:
    return as_json(await call.engine.runs.cancel(call.namespace, call.id))


async def retry_run(call: Call) -> Answer:
    query: RetryQuery = call.query
    return as_json(await call.engine.runs.retry(call.namespace, call.id, rerun_below=query.rerun_below))


async def cancel_runs(call: Call) -> Answer:
    return as_json(await call.engine.bulk.runs(call.namespace, "cancel", call.body))


async def retry_runs(call: Call) -> Answer:
    return as_json(await call.engine.bulk.runs(call.namespace, "retry", call.body))


async def explain_run(call: Call) -> Answer:
    return as_json(await call.engine.views.explain_run(call.namespace, call.id))


async def list_run_logs(call: Call) -> Answer:
    query: LogsQuery = call.query
    return await page(call, query, run=call.id, task=query.task, node=query.node)


ROUTES = (
    Route(
        method="POST",
        path=f"{NAMESPACED}/runs",
        scopes=("trigger",),
        summary="Start a run; 200 if its idempotency key had started it before",
        endpoint=trigger_run,
        request=TriggerRequest,
        response=RunRef,
        status=201,
        also=(200,),
        hot=True,
        audit="run",
    ),
    Route(
        method="POST",
        path=f"{NAMESPACED}/runs/batch",
        scopes=("trigger",),
        summary="Start many runs in one transaction",
        endpoint=trigger_runs,
        request=TriggerBatch,
        response=list[RunRef],
        status=201,
        audit="run",
    ),
    Route(
        method="POST",
        path=f"{NAMESPACED}/runs/cancel",
        scopes=("trigger",),
        summary="Cancel the runs that a filter asks for, a page at a time",
        endpoint=cancel_runs,
        request=BulkRequest,
        response=BulkAnswer,
        told=_asked,
    ),
    Route(
        method="POST",
        path=f"{NAMESPACED}/runs/retry",
        scopes=("trigger",),
        summary="Retry the runs that a filter asks for, a page at a time",
        endpoint=retry_runs,
        request=BulkRequest,
        response=BulkAnswer,
        told=_asked,
    ),
    Route(
        method="GET",
        path=f"{NAMESPACED}/runs",
        scopes=("read",),
        summary="List the runs that a filter asks for, newest first",
        endpoint=list_runs,
        query=RunsQuery,
        response=Page[RunView],
    ),
    Route(
        method="GET",
        path=_RUN,
        scopes=("read",),
        summary="Show a run; hold the call open until it ends",
        endpoint=get_run,
        query=RunQuery,
        response=RunView,
    ),
    Route(
        method="GET",
        path=f"{_RUN}/result",
        scopes=("read",),
        summary="The result of a run, as JSON",
        endpoint=get_result,
        query=RunQuery,
        response=object,
    ),
    Route(
        method="POST",
        path=f"{_RUN}/cancel",
        scopes=("trigger",),
        summary="Cancel a run",
        endpoint=cancel_run,
        response=RunView,
    ),
    Route(
        method="POST",
        path=f"{_RUN}/retry",
        scopes=("trigger",),
        summary="Make the failed and cancelled tasks of a run READY again",
        endpoint=retry_run,
        query=RetryQuery,
        response=RetryAnswer,
    ),
    Route(
        method="GET",
        path=f"{_RUN}/explain",
        scopes=("read",),
        summary="Why a run stands where it stands",
        endpoint=explain_run,
        response=Explanation,
    ),
    Route(
        method="GET",
        path=f"{_RUN}/logs",
        scopes=("read",),
        summary="What the tasks of a run printed and logged, as it comes",
        endpoint=list_run_logs,
        query=LogsQuery,
        response=LogPage,
    ),
)
