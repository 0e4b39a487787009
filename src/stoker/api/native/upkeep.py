"""The room that the whole installation takes, and the collection of artifacts that nothing names."""

from __future__ import annotations

from typing import Annotated

import msgspec

from stoker.api.call import GONE, Answer, Call, as_json
from stoker.api.hold import hold
from stoker.api.query import Query, Wait
from stoker.api.route import Route
from stoker.api.streams import started
from stoker.core.upkeep_views import CollectionView, UsageView

_COLLECTION = "/v1/collection"
_PRIVATE = ((b"cache-control", b"no-store"), (b"content-disposition", b"attachment; filename=stoker-backup.tar"))


class CollectQuery(Query, frozen=True):
    dry_run: Annotated[bool, msgspec.Meta(description="Only say what would go.")] = False


class LookQuery(Query, frozen=True):
    wait_s: Wait = 0.0


async def get_usage(call: Call) -> Answer:
    return as_json(await call.engine.usage.look())


async def start_collection(call: Call) -> Answer:
    call.engine.collecting.start(dry_run=call.query.dry_run)
    return as_json(await call.engine.collecting.look(0.0))


async def get_collection(call: Call) -> Answer:
    held = await hold(call.engine.collecting.look(call.query.wait_s), call.receive, call.server.closing)
    if held.gone:
        return GONE
    return as_json(held.value or await call.engine.collecting.look(0.0))


async def get_backup(call: Call) -> Answer:
    chunks = call.engine.backups.stream()
    return Answer(media_type="application/x-tar", headers=_PRIVATE, stream=await started(chunks))


ROUTES = (
    Route(
        method="GET",
        path="/v1/backup",
        scopes=("admin",),
        summary="The whole installation as a tar archive, while it works: the database, then stored bytes",
        endpoint=get_backup,
        response="application/x-tar",
        audit="begun",
    ),
    Route(
        method="GET",
        path="/v1/usage",
        scopes=("admin",),
        summary="Rows and bytes by namespace, and the room on the disk",
        endpoint=get_usage,
        response=UsageView,
    ),
    Route(
        method="POST",
        path=_COLLECTION,
        scopes=("admin",),
        summary="Begin to delete artifacts and stored bytes that nothing names, unless that goes on",
        endpoint=start_collection,
        query=CollectQuery,
        response=CollectionView,
        audit="begun",
        told=lambda call: None if call.query.dry_run else {},
    ),
    Route(
        method="GET",
        path=_COLLECTION,
        scopes=("admin",),
        summary="How far the collection is, or what the last one did",
        endpoint=get_collection,
        query=LookQuery,
        response=CollectionView,
    ),
)
