"""A real server in a thread, and the published client before it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from client import Client

from stoker.api.dialects.heat.dialect import heat
from stoker.bootstrap.embedded import Embedded
from stoker.config import Heat


@pytest.fixture(scope="session")
def server() -> Iterator[Embedded]:
    with Embedded(dialects=[heat(Heat())]) as server:
        yield server


@pytest.fixture(scope="session")
def client(server: Embedded) -> Iterator[Client]:
    client = Client(server.url, server.token)
    yield client
    client.close()
