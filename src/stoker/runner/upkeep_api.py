"""The endpoints of the whole installation's upkeep as coroutines. They need a token with the scope `admin`."""

from __future__ import annotations

from stoker.core.upkeep_views import CollectionView, UsageView
from stoker.runner.wire import Wire


class UpkeepApi:
    """The room that an installation takes."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def usage(self) -> UsageView:
        return await self._wire.call("GET", "/v1/usage", answer=UsageView, wait_s=600)

    async def collect(self, *, dry_run: bool = False) -> CollectionView:
        """Begin to delete artifacts that nothing names, unless that goes on."""
        query = {"dry_run": "true" if dry_run else None}
        return await self._wire.call("POST", "/v1/collection", answer=CollectionView, query=query)

    async def collection(self, wait_s: float = 0.0) -> CollectionView:
        """How far that is, once it has ended or so many seconds have passed."""
        return await self._wire.call(
            "GET", "/v1/collection", answer=CollectionView, query={"wait_s": wait_s or None}, wait_s=wait_s
        )
