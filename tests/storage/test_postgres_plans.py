"""Plans are made once, perhaps while the tables are empty: each must still be right when they are large."""

from __future__ import annotations

import re
from typing import Any

from stoker.storage.postgres.store import Postgres
from stoker.storage.postgres.tx import SQL

COUNTS_ALL = {"survey", "survey_runs", "usage_artifacts"}  # what people ask for once in a while
_SLOW = re.compile(
    r"Seq Scan on (task|run|item|join_row|session|node_count|attempt|log|spread|artifact|audit)\b"
    r"|Hash Join|Merge Join|Bitmap"
)
_SAMPLES: dict[str, Any] = {"int8": 1, "int4": 1, "int2": 1, "text": "x", "bytea": b"x", "float8": 1.0, "bool": True}


def _sample(kind: str) -> Any:
    return [_SAMPLES[kind[:-2]]] if kind.endswith("[]") else _SAMPLES[kind]


async def test_every_statement_goes_by_an_index_even_if_it_was_planned_on_empty_tables(database: str) -> None:
    store = Postgres(database)
    await store.open()
    slow: dict[str, list[str]] = {}
    async with store._pool.begun("BEGIN") as connection:
        for name, sql in SQL.items():
            parameters = [_sample(each.name) for each in (await connection.prepare(sql)).get_parameters()]
            plan = [row[0] for row in await connection.fetch(f"EXPLAIN {sql}", *parameters)]
            if found := [line.strip() for line in plan if _SLOW.search(line)]:
                slow[name] = found
        await connection.execute("ROLLBACK")
    await store.close()
    assert slow.keys() <= COUNTS_ALL, slow
