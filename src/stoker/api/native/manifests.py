"""Manifests of runs: what each was made of, whether it still fits, and where two of them part."""

from __future__ import annotations

from typing import Annotated

import msgspec

from stoker.api.call import Answer, Call, as_json
from stoker.api.query import Query
from stoker.api.route import NAMESPACED, Route
from stoker.api.streams import started
from stoker.core.manifest_views import DiffAnswer, VerifyAnswer

LINES = "application/x-ndjson"


class DiffQuery(Query, frozen=True):
    other: Annotated[int, msgspec.Meta(ge=1, description="The run to compare with.")]


async def get_manifest(call: Call) -> Answer:
    lines = await started(await call.engine.manifests.lines(call.namespace, call.id))
    return Answer(stream=lines, media_type=LINES)


async def verify_run(call: Call) -> Answer:
    return as_json(await call.engine.verifying.verify(call.namespace, call.id))


async def diff_runs(call: Call) -> Answer:
    query: DiffQuery = call.query
    return as_json(await call.engine.differing.diff(call.namespace, call.id, query.other))


ROUTES = (
    Route(
        method="GET",
        path=f"{NAMESPACED}/runs/{{id}}/manifest",
        scopes=("read",),
        summary="The manifest of a run that has ended: a chain of lines, each one JSON object",
        endpoint=get_manifest,
        response=LINES,
    ),
    Route(
        method="GET",
        path=f"{NAMESPACED}/runs/{{id}}/verify",
        scopes=("read",),
        summary="Compute all of a run anew from its rows and files; say what does not fit first",
        endpoint=verify_run,
        response=VerifyAnswer,
    ),
    Route(
        method="GET",
        path=f"{NAMESPACED}/runs/{{id}}/diff",
        scopes=("read",),
        summary="Where two runs part, and why",
        endpoint=diff_runs,
        query=DiffQuery,
        response=DiffAnswer,
    ),
)
