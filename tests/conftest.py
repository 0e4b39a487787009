from __future__ import annotations

from collections.abc import Iterator

import pytest

from databases import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running PostgreSQL, shared by the tests of this process: who stops or configures one makes one of their own."""
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def database(cluster: Cluster) -> Iterator[str]:
    """The URL of a fresh, empty database."""
    url = cluster.create()
    yield url
    cluster.drop(url)
