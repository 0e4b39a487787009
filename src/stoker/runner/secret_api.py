"""The endpoints of secrets as coroutines."""

from __future__ import annotations

from urllib.parse import quote

from stoker.core.secret_views import KeyView, RotateAnswer, SecretRequest, SecretView
from stoker.core.views import Page
from stoker.runner.wire import Wire

Keys = list[KeyView]  # in the class `list` is a verb


class SecretApi:
    """The secrets of one namespace; keys and rotation are those of the whole server. `path`: where the namespace is."""

    def __init__(self, wire: Wire, path: str) -> None:
        self._wire = wire
        self._path = f"{path}/secrets"

    async def put(self, name: str, request: SecretRequest) -> SecretView:
        return await self._wire.call("PUT", self._of(name), body=request, answer=SecretView)

    async def list(self, limit: int = 100, after: str | None = None) -> Page[SecretView]:
        query = {"limit": limit, "after": after}
        return await self._wire.call("GET", self._path, answer=Page[SecretView], query=query)

    async def delete(self, name: str) -> None:
        await self._wire.call("DELETE", self._of(name))

    async def rotate(self, after: str | None = None) -> RotateAnswer:
        return await self._wire.call("POST", "/v1/secrets/rotate", answer=RotateAnswer, query={"after": after})

    async def keys(self) -> Keys:
        return await self._wire.call("GET", "/v1/secrets/keys", answer=list[KeyView])

    def _of(self, name: str) -> str:
        return f"{self._path}/{quote(name, safe='')}"
