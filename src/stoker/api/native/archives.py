"""Runs that have ended as archives: out, and in again."""

from __future__ import annotations

from stoker.api import body
from stoker.api.call import Answer, Call, as_json
from stoker.api.route import NAMESPACED, Route
from stoker.api.streams import started
from stoker.core.views import RunRef

MEDIA_TYPE = "application/x-tar"


async def export_run(call: Call) -> Answer:
    chunks = await started(call.engine.exporting.stream(call.namespace, call.id))
    headers = (
        (b"content-disposition", f"attachment; filename=run-{call.id}.stoker".encode()),
        (b"x-content-type-options", b"nosniff"),
    )
    return Answer(media_type=MEDIA_TYPE, headers=headers, stream=chunks)


async def import_run(call: Call) -> Answer:
    return as_json(await call.engine.importing.bring(call.namespace, body.stream(call.receive)), status=201)


ROUTES = (
    Route(
        method="GET",
        path=f"{NAMESPACED}/runs/{{id}}/export",
        scopes=("read",),
        summary="A run that has ended as an archive, with its child runs and all bytes that it names",
        endpoint=export_run,
        response=MEDIA_TYPE,
    ),
    Route(
        method="POST",
        path=f"{NAMESPACED}/runs/import",
        scopes=("author",),
        summary="Bring a run in that was exported: verified as a whole, then there to be looked at",
        endpoint=import_run,
        upload=True,
        response=RunRef,
        status=201,
    ),
)
