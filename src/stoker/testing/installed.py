"""A server inside of this process, for tests that want real time: the fixture `stoker_server`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stoker.bootstrap.embedded import Embedded
from stoker.runner.client import Client
from stoker.runner.runner import Runner


class Installed:
    """`url` and `token` for whatever else connects."""

    def __init__(self, server: Embedded, client: Client) -> None:
        self.client = client
        self.url = server.url
        self.token = server.token
        self._server = server

    def runner(self, *nodes: Any, **options: Any) -> Runner:
        """A runner of it in this process; `with` it, or start it in the background."""
        return self._server.runner(list(nodes), **options)


@contextmanager
def installed() -> Iterator[Installed]:
    """A server whose data is thrown away, and a client of it."""
    with Embedded() as server, server.client() as client:
        yield Installed(server, client)
