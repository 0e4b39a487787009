"""Forks: runs that start in the middle of others."""

from __future__ import annotations

from stoker.api.call import Answer, Call, as_json
from stoker.api.route import NAMESPACED, Route
from stoker.core.fork_views import ForkAnswer, ForkRequest


async def fork_run(call: Call) -> Answer:
    request: ForkRequest = call.body
    answer = await call.engine.forks.fork(call.namespace, call.id, request)
    return as_json(answer, status=200 if request.dry_run else 201)


ROUTES = (
    Route(
        method="POST",
        path=f"{NAMESPACED}/runs/{{id}}/fork",
        scopes=("trigger",),
        summary="Start a run that takes over what another one did before a node; 200 of a dry run",
        endpoint=fork_run,
        request=ForkRequest,
        response=ForkAnswer,
        status=201,
        also=(200,),
        told=lambda call: None if call.body.dry_run else {},
    ),
)
