"""What every store knows of limits: rows, leases counted, tasks let through; and whom a locked gate keeps waiting."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from contract.samples import Writer
from core.samples import KINDS, after, graph, node
from stoker.core.compile import compile_graph
from stoker.core.gate import Gate, Rate
from stoker.core.model import Task
from stoker.core.states import TaskState
from stoker.engine.ports import Admitted, Passed, Store, Tx
from stoker.storage.sqlite.tx import SQL

PLAIN, FIRST, SECOND, OTHER = 1, 2, 3, 4  # lanes: FIRST and SECOND stand under gate 1, OTHER under gate 2
LANES = {"s": PLAIN, "plain": PLAIN, "first": FIRST, "second": SECOND, "other": OTHER}
GATES = {"first": 1, "second": 1, "other": 2}


@pytest.fixture
async def writer(store: Store) -> Writer:
    spec = graph(node("s", kind="many"), *(node(name, after("s")) for name in list(LANES)[1:]))
    writer = Writer(store, compile_graph(spec, KINDS, LANES, GATES))
    await store.transact(_put)
    await writer.trigger()
    (source,) = await writer.claim(await writer.tasks())
    await writer.complete(source, b"1", b"2", b"3")
    return writer


async def _put(tx: Tx) -> None:
    await tx.execute("put_gate", 1, "both", 2, None, None)
    await tx.execute("put_gate", 1, "slow", None, 5, 1_000_000)


async def named(writer: Writer, name: str) -> list[Task]:
    node = writer.graph.names[name]
    return [task for task in await writer.tasks() if task.node == node]


async def test_a_task_keeps_the_gate_of_its_node(writer: Writer) -> None:
    for name in LANES:
        assert {task.gate for task in await named(writer, name)} == {GATES.get(name)}


async def test_gates_are_found_by_namespace_and_by_id(store: Store, writer: Writer) -> None:
    found = await store.read(lambda reader: reader.rows("gates", 1))
    assert sorted(map(tuple, found)) == [(1, "both", 2, None, None, 0), (2, "slow", None, 5, 1_000_000, 0)]
    assert await store.read(lambda reader: reader.rows("gates", 2)) == []
    assert await store.read(lambda reader: reader.gate(2)) == Gate(2, "slow", None, Rate(5, 1_000_000))
    assert await store.read(lambda reader: reader.gate(3)) is None


async def test_a_gate_that_is_put_again_has_the_new_numbers_and_keeps_its_starts(store: Store, writer: Writer) -> None:
    async def again(tx: Tx) -> None:
        await tx.put_starts([Gate(2, "slow", None, None, 77)])
        await tx.execute("put_gate", 1, "slow", 9, 6, 60_000_000)

    await store.transact(again)
    assert await store.read(lambda reader: reader.gate(2)) == Gate(2, "slow", 9, Rate(6, 60_000_000), 77)


async def test_only_what_is_being_run_counts(store: Store, writer: Writer) -> None:
    assert await store.read(lambda reader: reader.gate_leases([1, 2])) == {}
    first, second = await named(writer, "first"), await named(writer, "second")
    held, *_ = await writer.claim([first[0], second[0], (await named(writer, "other"))[0]])
    assert await store.read(lambda reader: reader.gate_leases([1, 2])) == {1: 2, 2: 1}
    assert await store.read(lambda reader: reader.gate_leases([2])) == {2: 1}
    await writer.complete(held, b"1")
    assert await store.read(lambda reader: reader.gate_leases([1])) == {1: 1}


async def test_a_gate_is_opened_only_for_lanes_with_ready_tasks(store: Store, writer: Writer) -> None:
    async def opened(tx: Tx) -> list[int]:
        found = await tx.open_gates([(FIRST, 1), (OTHER, 2), (99, 3)])
        assert all(isinstance(gate, Gate) for gate in found)
        return [gate.id for gate in found if isinstance(gate, Gate)]

    assert await store.transact(opened) == [1, 2]
    for task in await writer.claim(await named(writer, "other")):
        await writer.complete(task, b"1")
    assert await store.transact(opened) == [1]


async def test_the_first_task_of_each_gate_is_found_so_many_gates_at_a_time(store: Store, writer: Writer) -> None:
    async def lanes(tx: Tx) -> None:
        await tx.execute("insert_gates", 1, 1, 0, ["one", "two"])  # a gate takes its numbers from its template
        for kind in ("plain", "first", "second", "other"):
            await tx.execute("put_lane", 1, kind, "{}", 0, 0)

    await store.transact(lanes)
    found = await store.read(lambda reader: reader.rows("gates_named", 1, ["one", "two", "three"]))
    numbers = {str(name): gate for name, gate in found}
    assert sorted(numbers) == ["one", "two"]
    assert await store.read(lambda reader: reader.gate(numbers["two"])) == Gate(numbers["two"], "two", 2, None)
    first, other = await named(writer, "first"), await named(writer, "other")
    (held, *_) = await writer.claim(other[:1])
    heads = await store.transact(lambda tx: tx.key_heads([FIRST, OTHER], 0, 5))
    assert sorted((head.lane, head.order_at, head.live, head.gate.id) for head in heads) == [
        (FIRST, min(task.order_at for task in first), 0, 1),
        (OTHER, min(task.order_at for task in other if task.id != held.id), 1, 2),
    ]
    behind = await store.transact(lambda tx: tx.key_heads([FIRST, OTHER], 1, 5))
    assert [head.gate.id for head in behind] == [2]


async def test_a_gate_of_a_value_goes_only_if_it_has_no_task(store: Store, writer: Writer) -> None:
    await store.transact(lambda tx: tx.execute("insert_gates", 1, 1, 0, ["used", "unused"]))
    found = dict(await store.read(lambda reader: reader.rows("gates_named", 1, ["used", "unused"])))
    (task, *_) = await named(writer, "first")
    await store.transact(lambda tx: tx.put("put_task_gate", [(found["used"], task.id)]))  # type: ignore[attr-defined]  # as a write does
    gone = await store.transact(lambda tx: tx.execute("forget_gates", 1, 9))
    assert [row[0] for row in gone] == [found["unused"]]


async def test_the_heads_of_many_gates_are_found_through_an_index_alone(store: Store) -> None:
    if store.shared:
        pytest.skip("its planner goes by the number of rows")
    connection: Any = store._connection  # type: ignore[attr-defined]  # a plan is no row of the engine's
    plan = [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {SQL['key_heads']}", [0, "[1]", 9])]
    looks = [str(line) for line in plan if line.startswith(("SEARCH task", "SCAN task"))]
    assert len(looks) == 4
    assert sum("task_key (lane=? AND gate" in line for line in looks) == 3, plan
    assert sum("task_gate (gate=? AND state=?)" in line for line in looks) == 1, plan


async def admitted(store: Store, lanes: list[Admitted], taken: list[int], limit: int) -> list[Task]:
    return await store.transact(lambda tx: tx.admitted(lanes, taken, limit))


async def test_the_lanes_of_a_gate_share_its_room(store: Store, writer: Writer) -> None:
    lanes = [Admitted(PLAIN, 0, 100), Admitted(FIRST, 1, 2), Admitted(SECOND, 1, 2), Admitted(OTHER, 2, 1)]
    found = await admitted(store, lanes, [], 100)
    assert [task.order_at for task in found] == sorted(task.order_at for task in found)
    through = [task.gate for task in found]
    assert (through.count(None), through.count(1), through.count(2)) == (3, 2, 1)
    ready = [task for name in ("first", "second") for task in await named(writer, name)]
    firsts = sorted(ready, key=lambda task: task.order_at)[:2]
    assert {task.id for task in found if task.gate == 1} == {task.id for task in firsts}


async def test_what_was_taken_is_passed_by_and_takes_no_room(store: Store, writer: Writer) -> None:
    taken = [task.id for task in await named(writer, "first")]
    found = await admitted(store, [Admitted(FIRST, 1, 2), Admitted(SECOND, 1, 2)], taken, 100)
    assert [task.lane for task in found] == [SECOND, SECOND]


async def test_the_limit_bounds_lanes_with_and_without_a_gate_together(store: Store, writer: Writer) -> None:
    lanes = [Admitted(PLAIN, 0, 4), Admitted(FIRST, 1, 3)]
    assert len(await admitted(store, lanes, [], 4)) == 4


async def test_a_lease_keeps_its_gate_through_every_change(store: Store, writer: Writer) -> None:
    (task, *_) = await named(writer, "first")
    (held,) = await writer.claim([task])
    fold = await writer.shown([held])
    fold.lose(held)
    assert fold.freed == {1: 1}
    await store.transact(lambda tx: tx.write(fold))
    (found,) = await store.read(lambda reader: reader.tasks([task.id]))
    assert (found.gate, found.state) == (1, TaskState.READY)


async def test_a_locked_gate_is_passed_by_or_waited_for(store: Store, writer: Writer) -> None:
    """Who claims passes it by; who revives waits, and then counts what the other has leased."""
    if not store.shared:
        pytest.skip("one transaction at a time")
    locked, go = asyncio.Event(), asyncio.Event()

    async def holder(tx: Tx) -> None:
        assert [gate.id for gate in await tx.lock_gates([1])] == [1]
        locked.set()
        await go.wait()
        fold = await writer.shown((await named(writer, "first"))[:1])
        for task in list(fold.tasks.values()):
            fold.claim(task, 1, 1)
        await tx.write(fold)

    async def claimer(tx: Tx) -> list[Any]:
        return await tx.open_gates([(FIRST, 1), (OTHER, 2)])

    async def reviver(tx: Tx) -> dict[int, int]:
        await tx.lock_gates([1])
        return await tx.gate_leases([1])

    holding = asyncio.create_task(store.transact(holder))
    await locked.wait()
    try:
        passed, other = await asyncio.wait_for(store.transact(claimer), 10)
        waiting = asyncio.create_task(store.transact(reviver))
        await asyncio.wait([waiting], timeout=0.1)
        kept = not waiting.done()
    finally:
        go.set()
        await holding
    assert (passed, other.id, kept) == (Passed(1), 2, True)
    assert await waiting == {1: 1}
