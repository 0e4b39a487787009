from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from databases import Cluster


@pytest.fixture
def urls(cluster: Cluster, template: str) -> Iterator[Iterator[str]]:
    """Migrated databases, as many as are asked for; each lasts until the next is."""
    made: list[str] = []
    yield (_next(cluster, template, made) for _ in itertools.count())
    for url in made:
        cluster.drop(url)


def _next(cluster: Cluster, template: str, made: list[str]) -> str:
    while made:
        cluster.drop(made.pop())
    made.append(cluster.create(template))
    return made[-1]
