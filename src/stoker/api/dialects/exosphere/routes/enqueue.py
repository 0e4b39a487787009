"""Enqueue: a runtime asks for states, and waits while there are none."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from stoker.api.call import GONE, Answer, Call
from stoker.api.dialects.exosphere import ids
from stoker.api.dialects.exosphere.ids import Mac, StateId
from stoker.api.dialects.exosphere.refusals import Unprocessable, entry
from stoker.api.dialects.exosphere.times import shown
from stoker.api.hold import hold, is_gone
from stoker.api.route import Route
from stoker.core import names
from stoker.core.own_claim import OwnClaim, OwnTask
from stoker.core.values import as_text, encode, fields

MOST = 10_000


class Asked(msgspec.Struct, frozen=True):
    """`nodes`: the kinds that a runtime has. `batch_size`: states at most, unless nobody else asks for these kinds."""

    nodes: list[str]
    batch_size: int


class State(msgspec.Struct, frozen=True):
    state_id: str
    node_name: str
    identifier: str
    inputs: msgspec.Raw
    created_at: str


class Enqueued(msgspec.Struct, frozen=True):
    count: int
    namespace: str
    states: list[State]
    status: str = "QUEUED"


async def enqueue(call: Call) -> Answer:
    """Held open until there is a state. A runtime that has left by then gets none: they are offered to others."""
    asked: Asked = call.body
    _check(asked)
    if asked.batch_size <= 0 or not asked.nodes:
        return _answer(call, [])
    if is_gone(call.receive):
        return GONE
    claim = call.engine.own.claim(call.namespace, _claim(call, asked), call.caller.kinds)
    held = await hold(claim, call.receive, call.server.closing)
    tasks = held.value or []
    give_back = partial(call.engine.own.release, call.namespace, [_attempt(task) for task in tasks])
    if held.gone:
        await give_back()
        return GONE
    return msgspec.structs.replace(_answer(call, tasks), undelivered=give_back if tasks else None)


def _check(asked: Asked) -> None:
    wrong = [(at, fault) for at, name in enumerate(asked.nodes) if (fault := names.fault(name))]
    if wrong:
        raise Unprocessable(
            [entry("value_error", ["body", "nodes", at], f"Value error, {fault}", error={}) for at, fault in wrong]
        )


def _claim(call: Call, asked: Asked) -> OwnClaim:
    """Who asks is told from others by all there is: the token, the address, and what is asked for."""
    settings = call.state
    address = (call.scope.get("client") or ("", 0))[0]
    return OwnClaim(
        name=call.caller.name,
        caller=f"{call.caller.token_id} {address} {asked.batch_size} {asked.nodes}",
        kinds=tuple(asked.nodes),
        want=min(asked.batch_size, MOST),
        wait_s=settings.enqueue_wait,
        lease_s=settings.lease_default,
        stretch=settings.overdeliver,
        alone_for_s=settings.alone_for,
    )


def _answer(call: Call, tasks: list[OwnTask]) -> Answer:
    mac = call.engine.opaque.mac
    said = Enqueued(count=len(tasks), namespace=call.namespace, states=[_state(task, mac) for task in tasks])
    return Answer(body=msgspec.json.encode(said))


def _state(leased: OwnTask, mac: Mac) -> State:
    said = leased.assignment
    return State(
        state_id=ids.spell(StateId(said.task, said.attempt), mac),
        node_name=said.kind,
        identifier=said.node,
        inputs=msgspec.Raw(texts(bytes(said.input))),
        created_at=shown(leased.task.created_at),
    )


def texts(inputs: bytes) -> bytes:
    """Inputs as workers of this dialect take them: every field a text, what is something else as its JSON."""
    found = fields(inputs)
    if all(value.startswith(b'"') for value in found.values()):
        return inputs
    return encode({name: as_text(value) for name, value in found.items()})


def _attempt(leased: OwnTask) -> tuple[int, int]:
    return leased.assignment.task, leased.assignment.attempt


ROUTES = (
    Route(
        method="POST",
        path="/v0/namespace/{namespace}/states/enqueue",
        scopes=("run",),
        summary="States to execute; held open until there are some",
        endpoint=enqueue,
        request=Asked,
        response=dict[str, Any],
        audit="no",
    ),
)
