"""One suite, every store. Another database is one more name here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import fresh
from databases import Bouncer, Cluster, has_bouncer
from stoker.storage.postgres.store import Postgres
from stoker.storage.sqlite.store import Sqlite

STORES = ["sqlite", "postgres", "pgbouncer"]
NO_BOUNCER = "pgbouncer is not on this machine; `make postgres` installs it where it can be had"


@pytest.fixture(scope="session")
def bouncer(cluster: Cluster) -> Iterator[Bouncer]:
    """PgBouncer in transaction mode, in front of the shared cluster."""
    if not has_bouncer():
        pytest.skip(NO_BOUNCER)
    with Bouncer(cluster) as bouncer:
        yield bouncer


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """An empty, migrated store."""
    match request.param:
        case "sqlite":
            fresh.settle(tmp_path / "stoker.db")
            store: Any = Sqlite(tmp_path / "stoker.db", durable=False)
        case "postgres":
            store = Postgres(request.getfixturevalue("migrated"))
        case "pgbouncer":
            pool = request.getfixturevalue("bouncer")
            store = Postgres(f"{pool.url(request.getfixturevalue('migrated'))}&pgbouncer=true")
        case other:
            raise AssertionError(other)
    await store.open()
    yield store
    await store.close()
