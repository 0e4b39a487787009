"""Rows that stand for tasks still to be made: what every store keeps of them, and how it guards them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contract.samples import NOW, Writer
from stoker.core.branch import step
from stoker.core.model import Run, Spread
from stoker.core.states import TaskState
from stoker.engine.ports import GuardFailed, Store

replace = msgspec.structs.replace
ROW = Spread(id=7, run=1, node=1, branch=step(3), parent=2, tasks=5, created_at=NOW, places=b"\x90\x00\xff")


@pytest.fixture
async def writer(store: Store) -> Writer:
    writer = Writer(store)
    await writer.trigger()
    await put(store, writer, ROW, replace(ROW, id=8, parent=None, branch=b"", tasks=2, places=b""))
    return writer


async def put(store: Store, writer: Writer, *rows: Spread) -> None:
    """Write new rows."""
    fold = writer.fold()
    fold.spreads = {row.id: row for row in rows}
    await store.transact(lambda tx: tx.write(fold))


async def change(store: Store, writer: Writer, was: Spread, **changes: Any) -> None:
    """Write a row that was believed to be so; with no changes: its tasks have been made."""
    fold = writer.fold()
    fold.show_spread(was)
    if changes:
        fold.spreads[was.id] = replace(was, **changes)
    else:
        fold.spent.add(was.id)
    await store.transact(lambda tx: tx.write(fold))


async def rows(store: Store, *ids: int) -> list[Spread]:
    found = await store.read(lambda reader: reader.spreads(ids))
    return sorted(found, key=lambda row: row.id)


async def test_a_row_is_read_as_it_was_written(store: Store, writer: Writer) -> None:
    first, second = await rows(store, 7, 8, 9)
    assert first == ROW
    assert (second.parent, second.branch, second.places, second.tasks) == (None, b"", b"", 2)
    assert await store.read(lambda reader: reader.run_spreads(1)) == [first, second]
    assert await store.read(lambda reader: reader.run_spreads(2)) == []


async def test_a_row_that_was_only_shown_is_not_written(store: Store, writer: Writer) -> None:
    fold = writer.fold()
    fold.show_spread(ROW)
    await store.transact(lambda tx: tx.write(fold))
    assert len(await rows(store, 7, 8)) == 2


async def test_a_cancelled_row_stays_for_a_retry(store: Store, writer: Writer) -> None:
    await change(store, writer, ROW, state=TaskState.CANCELLED)
    cancelled = replace(ROW, state=TaskState.CANCELLED)
    assert await rows(store, 7) == [cancelled]
    await change(store, writer, cancelled, state=TaskState.READY)
    assert await rows(store, 7) == [ROW]


async def test_a_row_whose_tasks_were_made_is_gone(store: Store, writer: Writer) -> None:
    await change(store, writer, ROW)
    assert [row.id for row in await rows(store, 7, 8)] == [8]


@pytest.mark.parametrize("changes", [{}, {"state": TaskState.CANCELLED}])
@pytest.mark.parametrize("meanwhile", ["made", "cancelled"])
async def test_a_row_that_is_not_as_believed_undoes_the_write(
    store: Store, writer: Writer, meanwhile: str, changes: dict[str, Any]
) -> None:
    await change(store, writer, ROW, **({} if meanwhile == "made" else {"state": TaskState.CANCELLED}))
    before = await rows(store, 7, 8)
    fold = writer.fold()
    fold.trigger(Run(id=2, namespace=1, version=1), writer.graph)
    fold.show_spread(ROW)
    if changes:
        fold.spreads[ROW.id] = replace(ROW, **changes)
    else:
        fold.spent.add(ROW.id)
    with pytest.raises(GuardFailed):
        await store.transact(lambda tx: tx.write(fold))
    assert await rows(store, 7, 8) == before
    assert await store.read(lambda reader: reader.runs([2])) == []


async def test_what_is_to_be_spread_is_found_unless_its_run_is_stopping(store: Store, writer: Writer) -> None:
    def ready(limit: int = 9) -> Any:
        return store.read(lambda reader: reader.rows("ready_spreads", limit))

    assert [tuple(row) for row in await ready()] == [(1, 7), (1, 8)]
    assert [tuple(row) for row in await ready(1)] == [(1, 7)]
    await change(store, writer, ROW, state=TaskState.CANCELLED)
    assert [tuple(row) for row in await ready()] == [(1, 8)]
    fold = await writer.shown([])
    (run,) = await store.read(lambda reader: reader.runs([1]))
    fold.show_run(run, writer.graph)
    fold.stop(run)
    await store.transact(lambda tx: tx.write(fold))
    assert await ready() == []
    assert await store.read(lambda reader: reader.ids("sweepable_spreads", 1, 9)) == [8]
    assert await store.read(lambda reader: reader.ids("sweepable_spreads", 2, 9)) == []


async def test_the_tasks_still_to_be_made_are_counted_by_node(store: Store, writer: Writer) -> None:
    await put(store, writer, replace(ROW, id=9, node=2, tasks=1000), replace(ROW, id=10, run=2))
    await put(store, writer, replace(ROW, id=11, state=TaskState.CANCELLED))
    counts = await store.read(lambda reader: reader.rows("spread_counts", 1))
    assert [tuple(row) for row in counts] == [(1, 7), (2, 1000)]
