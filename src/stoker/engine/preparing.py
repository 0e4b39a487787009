"""Reports before their transaction: large outputs are fetched, and put away if they are too large for the database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from stoker.core.model import MAX_ITEMS, PAYLOAD_INLINE
from stoker.core.names import fault
from stoker.core.picture import Body
from stoker.core.protocol import Complete, Item, Output, Report
from stoker.engine.inputs import fetch
from stoker.engine.ports import Blobs, Store
from stoker.engine.reported import Reported
from stoker.errors import NotFound, Rejected


class Preparing:
    """Makes what is decided of what was said."""

    def __init__(self, store: Store, blobs: Blobs) -> None:
        self._store = store
        self._blobs = blobs

    async def report(self, namespace: int, report: Report) -> Reported:
        """What is wrong with the outputs of a report is kept with it: to be decided, not to be raised."""
        if isinstance(report, Output):
            return await self._output(namespace, report)
        if not isinstance(report, Complete):
            return Reported(report, [])
        if len(report.items) > MAX_ITEMS:
            return Reported(report, [], f"a report has at most {MAX_ITEMS} items, not {len(report.items)}")
        try:
            return Reported(report, [await self._body(namespace, item) for item in report.items])
        except (Rejected, msgspec.DecodeError) as error:
            return Reported(report, [], str(error))

    async def _output(self, namespace: int, report: Output) -> Reported:
        try:
            return Reported(
                report, [await self._body(namespace, report.item)], fault(report.name) if report.name else None
            )
        except (Rejected, msgspec.DecodeError) as error:
            return Reported(report, [], str(error))

    async def _body(self, namespace: int, item: Item) -> Body:
        if item.artifact is None:
            body = bytes(item.value) or b"null"
            if len(body) <= PAYLOAD_INLINE:
                return Body(body)
            blob = await self._blobs.write(_chunks(body))
            return Body(body, blob.key)
        rows = await self._store.read(lambda reader: reader.rows("artifact", item.artifact, namespace))
        if not rows:
            raise NotFound(f"there is no artifact {item.artifact} here", code="no_artifact")
        key, size = rows[0][5], rows[0][3]
        body = await fetch(self._blobs, key)
        msgspec.json.decode(body, type=msgspec.Raw)  # refuses what is not one JSON document
        return Body(body, key if size > PAYLOAD_INLINE else None)


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    yield body
