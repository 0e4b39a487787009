"""Reports and signals on states: executed, errored, prune, re-enqueue-after; and the secrets of one."""

from __future__ import annotations

from typing import Any

import msgspec

from stoker.api.call import Answer, Call, as_json
from stoker.api.dialects.exosphere import ids
from stoker.api.dialects.exosphere.ids import StateId
from stoker.api.dialects.exosphere.refusals import Unprocessable
from stoker.api.dialects.exosphere.work import bodies
from stoker.api.dialects.exosphere.work.answers import Sort, answer
from stoker.api.dialects.exosphere.work.bodies import Malformed, Sent, Wrong
from stoker.api.dialects.exosphere.work.patience import patiently
from stoker.api.dialects.exosphere.work.reading import read
from stoker.api.route import Route
from stoker.core.protocol import Complete, ErrorInfo, Fail, Item, Prune, Report, Requeue
from stoker.core.standing import Standing
from stoker.errors import Conflict, NotFound

NS = "/v0/namespace/{namespace}"
_ERROR = "error"


async def executed(call: Call) -> Answer:
    return await _reported(call, "executed")


async def errored(call: Call) -> Answer:
    return await _reported(call, "errored")


async def prune(call: Call) -> Answer:
    return await _reported(call, "prune")


async def reenqueue_after(call: Call) -> Answer:
    return await _reported(call, "re-enqueue-after")


async def secrets(call: Call) -> Answer:
    state = await _state(call)
    if state is None:
        raise NotFound("State not found")
    try:
        values = await call.engine.own.secrets(call.namespace, state.task, state.attempt, call.caller.kinds)
    except NotFound:
        raise NotFound("State not found") from None
    except Conflict:
        raise Conflict("State is not queued") from None
    return as_json({"secrets": values})


async def _reported(call: Call, sort: Sort) -> Answer:
    """Settle what is reported. A state that is not known changes nothing, and is answered like all others."""
    sent = await read(call.receive)

    async def settle(again: bool) -> Standing:
        state = await _state(call)
        if state is None:
            return Standing(task=0, attempt=0, reason="unknown")
        standing = await call.engine.own.report(call.namespace, _report(sort, sent, state), call.caller.kinds)
        return msgspec.structs.replace(standing, accepted=True) if again and standing.repeated else standing

    return as_json(answer(sort, await patiently(settle, call.server.closing)))


async def _state(call: Call) -> StateId | None:
    return await ids.read(call.path["id"], call.engine.opaque.proves)


def _report(sort: Sort, sent: Sent, state: StateId) -> Report:
    """In the engine's words. What cannot be kept is a failure of the attempt."""
    task, attempt = state.task, state.attempt
    try:
        match sort:
            case "executed":
                items = [Item(value=msgspec.Raw(output)) for output in bodies.outputs(sent)]
                return Complete(task=task, attempt=attempt, items=items)
            case "errored":
                return Fail(task=task, attempt=attempt, error=ErrorInfo(message=bodies.error(sent), code=_ERROR))
            case "prune":
                return Prune(task=task, attempt=attempt, data=msgspec.Raw(bodies.data(sent)))
            case "re-enqueue-after":
                return Requeue(task=task, attempt=attempt, after_s=bodies.delay_ms(sent) / 1000)
    except Malformed as fault:
        raise Unprocessable(fault.entries) from None
    except Wrong as fault:
        return Fail(task=task, attempt=attempt, error=ErrorInfo(message=str(fault), code="invalid_output"))


def _route(path: str, summary: str, endpoint: Any, shape: Any) -> Route:
    return Route(
        method="POST",
        path=path,
        scopes=("run",),
        summary=summary,
        endpoint=endpoint,
        request=shape,
        upload=True,
        response=dict[str, Any],
        audit="no",
    )


class Executed(msgspec.Struct):
    outputs: list[dict[str, Any]]


class Errored(msgspec.Struct):
    error: str


class Pruned(msgspec.Struct):
    data: dict[str, Any]


class Again(msgspec.Struct):
    """After so many milliseconds."""

    enqueue_after: int


class Secrets(msgspec.Struct):
    secrets: dict[str, str]


ROUTES = (
    _route(f"{NS}/state/{{id}}/executed", "A state was executed, with these outputs", executed, Executed),
    _route(f"{NS}/state/{{id}}/errored", "A state ended with an error", errored, Errored),
    _route(f"{NS}/state/{{id}}/prune", "End a state without outputs; nothing below it happens", prune, Pruned),
    _route(f"{NS}/state/{{id}}/re-enqueue-after", "Offer a state again later", reenqueue_after, Again),
    _route(f"{NS}/states/{{id}}/executed", "As older clients say that a state was executed", executed, Executed),
    _route(f"{NS}/states/{{id}}/errored", "As older clients say that a state ended with an error", errored, Errored),
    Route(
        method="GET",
        path=f"{NS}/state/{{id}}/secrets",
        scopes=("run",),
        summary="The secrets that the kind of a leased state declares",
        endpoint=secrets,
        response=Secrets,
    ),
)
