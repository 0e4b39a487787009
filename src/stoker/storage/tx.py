"""What the engine asks and writes, as named statements and rows; how a statement is run is each database's own.

The methods are coroutines because a database may be behind a network; SQLite's never suspend.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from stoker.core.branch import END
from stoker.core.decide import Fold
from stoker.core.duration import Micros
from stoker.core.gate import Gate
from stoker.core.live import LiveNode
from stoker.core.model import ItemKey, JoinKey, JoinRow, Run, Spread, StoredItem, Task
from stoker.core.reopen import Plan
from stoker.core.states import TaskState
from stoker.engine.ports import (
    Admitted,
    AuditRow,
    Head,
    Lease,
    LogRow,
    Passed,
    Place,
    ProgressRow,
    Row,
    SessionPut,
    SessionRow,
    VersionRow,
)
from stoker.storage import rows


class Questions(ABC):
    """A `Reader` over named statements."""

    @abstractmethod
    async def all(self, name: str, *parameters: Any) -> list[Any]:
        """Run one statement; a list among the parameters is bound as one value."""

    @abstractmethod
    async def each(self, name: str, bound: Sequence[Row]) -> list[Any]:
        """The rows found for each of these keys."""

    async def rows(self, query: str, *parameters: Any) -> list[Row]:
        return await self.all(query, *parameters)

    async def ids(self, query: str, *parameters: Any) -> list[int]:
        return [row[0] for row in await self.all(query, *parameters) if row[0] is not None]

    async def tasks(self, ids: Iterable[int]) -> list[Task]:
        return [rows.task(row) for row in await self.all("tasks", list(ids))]

    async def task_rows(self, query: str, *parameters: Any) -> list[Task]:
        return [rows.task(row) for row in await self.all(query, *parameters)]

    async def tasks_at(self, places: Iterable[Place]) -> list[Task]:
        return [rows.task(row) for row in await self.each("task_at", list(places))]

    async def more_at(self, places: Iterable[Place]) -> list[Row]:
        return await self.each("more_at", list(places))

    async def past_tasks(self, query: str, *parameters: Any) -> list[Task]:
        return [rows.past_task(row) for row in await self.all(query, *parameters)]

    async def item_rows(self, query: str, *parameters: Any) -> list[StoredItem]:
        return [rows.item(row) for row in await self.all(query, *parameters)]

    async def past_items(self, query: str, *parameters: Any) -> list[tuple[StoredItem, Task]]:
        return [(rows.item(row[:-1]), rows.past_task(row[-1:])) for row in await self.all(query, *parameters)]

    async def spreads(self, ids: Iterable[int]) -> list[Spread]:
        return [rows.spread(row) for row in await self.all("spreads", list(ids))]

    async def run_spreads(self, run: int) -> list[Spread]:
        return [rows.spread(row) for row in await self.all("run_spreads", run)]

    async def runs(self, ids: Iterable[int]) -> list[Run]:
        return [rows.run(row) for row in await self.all("runs", list(ids))]

    async def run_rows(self, query: str, *parameters: Any) -> list[Run]:
        return [rows.run(row) for row in await self.all(query, *parameters)]

    async def live_nodes(self, runs: Iterable[int]) -> list[LiveNode]:
        return [rows.live_node(row) for row in await self.all("live_nodes", list(runs))]

    async def live_node_of(self, task: int, attempt: int, session: int) -> LiveNode | None:
        return next((rows.live_node(row) for row in await self.all("live_node_of", task, attempt, session)), None)

    async def join_rows(self, keys: Iterable[JoinKey]) -> list[tuple[JoinKey, JoinRow]]:
        return [rows.join_row(row) for row in await self.each("join_row", list(keys))]

    async def join_page(self, query: str, *parameters: Any) -> list[tuple[JoinKey, JoinRow]]:
        return [rows.join_row(row) for row in await self.all(query, *parameters)]

    async def run_join_rows(self, run: int) -> list[tuple[JoinKey, JoinRow]]:
        return [rows.join_row(row) for row in await self.all("run_join_rows", run)]

    async def items(self, keys: Iterable[ItemKey]) -> list[StoredItem]:
        return [rows.item(row) for row in await self.each("item", list(keys))]

    async def items_below(self, run: int, node: int, prefix: bytes) -> list[StoredItem]:
        return [rows.item(row) for row in await self.all("items_below", run, node, prefix, prefix + END)]

    async def items_after(self, seen: ItemKey, prefix: bytes, limit: int) -> list[StoredItem]:
        return [rows.item(row) for row in await self.all("items_after", *seen, prefix + END, limit)]

    async def size_below(self, run: int, node: int, prefix: bytes) -> tuple[int, int]:
        ((size, count),) = await self.all("size_below", run, node, prefix, prefix + END)
        return size, count

    async def run_inputs(self, runs: Iterable[int]) -> dict[int, bytes]:
        return dict(await self.all("run_inputs", list(runs)))

    async def run_stores(self, runs: Iterable[int]) -> dict[int, bytes]:
        return dict(await self.all("run_stores", list(runs)))

    async def version(self, version: int) -> VersionRow | None:
        for row in await self.all("version", version):
            return VersionRow(version, *row)
        return None

    async def session(self, secret: bytes) -> SessionRow | None:
        for row in await self.all("session_by_secret", secret):
            return SessionRow(*row)
        return None

    async def session_ends(self, sessions: Iterable[int]) -> dict[int, Micros]:
        return dict(await self.all("session_ends", list(sessions)))

    async def leases_of(self, sessions: Iterable[int], limit: int) -> list[Lease]:
        return [Lease(*row) for row in await self.all("leases_of", list(sessions), limit)]

    async def gate(self, gate: int) -> Gate | None:
        return next((rows.gate(row) for row in await self.all("gate", gate)), None)

    async def gate_leases(self, gates: Sequence[int]) -> dict[int, int]:
        return dict(await self.all("gate_leases", list(gates)))


class Write(NamedTuple):
    """Rows for one statement; `guarded`: each of them must be found as it was believed to be."""

    name: str
    rows: Sequence[Row]
    guarded: bool = False


class Writes(Questions):
    """A `Tx` over named statements."""

    @abstractmethod
    async def put(self, name: str, bound: Sequence[Row]) -> None:
        """Write rows; nothing if there are none."""

    @abstractmethod
    async def guarded(self, name: str, bound: Sequence[Row]) -> None:
        """Change rows; GuardFailed unless every one of them was found as it was believed to be."""

    @abstractmethod
    def tuples(self, bound: Sequence[Row]) -> list[Any]:
        """Some rows, at least one, as parameters of one statement."""

    async def put_all(self, writes: Sequence[Write]) -> None:
        """Write all of this; the order of what touches different tables is free."""
        for name, bound, guarded in writes:
            await (self.guarded if guarded else self.put)(name, bound)

    async def execute(self, query: str, *parameters: Any) -> list[Row]:
        return await self.all(query, *parameters)

    async def claimable(self, lanes: Sequence[int], limit: int) -> list[Task]:
        return [rows.task(row) for row in await self.all("claimable", list(lanes), limit)]

    async def key_heads(self, lanes: Sequence[int], after: int, most: int) -> list[Head]:
        found = await self.all("key_heads", after, list(lanes), most)
        return [Head(lane, order_at, live, rows.gate(row)) for lane, order_at, live, *row in found]

    async def open_gates(self, gates: Sequence[tuple[int, int]]) -> list[Gate | Passed]:
        found = await self.all("open_gates", *self.tuples(gates))
        return [rows.gate(row[:-1]) if row[-1] else Passed(row[0]) for row in map(tuple, found)]

    async def lock_gates(self, ids: Sequence[int]) -> list[Gate]:
        return [rows.gate(row) for row in await self.all("lock_gates", list(ids))]

    async def admitted(self, lanes: Sequence[Admitted], taken: Sequence[int], limit: int) -> list[Task]:
        return [rows.task(row) for row in await self.all("admitted", *self.tuples(lanes), list(taken), limit)]

    async def put_starts(self, gates: Sequence[Gate]) -> None:
        await self.put("put_gate_start", [(gate.next_at, gate.id) for gate in gates])

    async def write(self, fold: Fold) -> None:
        await self.put_all(
            [*_runs(fold), *_tasks(fold), *_spreads(fold), *_live(fold), *_items(fold), *_counters(fold)]
        )
        await self.put("put_task_gate", [(gate, task) for task, gate in fold.regated.items()])

    async def write_items(self, fold: Fold) -> None:
        await self.put_all(_items(fold))

    async def put_past(self, plan: Plan) -> None:
        past = plan.past
        done = [task for task in past if task.state is TaskState.SUCCEEDED]
        await self.put("insert_past_task", [rows.of_past_task(task) for task in past])
        await self.put("copy_past_items", [(task.generation, task.run, task.node, task.branch) for task in done])
        await self.put("delete_items", [(task.run, task.node, task.branch) for task in done])
        await self.put("delete_join_row", plan.past_rows)
        await self.guarded("delete_spread", [(row.id, int(row.state)) for row in plan.past_spreads])
        await self.execute("delete_tasks", [task.id for task in (*plan.delete, *past)])

    async def take_over(self, items: Sequence[Row], attempts: Sequence[Row], edits: Sequence[Row]) -> None:
        await self.put("copy_items", items)
        await self.put("copy_attempts", attempts)
        await self.put("edit_item", edits)

    async def put_sessions(self, changes: Sequence[SessionPut]) -> None:
        await self.guarded("put_session", sorted(changes))

    async def put_progress(self, rows: Sequence[ProgressRow]) -> None:
        await self.put("put_progress", rows)

    async def insert_logs(self, rows: Sequence[LogRow]) -> None:
        await self.put("insert_log", rows)

    async def insert_audit(self, rows: Sequence[AuditRow]) -> None:
        await self.put("insert_audit", rows)


# --- what a decision changes, as rows ---


def _runs(fold: Fold) -> list[Write]:
    new = [run for run in fold.runs.values() if run.id in fold.new_runs]
    changed = [fold.runs[run] for run in fold.changed_runs if run not in fold.new_runs]
    return [
        Write("insert_run", [rows.of_new_run(run) for run in new]),
        Write("add_runs", rows.of_totals(new)),
        Write("insert_run_input", list(fold.new_inputs.items())),
        Write("insert_run_store", list(fold.new_stores.items())),
        Write("insert_run_tag", rows.of_tags(fold.new_tags, fold.runs)),
        Write("update_run", [rows.of_changed_run(run) for run in changed], guarded=True),
    ]


def _tasks(fold: Fold) -> list[Write]:
    new = [task for task in fold.tasks.values() if task.id not in fold.loaded]
    changed = [(task, was) for was in fold.loaded.values() if (task := fold.tasks[was.id]) is not was]
    return [
        Write("insert_task", [rows.of_new_task(task) for task in new]),
        Write("update_task", [rows.of_changed_task(task, was) for task, was in changed], guarded=True),
    ]


def _spreads(fold: Fold) -> list[Write]:
    """New rows; rows whose tasks were cancelled or offered again; and away with those whose tasks were made."""
    if not fold.spreads:
        return []
    new = [row for row in fold.spreads.values() if row.id not in fold.loaded_spreads]
    loaded = [(fold.spreads[was.id], was) for was in fold.loaded_spreads.values()]
    changed = [(row, was) for row, was in loaded if row is not was and row.id not in fold.spent]
    spent = [was for row, was in loaded if row.id in fold.spent]
    return [
        Write("insert_spread", [rows.of_spread(row) for row in new]),
        Write("update_spread", [rows.of_changed_spread(row, was) for row, was in changed], guarded=True),
        Write("delete_spread", [(was.id, int(was.state)) for was in spent], guarded=True),
    ]


def _live(fold: Fold) -> list[Write]:
    if not fold.changed_live:
        return []
    changed = [rows.of_live_node(fold.live[run][node]) for run, node in sorted(fold.changed_live)]
    return [
        Write("put_live_node", changed),
        Write("insert_output", [msgspec.structs.astuple(output) for output in fold.outputs]),
    ]


def _items(fold: Fold) -> list[Write]:
    items, fold.items = fold.items, []
    return [Write("insert_item", [rows.of_item(item) for item in items])]


def _counters(fold: Fold) -> list[Write]:
    return [
        Write("put_join_row", [rows.of_join_row(key, fold.rows[key]) for key in fold.changed_rows]),
        Write("add_counts", [(run, node, *counts) for (run, node), counts in fold.counts.items()]),
        Write("insert_attempt", [msgspec.structs.astuple(ended) for ended in fold.history]),
    ]
