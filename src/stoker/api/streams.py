"""Streams whose first piece is fetched before the answer begins, so that an early failure is still a problem."""

from __future__ import annotations

from collections.abc import AsyncIterator


async def started(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same stream, with its first piece at hand. Raises what fetching that raises."""
    first = await anext(chunks, b"")
    return _resumed(first, chunks)


async def _resumed(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        if first:
            yield first
        async for chunk in rest:
            yield chunk
    finally:
        close = getattr(rest, "aclose", None)
        if close is not None:
            await close()
