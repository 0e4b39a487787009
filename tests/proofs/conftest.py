from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from databases import Cluster, name_of
from stoker.storage.postgres.store import Postgres


@pytest.fixture(scope="session")
def template(cluster: Cluster) -> Iterator[str]:
    """A database that has been migrated, to be copied."""
    url = cluster.create()
    asyncio.run(_migrate(url))
    yield url
    cluster.drop(url)


@pytest.fixture
def urls(cluster: Cluster, template: str) -> Iterator[Iterator[str]]:
    """Copies of it, as many as are asked for; each lasts until the next is."""
    made: list[str] = []
    yield (_copy(cluster, template, made) for _ in itertools.count())
    for url in made:
        cluster.drop(url)


async def _migrate(url: str) -> None:
    store = Postgres(url)
    await store.open()
    await store.close()


def _copy(cluster: Cluster, template: str, made: list[str]) -> str:
    while made:
        cluster.drop(made.pop())
    cluster.psql(f"CREATE DATABASE copy TEMPLATE {name_of(template)}")
    made.append(cluster.url("copy"))
    return made[-1]
