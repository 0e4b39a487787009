"""A page of a log, held open until there is something to show, if that is asked for."""

from __future__ import annotations

from stoker.api.call import GONE, Answer, Call, as_json
from stoker.api.hold import hold
from stoker.api.native.paging import TaskLogsQuery
from stoker.core.views import LogPage


async def page(
    call: Call, query: TaskLogsQuery, *, run: int | None, task: int | None, node: str | None = None
) -> Answer:
    """A server that begins to close answers with an empty page: ask on from its cursor."""
    work = call.engine.logs.page(
        call.namespace,
        run=run,
        task=task,
        node=node,
        stream=query.stream,
        since=query.since,
        limit=query.limit,
        after=query.after,
        wait_s=query.wait_s,
    )
    if not query.wait_s:
        return as_json(await work)
    held = await hold(work, call.receive, call.server.closing)
    if held.gone:
        return GONE
    return as_json(held.value or LogPage(items=[], after=query.after, ended=False))
