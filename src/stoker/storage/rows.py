"""Rows to values and back. The order of columns is the order of the fields of `Task`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from stoker.core.gate import Gate, Rate
from stoker.core.live import LiveNode, Output
from stoker.core.model import ItemKey, JoinKey, JoinRow, NewItem, Run, Spread, StoredItem, Task
from stoker.core.states import RunState, Stopping, TaskState, Verb

_STATES = {int(state): state for state in TaskState}
_VERBS = {int(verb): verb for verb in Verb}
_STOPPING = {int(why): why for why in Stopping}
_RUN_STATES = {int(state): state for state in RunState}
_bound = msgspec.msgpack.Decoder(dict[int, int])
_encode = msgspec.msgpack.Encoder().encode

Row = Sequence[Any]

TOTAL_SLOTS = 64  # parts of a namespace's total of runs: servers, whose ids lie apart, seldom meet in one
IDS_TOGETHER = 1_000  # ids that no two servers draw from

_past = msgspec.msgpack.Decoder(Task).decode


def task(row: Row) -> Task:
    (
        id_, run_, node, branch, generation, state, attempt, failures, losses, priority, lane, order_at, due_at,
        parent, element, session, answer, deadline, ended, withheld, code, created_at, claimed_at, settled_at,
        gate, expires_at, cancel_at, until,
    ) = row  # fmt: skip
    return Task(
        id_, run_, node, branch, generation, _STATES[state], attempt, failures, losses, priority, lane, order_at,
        due_at, parent, element, session, answer, deadline, _VERBS[ended], bool(withheld), code, created_at, claimed_at,
        settled_at, gate, expires_at, cancel_at, until,
    )  # fmt: skip


def of_new_task(value: Task) -> Row:
    return msgspec.structs.astuple(value)


def of_changed_task(value: Task, was: Task) -> Row:
    return (
        int(value.state), value.attempt, value.failures, value.losses, value.order_at, value.due_at, value.session,
        value.answer, value.deadline, int(value.ended), value.withheld, value.code, value.claimed_at, value.settled_at,
        value.expires_at, value.cancel_at, value.until, value.id, int(was.state), was.attempt,
    )  # fmt: skip


def past_task(row: Row) -> Task:
    return _past(row[0])


def of_past_task(value: Task) -> Row:
    place = (value.run, value.node, value.branch, value.generation)
    return (value.id, *place, int(value.state), msgspec.msgpack.encode(value))


def spread(row: Row) -> Spread:
    id_, run_, node, branch, parent, tasks, state, created, places, expires, generation = row
    return Spread(
        id=id_,
        run=run_,
        node=node,
        branch=branch,
        parent=parent,
        tasks=tasks,
        state=_STATES[state],
        created_at=created,
        places=places,
        expires_at=expires,
        generation=generation,
    )


def of_spread(value: Spread) -> Row:
    return (
        value.id, value.run, value.node, value.branch, value.parent, value.tasks, int(value.state), value.created_at,
        value.places, value.expires_at, value.generation,
    )  # fmt: skip


def of_changed_spread(value: Spread, was: Spread) -> Row:
    return int(value.state), value.expires_at, value.id, int(was.state)


def run(row: Row) -> Run:
    (
        id_, namespace, version, state, stopping, priority, last, open_, tasks, failed, created, ended, cancel, weight,
        root, parent, schedule, scheduled, traceparent, token,
    ) = row  # fmt: skip
    return Run(
        id_, namespace, version, _RUN_STATES[state], _STOPPING[stopping], priority, last, open_, tasks, failed, created,
        ended, cancel, weight, root, parent, schedule, scheduled, traceparent, token,
    )  # fmt: skip


def of_new_run(value: Run) -> Row:
    return msgspec.structs.astuple(value)


def of_totals(runs: Sequence[Run]) -> list[Row]:
    """How many runs each part of a namespace's total gets; child runs do not count."""
    found: dict[tuple[int, int], int] = {}
    for value in runs:
        if value.root is None:
            key = (value.namespace, value.id // IDS_TOGETHER % TOTAL_SLOTS)
            found[key] = found.get(key, 0) + 1
    return [(*key, count) for key, count in sorted(found.items())]


def of_tags(tags: Mapping[int, Mapping[str, str]], runs: Mapping[int, Run]) -> list[Row]:
    return [
        (run_, name, value, runs[run_].namespace, runs[run_].created_at)
        for run_, given in tags.items()
        for name, value in given.items()
    ]


def of_changed_run(value: Run) -> Row:
    return (
        int(value.state), int(value.stopping), value.last_order_at, value.open, value.tasks, value.failed,
        value.ended_at, value.cancel_at, value.id,
    )  # fmt: skip


def live_node(row: Row) -> LiveNode:
    (run_, node, generation, task_, state, status, settled, outputs, current, giver, given_by, given, since, bound,
     before) = row  # fmt: skip
    return LiveNode(
        run=run_,
        node=node,
        generation=generation,
        task=task_,
        state=state,
        status=status,
        settled=bool(settled),
        outputs=outputs,
        current=current,
        giver=giver,
        given_by=given_by,
        given=given,
        since=since,
        bound=_bound.decode(bound),
        before=_bound.decode(before),
    )


def of_live_node(value: LiveNode) -> Row:
    return (
        value.run, value.node, value.generation, value.task, value.state, value.status, value.settled, value.outputs,
        value.current, value.giver, value.given_by, value.given, value.since, _encode(value.bound),
        _encode(value.before),
    )  # fmt: skip


def output(row: Row) -> Output:
    id_, run_, node, number, task_, attempt, name, created = row
    return Output(
        id=id_, run=run_, node=node, number=number, task=task_, attempt=attempt, name=name, created_at=created
    )


def gate(row: Row) -> Gate:
    id_, name, most, starts, per, next_at = row
    return Gate(id_, name, most, None if starts is None else Rate(starts, per), next_at)


def join_row(row: Row) -> tuple[JoinKey, JoinRow]:
    run_, node, branch, open_, members, arrived, empty, failed, state, generation = row
    return JoinKey(run_, node, branch), JoinRow(
        open=open_,
        members=members,
        arrived=arrived,
        empty=empty,
        failed=failed,
        state=state,
        generation=generation,
    )


def of_join_row(key: JoinKey, row: JoinRow) -> Row:
    return (*key, row.open, row.members, row.arrived, row.empty, row.failed, row.state, row.generation)


def item(row: Row) -> StoredItem:
    run_, node, branch, number, size, body, blob = row
    return StoredItem(key=ItemKey(run_, node, branch, number), size=size, body=body, blob=blob)


def of_item(value: NewItem) -> Row:
    return (*value.key, len(value.body), None if value.blob else value.body, value.blob)
