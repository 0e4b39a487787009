from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, settings

import rooms
from databases import Cluster
from stoker.storage.postgres.store import Postgres


def pytest_configure() -> None:
    """A shell has its background ignore these; so would all that the tests start, and then interrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    rooms.settle()
    keep_bytecode()
    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")  # how long an example takes tells of who else is at work here


def keep_bytecode() -> None:
    """Of what is imported until all tests are there, whatever the caller's environment says; of nothing later.

    A module that a test writes twice in a second would be taken for the first one's.
    """
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = False


def pytest_collection_finish() -> None:
    sys.dont_write_bytecode = True


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


@pytest.fixture(scope="session")
def template(cluster: Cluster) -> Iterator[str]:
    """A database that has been migrated, to be copied."""
    url = cluster.create()
    with ThreadPoolExecutor(1) as aside:  # who asks first may be in a loop
        aside.submit(asyncio.run, _migrate(url)).result()
    yield url
    cluster.drop(url)


@pytest.fixture
def migrated(cluster: Cluster, template: str) -> Iterator[str]:
    """The URL of a fresh database in which nothing is but the newest schema."""
    url = cluster.create(template)
    yield url
    cluster.drop(url)


async def _migrate(url: str) -> None:
    store = Postgres(url)
    await store.open()
    await store.close()
