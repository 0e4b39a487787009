"""Answers onto the wire, and what happens to those that cannot get there."""

from __future__ import annotations

from collections.abc import AsyncIterator

from stoker.api.call import GONE, Answer, Receive, Send
from stoker.api.hold import is_gone


async def write(answer: Answer, receive: Receive, send: Send, *, close: bool = False) -> None:
    """Send an answer. `close`: ask the client to come back on a new connection."""
    if answer is GONE:
        return
    if answer.undelivered is not None and is_gone(receive):
        await answer.undelivered()
        return
    try:
        await send({"type": "http.response.start", "status": answer.status, "headers": _headers(answer, close)})
        if answer.stream is None:
            await send({"type": "http.response.body", "body": answer.body})
        else:
            await _stream(answer.stream, receive, send)
    except OSError:
        if answer.undelivered is not None:
            await answer.undelivered()


def _headers(answer: Answer, close: bool) -> list[tuple[bytes, bytes]]:
    headers = list(answer.headers)
    if answer.media_type:
        headers.append((b"content-type", answer.media_type.encode("latin-1")))
    if answer.stream is None and not answer.bodiless and answer.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(answer.body)))
    elif answer.length is not None:
        headers.append((b"content-length", b"%d" % answer.length))
    if close:
        headers.append((b"connection", b"close"))
    return headers


async def _stream(chunks: AsyncIterator[bytes], receive: Receive, send: Send) -> None:
    """Send chunk by chunk while the client stays. If the source fails midway, the answer stays visibly incomplete."""
    try:
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if is_gone(receive):
                return
        await send({"type": "http.response.body", "body": b""})
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
