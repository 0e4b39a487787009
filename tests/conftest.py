from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from databases import Cluster


def pytest_configure() -> None:
    """A shell has its background ignore these; so would all that the tests start, and then interrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


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
