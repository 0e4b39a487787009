"""Request bodies: read within a limit, checked for what the decoder lets pass, decoded."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from stoker.api import problems
from stoker.api.call import Receive, Scope, header
from stoker.core.protocol import MAX_BODY
from stoker.errors import Invalid, TooLarge, Unavailable

MAX_DEPTH = 64

_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')
_AS_BRACKETS = bytes.maketrans(b"{}", b"[]")
_REST = bytes(byte for byte in range(256) if byte not in b'"[]{}')
_TOO_DEEP = b"[" * (MAX_DEPTH + 1)


class Disconnected(Unavailable):
    """The client left before its request was complete."""

    code = "disconnected"


async def read(scope: Scope, receive: Receive) -> bytes:
    """The whole body. TooLarge as soon as that is known; Disconnected if it ends early."""
    declared = header(scope, b"content-length")
    if declared.isdigit() and int(declared) > MAX_BODY:
        raise _too_large(f"{declared} bytes")
    chunks: list[bytes] = []
    size = 0
    async for chunk in stream(receive):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY:
            raise _too_large("more")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def stream(receive: Receive) -> AsyncIterator[bytes]:
    """The body in the pieces in which it arrives. Disconnected if the client leaves before its end."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected("the client closed the connection before the end of the request body")
        more = message.get("more_body", False)
        if chunk := message.get("body", b""):
            yield chunk


def decode(body: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """The value of a JSON body. Invalid, naming the place: not JSON, not UTF-8, too deep, or of another type."""
    try:
        value = decoder.decode(body)
        body.decode()
    except msgspec.MsgspecError as error:
        raise problems.undecodable(error, "body") from None
    except UnicodeDecodeError as error:
        raise Invalid("the body is not UTF-8", code="bad_json", place=f"body, byte {error.start}") from None
    except RecursionError:
        raise _too_deep() from None
    if deeper_than_allowed(body):
        raise _too_deep()
    return value


def deeper_than_allowed(body: bytes) -> bool:
    """Whether valid JSON nests deeper than MAX_DEPTH. Runs in C: each round strips the innermost level."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    brackets = _brackets(body)
    for _ in range(MAX_DEPTH):
        if _TOO_DEEP in brackets:
            return True
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return False
    return True


def _brackets(body: bytes) -> bytes:
    """The brackets outside strings. Two neighbouring quotes cancel out, whichever they are: what is quoted stays so."""
    unescaped = _ESCAPE.sub(b"", body) if b"\\" in body else body
    marks = unescaped.translate(_AS_BRACKETS, _REST).replace(b'""', b"")
    return _STRING.sub(b"", marks) if b'"' in marks else marks


def _too_large(size: str) -> TooLarge:
    return TooLarge(
        f"a request body may have {MAX_BODY} bytes; this one has {size}",
        place="body",
        remedy="Upload large values as artifacts and pass their handles.",
    )


def _too_deep() -> Invalid:
    return Invalid(
        f"the body nests deeper than {MAX_DEPTH} levels", code="too_deep", place="body", remedy="Flatten it."
    )
