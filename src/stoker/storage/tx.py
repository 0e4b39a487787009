"""Named statements on one connection: what the engine asks and writes, as rows.

The methods are coroutines, because a store may wait on a network; these never suspend.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import apsw
import msgspec

from stoker.core.branch import END
from stoker.core.decide import Fold
from stoker.core.model import ItemKey, JoinKey, JoinRow, Run, StoredItem, Task
from stoker.engine.ports import (
    GuardFailed,
    Lease,
    LogRow,
    ProgressRow,
    Row,
    SessionRow,
    VersionRow,
)
from stoker.storage import queries, rows

SQL = queries.load("hot", "ticks", "catalog", "views")
_json = msgspec.json.Encoder().encode


class SqliteReader:
    """Questions on one connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.statements = 0

    def _all(self, name: str, *parameters: Any) -> list[Any]:
        self.statements += 1
        try:
            return list(self._connection.execute(SQL[name], parameters))
        except OverflowError:  # a number that no row can have
            return list(self._connection.execute(SQL[name], [_bounded(value) for value in parameters]))

    def _each(self, name: str, bound: Sequence[Row]) -> list[Any]:
        self.statements += 1
        return list(self._connection.executemany(SQL[name], bound))

    async def rows(self, query: str, *parameters: Any) -> list[Row]:
        return self._all(query, *parameters)

    async def ids(self, query: str, *parameters: Any) -> list[int]:
        return [row[0] for row in self._all(query, *parameters) if row[0] is not None]

    async def tasks(self, ids: Iterable[int]) -> list[Task]:
        return [rows.task(row) for row in self._all("tasks", _ids(ids))]

    async def task_rows(self, query: str, *parameters: Any) -> list[Task]:
        return [rows.task(row) for row in self._all(query, *parameters)]

    async def runs(self, ids: Iterable[int]) -> list[Run]:
        return [rows.run(row) for row in self._all("runs", _ids(ids))]

    async def run_rows(self, query: str, *parameters: Any) -> list[Run]:
        return [rows.run(row) for row in self._all(query, *parameters)]

    async def join_rows(self, keys: Iterable[JoinKey]) -> list[tuple[JoinKey, JoinRow]]:
        return [rows.join_row(row) for row in self._each("join_row", list(keys))]

    async def run_join_rows(self, run: int) -> list[tuple[JoinKey, JoinRow]]:
        return [rows.join_row(row) for row in self._all("run_join_rows", run)]

    async def items(self, keys: Iterable[ItemKey]) -> list[StoredItem]:
        return [rows.item(row) for row in self._each("item", list(keys))]

    async def items_below(self, run: int, node: int, prefix: bytes) -> list[StoredItem]:
        return [rows.item(row) for row in self._all("items_below", run, node, prefix, prefix + END)]

    async def items_after(self, seen: ItemKey, prefix: bytes, limit: int) -> list[StoredItem]:
        return [rows.item(row) for row in self._all("items_after", *seen, prefix + END, limit)]

    async def size_below(self, run: int, node: int, prefix: bytes) -> tuple[int, int]:
        ((size, count),) = self._all("size_below", run, node, prefix, prefix + END)
        return size, count

    async def run_inputs(self, runs: Iterable[int]) -> dict[int, bytes]:
        return dict(self._all("run_inputs", _ids(runs)))

    async def version(self, version: int) -> VersionRow | None:
        for row in self._all("version", version):
            return VersionRow(version, *row)
        return None

    async def session(self, secret: bytes) -> SessionRow | None:
        for row in self._all("session_by_secret", secret):
            return SessionRow(*row)
        return None

    async def leases_of(self, sessions: Iterable[int], limit: int) -> list[Lease]:
        return [Lease(*row) for row in self._all("leases_of", _ids(sessions), limit)]


class SqliteTx(SqliteReader):
    """One transaction that writes."""

    async def execute(self, query: str, *parameters: Any) -> list[Row]:
        return self._all(query, *parameters)

    async def claimable(self, lanes: Sequence[int], limit: int) -> list[Task]:
        return [rows.task(row) for row in self._all("claimable", _ids(lanes), limit)]

    async def write(self, fold: Fold) -> None:
        new_runs = [run for run in fold.runs.values() if run.id in fold.new_runs]
        changed_runs = [fold.runs[run] for run in fold.changed_runs if run not in fold.new_runs]
        new_tasks = [task for task in fold.tasks.values() if task.id not in fold.loaded]
        changed = [(task, was) for was in fold.loaded.values() if (task := fold.tasks[was.id]) is not was]
        self._put("insert_run", [rows.of_new_run(run) for run in new_runs])
        self._put("insert_run_input", list(fold.new_inputs.items()))
        self._guarded("update_run", [rows.of_changed_run(run) for run in changed_runs])
        self._put("insert_task", [rows.of_new_task(task) for task in new_tasks])
        self._guarded("update_task", [rows.of_changed_task(task, was) for task, was in changed])
        await self.write_items(fold)
        self._put("put_join_row", [rows.of_join_row(key, fold.rows[key]) for key in fold.changed_rows])
        self._put("add_counts", [(run, node, *counts) for (run, node), counts in fold.counts.items()])
        self._put("insert_attempt", [msgspec.structs.astuple(ended) for ended in fold.history])

    async def write_items(self, fold: Fold) -> None:
        items, fold.items = fold.items, []
        self._put("insert_item", [rows.of_item(item) for item in items])

    async def put_progress(self, rows: Sequence[ProgressRow]) -> None:
        self._put("put_progress", rows)

    async def insert_logs(self, rows: Sequence[LogRow]) -> None:
        self._put("insert_log", rows)

    def _put(self, name: str, bound: Sequence[Row]) -> None:
        if bound:
            self.statements += 1
            self._connection.executemany(SQL[name], bound)

    def _guarded(self, name: str, bound: Sequence[Row]) -> None:
        before = self._connection.total_changes()
        self._put(name, bound)
        if self._connection.total_changes() - before != len(bound):
            raise GuardFailed(name)


def _ids(values: Iterable[int]) -> str:
    return _json(list(values)).decode()


def _bounded(value: Any) -> Any:
    return max(-(2**63), min(value, 2**63 - 1)) if isinstance(value, int) else value
