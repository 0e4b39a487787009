"""What every store does, told by what can be seen through its port."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from contract.samples import NOW, Writer, key
from stoker.core.branch import step
from stoker.core.decide import Fold
from stoker.core.model import JoinKey, NewItem, Run, Task
from stoker.core.protocol import ErrorInfo
from stoker.core.states import RunState, TaskState, Verb
from stoker.engine.ports import GuardFailed, LogRow, ProgressRow, SessionPut, Store
from stoker.errors import Unavailable

replace = msgspec.structs.replace


@pytest.fixture
def writer(store: Store) -> Writer:
    return Writer(store)


# --- transactions ---


async def test_what_a_transaction_wrote_can_be_read_after_it(store: Store, writer: Writer) -> None:
    await writer.trigger()
    (task,) = await writer.tasks()
    (run,) = await store.read(lambda reader: reader.runs([1]))
    assert (task.state, task.run, task.branch, task.created_at) == (TaskState.READY, 1, b"", NOW)
    assert (run.state, run.open, run.tasks, run.stopping) == (RunState.RUNNING, 1, 1, False)


async def test_an_error_undoes_the_whole_transaction(store: Store, writer: Writer) -> None:
    async def broken(tx: Any) -> None:
        fold = writer.fold()
        fold.trigger(Run(id=1, namespace=1, version=1), writer.graph)
        await tx.write(fold)
        assert await tx.tasks([1])
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await store.transact(broken)
    assert await store.read(lambda reader: reader.runs([1])) == []
    await writer.trigger()


async def test_a_cancelled_caller_leaves_the_store_usable(store: Store, writer: Writer) -> None:
    call = asyncio.create_task(writer.trigger())
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await writer.trigger(run=2)
    assert len(await writer.tasks(2)) == 1


async def test_one_question_sees_one_state_of_several_tables(store: Store, writer: Writer) -> None:
    """A reader that looks twice sees the same, whatever is committed in between."""
    loop = asyncio.get_running_loop()

    async def meanwhile() -> None:
        if store.shared:  # it reads on this loop
            await writer.trigger()
        else:
            asyncio.run_coroutine_threadsafe(writer.trigger(), loop).result(10)

    async def twice(reader: Any) -> tuple[int, int]:
        before = len(await reader.runs([1]))
        await meanwhile()
        return before, len(await reader.runs([1]))

    assert await store.read(twice) == (0, 0)
    assert len(await store.read(lambda reader: reader.runs([1]))) == 1


async def test_a_closed_store_is_unavailable(store: Store) -> None:
    await store.close()
    await store.close()
    for ask in (store.read, store.peek, store.transact):
        with pytest.raises(Unavailable):
            await ask(lambda reader: reader.runs([1]))


# --- guards ---


@pytest.mark.parametrize("change", [{"attempt": 5}, {"state": TaskState.LEASED}])
async def test_a_task_that_is_not_as_believed_undoes_the_write(
    store: Store, writer: Writer, change: dict[str, Any]
) -> None:
    await writer.trigger()
    (task,) = await writer.tasks()
    fold = await writer.shown([replace(task, **change)])
    fold.runs[1].open = 99
    fold.changed_runs.add(1)
    fold.tasks[task.id] = replace(task, state=TaskState.SUCCEEDED)
    with pytest.raises(GuardFailed):
        await store.transact(lambda tx: tx.write(fold))
    assert await writer.tasks() == [task]
    assert (await store.read(lambda reader: reader.runs([1])))[0].open == 1


async def test_a_task_that_does_not_exist_undoes_the_write(store: Store, writer: Writer) -> None:
    await writer.trigger()
    (task,) = await writer.tasks()
    ghost = replace(task, id=99)
    fold = await writer.shown([ghost])
    fold.tasks[99] = replace(ghost, state=TaskState.LEASED)
    with pytest.raises(GuardFailed):
        await store.transact(lambda tx: tx.write(fold))


async def test_one_place_has_one_task(store: Store, writer: Writer) -> None:
    await writer.trigger()
    (task,) = await writer.tasks()
    fold = await writer.shown([])
    fold.tasks[50] = replace(task, id=50)
    with pytest.raises(Exception, match=r"(?i)unique"):
        await store.transact(lambda tx: tx.write(fold))
    assert len(await writer.tasks()) == 1


async def test_an_item_is_written_once(store: Store) -> None:
    async def put(tx: Any, body: bytes) -> None:
        fold = Fold(now=NOW, next_id=lambda: 1, dice=lambda: 0.5)
        fold.items = [NewItem(key=key(0), body=body)]
        await tx.write_items(fold)

    await store.transact(lambda tx: put(tx, b"1"))
    with pytest.raises(Exception, match=r"(?i)unique"):
        await store.transact(lambda tx: put(tx, b"2"))
    assert [item.body for item in await store.read(lambda reader: reader.items([key(0)]))] == [b"1"]


# --- values there and back ---


async def test_a_task_comes_back_as_it_was_written(store: Store, writer: Writer) -> None:
    await writer.trigger()
    task = Task(
        id=70,
        run=1,
        node=1,
        branch=step(300) + step(2),
        generation=3,
        state=TaskState.LEASED,
        attempt=9,
        failures=1,
        losses=2,
        priority=7,
        lane=4,
        order_at=2**60,
        due_at=None,
        parent=1,
        element=b'"\xc3\xa9"',
        session=2**42,
        answer=2**52,
        deadline=NOW + 5,
        ended=Verb.TIMEOUT,
        withheld=True,
        code="späť",
        created_at=NOW,
        claimed_at=NOW + 1,
        settled_at=None,
    )
    fold = await writer.shown([])
    fold.tasks[70] = task
    await store.transact(lambda tx: tx.write(fold))
    assert await store.read(lambda reader: reader.tasks([70, 71])) == [task]
    changed = replace(
        task,
        state=TaskState.FAILED,
        attempt=10,
        failures=2,
        losses=3,
        order_at=1,
        due_at=5,
        session=None,
        answer=0,
        deadline=None,
        ended=Verb.FAIL,
        withheld=False,
        code="",
        claimed_at=None,
        settled_at=NOW + 9,
    )
    fold = await writer.shown([task])
    fold.tasks[70] = changed
    await store.transact(lambda tx: tx.write(fold))
    assert await store.read(lambda reader: reader.tasks([70])) == [changed]


async def test_a_run_comes_back_as_it_was_written(store: Store, writer: Writer) -> None:
    await writer.trigger(priority=8)
    fold = await writer.shown(await writer.tasks())
    run = fold.runs[1]
    run.state, run.stopping, run.last_order_at, run.open, run.tasks = RunState.CANCELLED, True, 2**60, 5, 6
    run.failed, run.ended_at, run.cancel_at = 7, NOW + 1, NOW + 2
    fold.changed_runs.add(1)
    await store.transact(lambda tx: tx.write(fold))
    assert await store.read(lambda reader: reader.runs([1, 2])) == [run]


@pytest.mark.parametrize("body", [b"null", b"", b'"\xf0\x9f\x8c\x8d"', b'"\\u0000"', b"[" * 500_000 + b"]" * 500_000])
async def test_bodies_are_kept_byte_for_byte(store: Store, body: bytes) -> None:
    async def put(tx: Any) -> None:
        fold = Fold(now=NOW, next_id=lambda: 1, dice=lambda: 0.5)
        fold.items = [NewItem(key=key(0), body=body)]
        fold.new_inputs, fold.new_stores = {1: body}, {2: body}
        await tx.write(fold)

    await store.transact(put)
    (item,) = await store.read(lambda reader: reader.items([key(0), key(1)]))
    assert (item.body, item.size, item.blob) == (body, len(body), None)
    assert await store.read(lambda reader: reader.run_inputs([1, 2])) == {1: body}
    assert await store.read(lambda reader: reader.run_stores([1, 2])) == {2: body}


async def test_a_large_item_is_a_reference(store: Store) -> None:
    async def put(tx: Any) -> None:
        fold = Fold(now=NOW, next_id=lambda: 1, dice=lambda: 0.5)
        fold.items = [NewItem(key=key(0), body=b"large", blob="f00d")]
        await tx.write(fold)

    await store.transact(put)
    (item,) = await store.read(lambda reader: reader.items([key(0)]))
    assert (item.body, item.size, item.blob) == (None, 5, "f00d")


# --- items below a branch ---


async def test_items_below_a_branch_come_in_branch_order_and_nothing_else(store: Store) -> None:
    numbers = [0, 1, 9, 10, 255, 256, 300, 65_536]
    there = [key(1, 7, number, item=item) for number in numbers for item in (0, 1)]
    others = [key(1, 6, 1), key(1, 8, 1), key(2, 7, 1), key(1, 7, 1, run=2), key(1, 256 * 7)]

    async def put(tx: Any) -> None:
        fold = Fold(now=NOW, next_id=lambda: 1, dice=lambda: 0.5)
        fold.items = [NewItem(key=each, body=b"12") for each in [*reversed(there), *others]]
        await tx.write(fold)

    await store.transact(put)
    found = await store.read(lambda reader: reader.items_below(1, 1, step(7)))
    assert [item.key for item in found] == there
    assert await store.read(lambda reader: reader.size_below(1, 1, step(7))) == (2 * len(there), len(there))
    assert await store.read(lambda reader: reader.size_below(1, 9, b"")) == (0, 0)
    for at, last in enumerate([key(1, 7, item=-1), *there]):
        assert await store.read(lambda reader, last=last: reader.items_after(last, step(7), 3)) == found[at : at + 3]
    everything = await store.read(lambda reader: reader.items_below(1, 1, b""))
    assert [item.key for item in everything] == [key(1, 6, 1), *there, key(1, 8, 1), key(1, 256 * 7)]


# --- claiming ---


async def lane_of(store: Store, writer: Writer, *tasks: tuple[int, int, int, int | None]) -> None:
    """READY tasks: id, lane, order, due."""
    await writer.trigger()
    (first,) = await writer.tasks()
    fold = await writer.shown([])
    for id_, lane, order, due in tasks:
        fold.tasks[id_] = replace(first, id=id_, branch=step(id_), node=1, lane=lane, order_at=order, due_at=due)
    await store.transact(lambda tx: tx.write(fold))


async def test_tasks_are_claimed_in_the_order_of_their_queue_over_all_lanes(store: Store, writer: Writer) -> None:
    rows = [(10, 1, 50, None), (11, 2, 40, None), (12, 1, 30, None), (13, 3, 1, None), (14, 2, 60, None)]
    await lane_of(store, writer, *rows)

    async def ids(lanes: list[int], limit: int) -> list[int]:
        return [task.id for task in await store.transact(lambda tx: tx.claimable(lanes, limit))]

    assert await ids([1, 2], 10) == [12, 11, 10, 14]
    assert await ids([1, 2], 3) == [12, 11, 10]
    assert await ids([2], 1) == [11]
    assert await ids([9], 5) == []
    assert await ids([], 5) == []


async def test_what_is_not_due_or_not_ready_cannot_be_claimed(store: Store, writer: Writer) -> None:
    await lane_of(store, writer, (10, 1, 1, NOW + 5), (11, 1, 2, None), (12, 1, 3, None))
    eleven = await store.read(lambda reader: reader.tasks([11]))
    await writer.claim(eleven)
    found = await store.transact(lambda tx: tx.claimable([1], 5))
    assert [task.id for task in found] == [12]
    assert await store.read(lambda reader: reader.ids("due_tasks", NOW + 4, 5)) == []
    assert await store.read(lambda reader: reader.ids("due_tasks", NOW + 5, 5)) == [10]


async def test_the_leases_of_sessions_are_found(store: Store, writer: Writer) -> None:
    await lane_of(store, writer, (10, 1, 1, None), (11, 1, 2, None), (12, 1, 3, None))
    tasks = await store.read(lambda reader: reader.tasks([10, 11]))
    await writer.claim(tasks[:1], session=5, answer=77)
    await writer.claim(tasks[1:], session=6, answer=78)
    leases = await store.read(lambda reader: reader.leases_of([5, 6, 7], 10))
    assert sorted(leases) == [(10, 1, 5, 77), (11, 1, 6, 78)]
    assert len(await store.read(lambda reader: reader.leases_of([5, 6], 1))) == 1


# --- joins, counts, history ---


async def test_join_rows_and_counts_follow_a_whole_run(store: Store, writer: Writer) -> None:
    await writer.trigger()
    (a,) = await writer.claim(await writer.tasks())
    await writer.complete(a, b"1", b"2")
    (row,) = await store.read(lambda reader: reader.run_join_rows(1))
    assert row[0] == JoinKey(1, 2, b"")
    assert (row[1].open, row[1].members) == (2, 3)
    assert await store.read(lambda reader: reader.join_rows([row[0], JoinKey(1, 9, b"")])) == [row]
    for task in await writer.claim([task for task in await writer.tasks() if task.node == 1]):
        await writer.complete(task, b"3")
    ((_, row_now),) = await store.read(lambda reader: reader.run_join_rows(1))
    assert (row_now.open, row_now.arrived, row_now.state) == (0, 2, 2)
    assert [tuple(each) for each in await store.read(lambda reader: reader.rows("node_counts", 1))] == [
        (1, 2, 2, 0, 0, 0, 0)
    ]
    assert [task.node for task in await writer.tasks()] == [0, 1, 1, 2]


async def test_an_attempt_that_failed_is_remembered(store: Store, writer: Writer) -> None:
    await writer.trigger()
    (task,) = await writer.claim(await writer.tasks(), session=3)
    fold = await writer.shown([task])
    fold.fail(task.id, 1, 3, ErrorInfo(message="no", type="Oops", traceback="line 1"), retryable=True)
    fold.settle_joins()
    await store.transact(lambda tx: tx.write(fold))
    ((attempt, outcome, code, message, type_, traceback, session, started, ended),) = await store.read(
        lambda reader: reader.rows("attempts", task.id)
    )
    assert (attempt, outcome, code, message, type_, traceback) == (1, "failed", "error", "no", "Oops", "line 1")
    assert (session, started, ended) == (3, NOW, NOW)


async def test_a_chunk_of_log_is_kept_once_and_progress_is_replaced(store: Store, writer: Writer) -> None:
    await writer.trigger()
    for text, fraction in (("first", 0.25), ("second", None)):

        async def note(tx: Any, text: str = text, fraction: float | None = fraction) -> None:
            await tx.insert_logs([LogRow(1, 1, 1, 0, "log", NOW, text, len(text))])
            await tx.put_progress([ProgressRow(1, 1, 1, fraction, text)])

        await store.transact(note)
    logs = await store.read(lambda reader: reader.rows("task_logs", 1, 0, 99, 0, "", -1, 10))
    assert [row[-1] for row in logs] == ["first"]
    assert [tuple(row) for row in await store.read(lambda reader: reader.rows("task_progress", 1))] == [
        (1, None, "second")
    ]


# --- ids and sessions ---


async def test_blocks_of_ids_do_not_overlap_and_are_given_back(store: Store) -> None:
    blocks = await asyncio.gather(*(store.take_ids("task", size) for size in (1, 5, 100)))
    drawn = [id_ for block in blocks for id_ in block]
    assert sorted(drawn) == list(range(1, 107))
    assert await store.take_ids("run", 2) == range(1, 3)
    last = max(blocks, key=lambda block: block.stop)
    await store.give_back_ids("task", range(last.stop - 1, last.stop))
    assert (await store.take_ids("task", 1)).start == last.stop - 1


async def test_ids_are_not_given_back_when_others_were_taken_since(store: Store) -> None:
    mine = await store.take_ids("task", 10)
    await store.take_ids("task", 10)
    await store.give_back_ids("task", mine)
    assert await store.take_ids("task", 1) == range(21, 22)


async def test_a_session_has_one_row_and_ends_when_it_is_not_heard_of(store: Store) -> None:
    async def introduce(tx: Any, id_: int) -> None:
        await tx.execute("insert_session", id_, 1, b"secret", "{}", NOW, NOW + 20)

    await store.transact(lambda tx: introduce(tx, 1))
    await store.transact(lambda tx: introduce(tx, 2))
    row = await store.read(lambda reader: reader.session(b"secret"))
    assert row is not None
    assert (row.id, row.until, row.ended_at) == (1, NOW + 20, None)
    assert await store.read(lambda reader: reader.session(b"other")) is None

    async def expired(at: int) -> list[int]:
        return await store.read(lambda reader: reader.ids("expired_sessions", at, 10))

    async def put(*changes: SessionPut) -> None:
        await store.transact(lambda tx: tx.put_sessions(changes))

    assert (await expired(NOW + 20), await expired(NOW + 21)) == ([], [1])
    await put(SessionPut(1, NOW + 20, NOW + 30))
    assert await expired(NOW + 50) == []
    assert await store.read(lambda reader: reader.session_ends([1, 9])) == {1: 0}
    await put(SessionPut(1, NOW + 40, None))
    assert await expired(NOW + 50) == [1]
    assert await store.read(lambda reader: reader.session_ends([1])) == {1: NOW + 40}


async def test_a_session_that_was_heard_of_meanwhile_undoes_what_was_decided_on_its_end(store: Store) -> None:
    async def introduce(tx: Any) -> None:
        for id_ in (1, 2):
            await tx.execute("insert_session", id_, 1, bytes([id_]), "{}", NOW, NOW + 20)

    await store.transact(introduce)
    changes = [SessionPut(2, NOW + 99, None), SessionPut(1, None, NOW, expected=NOW + 19)]
    with pytest.raises(GuardFailed):
        await store.transact(lambda tx: tx.put_sessions(changes))
    assert await store.read(lambda reader: reader.session_ends([1, 2])) == {1: NOW + 20, 2: NOW + 20}
    await store.transact(lambda tx: tx.put_sessions([SessionPut(1, None, NOW, expected=NOW + 20)]))
    assert await store.read(lambda reader: reader.session_ends([1, 2])) == {1: 0, 2: NOW + 20}


async def test_locking_gives_the_tasks_and_all_their_runs(store: Store, writer: Writer) -> None:
    for run in (1, 2, 3):
        await writer.trigger(run)
    tasks = [task for run in (3, 1) for task in await writer.tasks(run)]

    async def lock(tx: Any) -> tuple[list[int], list[Task]]:
        locked = await tx.lock([2, 9], [*sorted(task.id for task in tasks), 99])
        return sorted(run.id for run in locked.runs), locked.tasks

    runs, found = await store.transact(lock)
    assert runs == [1, 2, 3]
    assert sorted(found, key=lambda task: task.id) == sorted(tasks, key=lambda task: task.id)
    assert await store.transact(lambda tx: tx.lock([2], [])) == ([*await store.read(lambda r: r.runs([2]))], [], {})


@pytest.mark.parametrize("number", [-(2**80), -1, 0, 2**63, 2**80])
async def test_a_number_that_no_row_has_finds_nothing(store: Store, number: int) -> None:
    assert await store.read(lambda reader: reader.rows("artifact", number, 1)) == []
    assert await store.read(lambda reader: reader.version(number)) is None
    assert await store.read(lambda reader: reader.tasks([number])) == []
