"""The retention of a client's namespace: plain calls."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from stoker.core.keep_views import KeepSpec, KeepView
from stoker.runner.api import Api

T = TypeVar("T")


class Client(Protocol):
    """What retention needs of the client that made it."""

    @property
    def api(self) -> Api: ...
    def call(self, coroutine: Coroutine[Any, Any, T]) -> T: ...


class Retention:
    """`client.retention`: what is kept of runs that have ended."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def show(self) -> KeepView:
        """Return the rule, and how many runs are beyond it."""
        return self._client.call(self._client.api.keeping.show())

    def set(
        self,
        *,
        age: str | float | None = None,
        count: int | None = None,
        failed_age: str | float | None = None,
        dry_run: bool = False,
    ) -> KeepView:
        """Keep runs for so long after their end, and so many; `set()` keeps everything.

        `failed_age`: for how long, instead of both, those that FAILED or were CANCELLED. `dry_run`: only say how many
        runs are beyond it. Needs a token with the scope `admin`.
        """
        keep = KeepSpec(age=age, count=count, failed_age=failed_age)
        return self._client.call(self._client.api.keeping.put(keep, dry_run=dry_run))

    def clear(self) -> KeepView:
        """Keep by what the server's settings say."""
        return self._client.call(self._client.api.keeping.clear())
