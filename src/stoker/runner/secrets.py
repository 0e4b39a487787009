"""The secrets of a client: plain calls."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

import msgspec

from stoker.core.secret_views import RotateAnswer, SecretRequest, SecretView
from stoker.runner.api import Api

T = TypeVar("T")
Views = list[SecretView]  # in the class `list` is a verb


class Client(Protocol):
    """What secrets need of the client that made them."""

    @property
    def api(self) -> Api: ...
    def call(self, coroutine: Coroutine[Any, Any, T]) -> T: ...


class Secrets:
    """`client.secrets`: what nodes may read that declare it. No call gives a value."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def set(self, name: str, value: str) -> SecretView:
        """Set a secret, or set it anew: a text of 4 characters to 64 KiB. Tasks claimed from now on get it."""
        return self._client.call(self._client.api.secrets.put(name, SecretRequest(value=value)))

    def list(self) -> Views:
        """Return the secrets by name, without their values; at most 1,000."""
        return self._client.call(self._client.api.secrets.list(1_000)).items

    def delete(self, name: str) -> None:
        """Delete a secret. Tasks that declare it FAIL from now on."""
        self._client.call(self._client.api.secrets.delete(name))

    def rotate(self) -> RotateAnswer:
        """Encrypt the secrets of all namespaces under the server's first key. It may be stopped, and asked again."""
        return self._client.call(self._rotate())

    async def _rotate(self) -> RotateAnswer:
        done = await self._client.api.secrets.rotate()
        while done.after is not None:
            more = await self._client.api.secrets.rotate(done.after)
            done = msgspec.structs.replace(more, rotated=done.rotated + more.rotated, left=[*done.left, *more.left])
        return done
