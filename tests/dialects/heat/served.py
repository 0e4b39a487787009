"""A HEAT API in process: the real application over a real engine, called without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import msgspec

from engine.plant import Plant
from stoker.api.app import App, build
from stoker.api.dialects.dialect import Dialect
from stoker.api.dialects.heat.dialect import heat
from stoker.config import Heat
from stoker.core.views import TokenRequest

NS = "heat"
SCOPES: dict[str, list[Any]] = {
    "system": ["admin"],
    "privileged": ["read", "trigger", "run", "author"],
    "user": ["read", "trigger", "author"],
    "runner": ["run"],
    "reader": ["read"],
}


class Answered(msgspec.Struct):
    status: int
    value: Any
    headers: dict[str, str]


class Served:
    """An application and a token for each role. `ask` calls as `privileged` unless told otherwise."""

    def __init__(self, app: App, plant: Plant, dialect: Dialect, tokens: dict[str, str]) -> None:
        self.app = app
        self.plant = plant
        self.dialect = dialect
        self.tokens = tokens

    async def again(self) -> None:
        """What every start does before it serves."""
        await self.dialect.begin(self.plant.engine)

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        role: str | None = "privileged",
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        peer: str | None = "127.0.0.1",
    ) -> Answered:
        """Call as HEAT's clients do. `path` is raw; `body`: bytes as they are, None: none; `role` None: no token."""
        given = {"host": "127.0.0.1:5220", "content-type": "application/json"}
        if role is not None:
            given["authorization"] = f"Bearer {self.tokens.get(role, role)}"
        given |= headers or {}
        sent = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        scope = {
            "type": "http",
            "method": method,
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": urlencode(query or {}).encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
            "client": None if peer is None else (peer, 1),
            "http_version": "1.1",
            "scheme": "http",
        }
        told: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": sent, "more_body": False}

        async def send(message: Any) -> None:
            told.append(message)

        await self.app(scope, receive, send)
        content = b"".join(message.get("body", b"") for message in told[1:])
        answered = {name.decode(): value.decode() for name, value in told[0]["headers"]}
        return Answered(told[0]["status"], msgspec.json.decode(content) if content else None, answered)

    async def get(self, path: str, **options: Any) -> Any:
        """What a GET gives, which must be 200."""
        answered = await self.ask("GET", path, **options)
        assert answered.status == 200, answered
        return answered.value

    async def make(self, path: str, body: Any, **options: Any) -> Any:
        """What a POST gives, which must be 201."""
        answered = await self.ask("POST", path, body, **options)
        assert answered.status == 201, answered
        return answered.value

    async def refused(self, status: int, method: str, path: str, body: Any = None, **options: Any) -> str:
        """The message of a refusal, which must have this status and HEAT's shape."""
        answered = await self.ask(method, path, body, **options)
        assert answered.status == status, answered
        assert set(answered.value) == {"status", "message"}
        assert answered.value["status"] is False
        return str(answered.value["message"])


@asynccontextmanager
async def serving(data: Path, settings: Heat | None = None, **options: Any) -> AsyncIterator[Served]:
    plant = await Plant(data, database=options.pop("database", None)).start()
    try:
        dialect = heat(settings or Heat())
        await dialect.begin(plant.engine)
        tokens = {}
        for role, scopes in SCOPES.items():
            view = await plant.engine.tokens.create(TokenRequest(name=role, scopes=scopes, namespaces=[NS]))
            tokens[role] = str(view.token)
        yield Served(build(plant.engine, version="1.2.3", dialects=[dialect], **options), plant, dialect, tokens)
    finally:
        await plant.stop()
