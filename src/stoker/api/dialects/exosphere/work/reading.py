"""The bodies of reports, read to their end: one over the limit is no reason to refuse what was done."""

from __future__ import annotations

from stoker.api import body
from stoker.api.call import Receive
from stoker.api.dialects.exosphere.work.bodies import Sent
from stoker.core.protocol import MAX_BODY


async def read(receive: Receive) -> Sent:
    """The body, or its beginning if it is over the limit. Disconnected if it ends early."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in body.stream(receive):
        if size <= MAX_BODY:
            chunks.append(chunk)
        size += len(chunk)
    return Sent(chunks[0] if len(chunks) == 1 else b"".join(chunks), whole=size <= MAX_BODY)
