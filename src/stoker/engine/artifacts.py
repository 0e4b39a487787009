"""Artifacts: bytes in the object store and a row about them. The row is committed when the bytes are durable."""

from __future__ import annotations

from collections.abc import AsyncIterator

from stoker.core.names import fault
from stoker.core.views import ArtifactView
from stoker.engine import single
from stoker.engine.catalog import when
from stoker.engine.ids import Ids
from stoker.engine.namespaces import Namespaces
from stoker.engine.ports import Blobs, Clock, Store, Tx
from stoker.errors import Invalid, NotFound


class Artifacts:
    """Puts and reads artifacts of a namespace."""

    def __init__(self, store: Store, namespaces: Namespaces, blobs: Blobs, ids: Ids, clock: Clock) -> None:
        self._store = store
        self._namespaces = namespaces
        self._blobs = blobs
        self._ids = ids
        self._clock = clock

    async def put(self, namespace: str, name: str, media_type: str, chunks: AsyncIterator[bytes]) -> ArtifactView:
        """Stream bytes in; the artifact exists once they are durable and the row is committed."""
        if wrong := fault(name):
            raise Invalid(wrong, code="bad_name", place="name")
        number = await self._namespaces.made(namespace)
        blob = await self._blobs.write(chunks)
        now = self._clock.now()
        id_ = await self._ids.one("artifact")

        async def insert(tx: Tx) -> None:
            await tx.execute(
                "insert_artifact", id_, number, name, media_type[:200], blob.size, blob.sha256, blob.key, now
            )

        await single.transact(self._store, insert)
        return ArtifactView(
            id=id_, name=name, media_type=media_type[:200], size=blob.size, sha256=blob.sha256, created_at=when(now)
        )

    async def get(self, namespace: str, artifact: int) -> ArtifactView:
        """What is known of an artifact."""
        number = await self._namespaces.existing(namespace)
        rows = await self._store.read(lambda reader: reader.rows("artifact", artifact, number))
        if not rows:
            raise NotFound(
                f"the namespace {namespace!r} has no artifact {artifact}.",
                code="no_artifact",
                place=f"artifacts/{artifact}",
            )
        id_, name, media_type, size, digest, _, created = rows[0]
        return ArtifactView(
            id=id_, name=name, media_type=media_type, size=size, sha256=digest, created_at=when(created)
        )

    def read(self, view: ArtifactView, start: int, stop: int) -> AsyncIterator[bytes]:
        """Bytes [start, stop) of the content."""
        return self._blobs.read(view.sha256, start, stop)
