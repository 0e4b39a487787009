"""The audit log: who did what."""

from __future__ import annotations

from typing import Annotated

import msgspec

from stoker.api.call import Answer, Call, as_json
from stoker.api.query import After, Limit, Query
from stoker.api.route import Route
from stoker.core.audit_views import AuditView
from stoker.core.views import Page


class AuditQuery(Query, frozen=True):
    filter: Annotated[
        str,
        msgspec.Meta(description="Only those that all these terms hold for: `verb=cancel_run subject=run:12 at>2d`."),
    ] = ""
    limit: Limit = 100
    after: After | None = None


async def list_audit(call: Call) -> Answer:
    query: AuditQuery = call.query
    return as_json(await call.engine.audit.list(filter=query.filter, limit=query.limit, after=query.after))


ROUTES = (
    Route(
        method="GET",
        path="/v1/audit",
        scopes=("admin",),
        summary="List who did what, newest first",
        endpoint=list_audit,
        query=AuditQuery,
        response=Page[AuditView],
    ),
)
