"""What an endpoint takes and gives: a decoded call, and the answer to write."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from stoker.api.closing import Closing
from stoker.engine.caller import Caller
from stoker.errors import Invalid

if TYPE_CHECKING:
    from stoker.engine.engine import Engine

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = "application/json"
MAX_ID = 2**63 - 1


class Exposition(Protocol):
    async def text(self) -> bytes:
        """What was counted, as Prometheus reads it."""
        ...


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """What every call shares. `opened`: scopes that need no token here. `metrics`: None: nothing is counted.

    `dialects`: the names of the other protocols that are spoken.
    """

    engine: Engine
    closing: Closing
    version: str = ""
    path_prefix: str = ""
    insecure: bool = False
    openapi: Callable[[], bytes] = bytes
    metrics: Exposition | None = None
    opened: frozenset[str] = frozenset()
    dialects: tuple[str, ...] = ()


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request, authorised and decoded: `query` and `body` are of the types that the route declares.

    `state`: what the dialect that it comes in remembers.
    """

    server: Server
    caller: Caller
    scope: Scope
    receive: Receive
    namespace: str = ""
    path: dict[str, str] = {}
    query: Any = None
    body: Any = None
    state: Any = None

    @property
    def engine(self) -> Engine:
        return self.server.engine

    @property
    def id(self) -> int:
        text = self.path["id"]
        if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:20]) <= MAX_ID:
            raise Invalid(f"an id is an integer from 1, not {text[:40]!r}", place="path.id")
        return int(text)

    @property
    def name(self) -> str:
        return self.path["name"]

    def header(self, name: bytes) -> str:
        return header(self.scope, name)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What to write.

    `stream` replaces `body`; `bodiless` sends headers only (to HEAD). `undelivered` runs if it cannot be written.
    """

    status: int = 200
    body: bytes = b""
    media_type: str = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    stream: AsyncIterator[bytes] | None = None
    length: int | None = None
    bodiless: bool = False
    undelivered: Callable[[], Awaitable[None]] | None = None


NO_CONTENT = Answer(status=204, media_type="")
GONE = Answer(status=0)
"""The client left; there is nobody to write to."""


def as_json(value: Any, status: int = 200) -> Answer:
    return Answer(status=status, body=msgspec.json.encode(value))


def header(scope: Scope, name: bytes) -> str:
    """The value of a request header, several joined by a comma; empty if it is absent."""
    return ", ".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)
