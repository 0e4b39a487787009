"""What a re-run replaces: out of the way of everything, and kept."""

from __future__ import annotations

import msgspec
import pytest

from contract.samples import NOW, Writer, key
from stoker.core.branch import step
from stoker.core.decide import Fold
from stoker.core.model import JoinKey, JoinRow, NewItem, Spread, Task
from stoker.core.reopen import Plan
from stoker.core.states import TaskState
from stoker.engine.ports import GuardFailed, Store

A, B, C = 0, 1, 2
SPREAD = Spread(id=70, run=1, node=B, branch=b"", tasks=3, state=TaskState.CANCELLED, created_at=NOW, places=b"")


def plan(**what: object) -> Plan:
    nothing = Plan(
        retry=[], spreads=[], withheld=[], expand=[], delete=[], past=[], past_spreads=[], past_rows=[], rows={},
        changed=[], fired=[], rerun=[], generation=1, busy=None,
    )  # fmt: skip
    return msgspec.structs.replace(nothing, **what)


async def put(store: Store, **what: object) -> None:
    await store.transact(lambda tx: tx.put_past(plan(**what)))


@pytest.fixture
async def writer(store: Store) -> Writer:
    """A run whose `a` gave two items, of whose tasks of `b` the first is done."""
    writer = Writer(store)
    await writer.trigger()
    (a,) = await writer.claim(await writer.tasks())
    await writer.complete(a, b"1", b"2")
    b = await writer.tasks()
    (first,) = await writer.claim([b[1]])
    await writer.complete(first, b'"done"')
    return writer


async def test_a_replaced_task_and_its_items_are_kept_elsewhere(store: Store, writer: Writer) -> None:
    a, first, second = await writer.tasks()
    await put(store, past=[first])
    assert await writer.tasks() == [a, second]
    assert await store.read(lambda reader: reader.items([key(B, 0)])) == []
    assert len(await store.read(lambda reader: reader.items([key(A), key(A, item=1)]))) == 2
    assert await store.read(lambda reader: reader.past_tasks("past_tasks", [first.id, second.id])) == [first]
    assert await store.read(lambda reader: reader.ids("past_ids", 1)) == [first.id]
    assert await store.read(lambda reader: reader.ids("past_ids", 2)) == []


async def test_what_was_replaced_twice_is_there_twice(store: Store, writer: Writer) -> None:
    _, first, _ = await writer.tasks()
    await put(store, past=[first])
    again = msgspec.structs.replace(first, id=90, generation=1)
    fold = writer.fold()
    fold.tasks[again.id] = again
    fold.items.append(NewItem(key=key(B, 0), body=b'"again"'))
    await store.transact(lambda tx: tx.write(fold))
    await put(store, past=[again])
    start = (-1, b"", 0, 0)
    page = await store.read(lambda reader: reader.past_tasks("past_page", 1, *start, None, None, 9))
    assert page == [first, again]
    after = (B, first.branch, 0, first.id)
    assert await store.read(lambda reader: reader.past_tasks("past_page", 1, *after, None, None, 9)) == [again]
    succeeded, failed = int(TaskState.SUCCEEDED), int(TaskState.FAILED)
    assert len(await store.read(lambda reader: reader.past_tasks("past_page", 1, *start, succeeded, B, 9))) == 2
    assert await store.read(lambda reader: reader.past_tasks("past_page", 1, *start, failed, None, 9)) == []
    assert await store.read(lambda reader: reader.past_tasks("past_page", 1, *start, None, A, 9)) == []


async def test_rows_anchored_at_what_is_replaced_are_gone_and_no_others(store: Store, writer: Writer) -> None:
    kept, gone = JoinKey(1, C, b""), JoinKey(1, C, step(0))
    fold = writer.fold()
    fold.rows[gone] = JoinRow(open=1, generation=3)
    fold.changed_rows.add(gone)
    await store.transact(lambda tx: tx.write(fold))
    assert dict(await store.read(lambda reader: reader.join_rows([gone])))[gone].generation == 3
    await put(store, past_rows=[gone])
    assert [found for found, _ in await store.read(lambda reader: reader.run_join_rows(1))] == [kept]


async def test_tasks_still_to_be_made_are_replaced_as_they_were_believed_to_be(store: Store, writer: Writer) -> None:
    await spread(store, writer.fold())
    with pytest.raises(GuardFailed):
        await put(store, past_spreads=[msgspec.structs.replace(SPREAD, state=TaskState.READY)])
    await put(store, past_spreads=[SPREAD])
    assert await store.read(lambda reader: reader.run_spreads(1)) == []


async def spread(store: Store, fold: Fold) -> None:
    fold.spreads = {SPREAD.id: SPREAD}
    await store.transact(lambda tx: tx.write(fold))


async def test_a_deleted_task_leaves_nothing(store: Store, writer: Writer) -> None:
    a, first, second = await writer.tasks()
    await put(store, delete=[second])
    assert await writer.tasks() == [a, first]
    assert await store.read(lambda reader: reader.ids("past_ids", 1)) == []


async def test_a_task_of_the_past_reads_as_it_was_with_all_its_columns(store: Store, writer: Writer) -> None:
    full = Task(
        91, 1, B, step(7), 2, TaskState.FAILED, 3, 2, 1, 9, 4, 5, 6, 1, b"{}", 8, 2, 10, code="x", created_at=NOW,
        claimed_at=NOW, settled_at=NOW, gate=3,
    )  # fmt: skip
    fold = writer.fold()
    fold.tasks[full.id] = full
    await store.transact(lambda tx: tx.write(fold))
    await put(store, past=[full])
    assert await store.read(lambda reader: reader.past_tasks("past_tasks", [full.id])) == [full]
