"""Registered nodes: kinds, by the runtime that runs them."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from stoker.api.call import Answer, Call, as_json
from stoker.api.dialects.exosphere.kinds import SORT
from stoker.api.dialects.exosphere.refusals import Unprocessable, entry
from stoker.api.dialects.exosphere.times import shown
from stoker.api.route import Route
from stoker.core.graph import KindSpec
from stoker.core.names import fault
from stoker.engine.demand import Wanted
from stoker.engine.documents import Changes, Document
from stoker.errors import Forbidden, NotFound

PATH = "/v0/namespace/{namespace}/nodes"


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """`timeout_minutes`: how long a state of it may be worked on, where no graph says."""

    name: str
    inputs_schema: dict[str, Any]
    outputs_schema: dict[str, Any]
    secrets: list[str]
    timeout_minutes: float | None = None


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept beside a kind that was registered here."""

    runtime_name: str


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    runtime_name: str
    nodes: list[Node]


async def register(call: Call) -> Answer:
    """Put nodes down as they are now; nothing is removed."""
    asked: Registration = call.body
    _check(asked)
    for node in asked.nodes:
        if call.caller.kinds and node.name not in call.caller.kinds:
            raise Forbidden(f"API key has no access to node {node.name}")
    kinds = {node.name: _kind(node) for node in asked.nodes}
    about = msgspec.json.encode(About(runtime_name=asked.runtime_name))

    async def put(changes: Changes) -> None:
        for name in kinds:
            if (known := await changes.named(SORT, name)) is None:
                await changes.add(SORT, about, name=name)
            else:
                await changes.put(msgspec.structs.replace(known, body=about))

    await call.engine.catalog.put_kinds(call.namespace, list(kinds.values()), put)
    shown_again = [
        {
            "name": node.name,
            "inputs_schema": node.inputs_schema,
            "outputs_schema": node.outputs_schema,
            "secrets": node.secrets,
        }
        for node in asked.nodes
    ]
    return as_json({"runtime_name": asked.runtime_name, "registered_nodes": shown_again})


async def list_nodes(call: Call) -> Answer:
    try:
        kinds, wanted = await call.engine.catalog.kinds(call.namespace), await call.engine.demand.kinds(call.namespace)
    except NotFound:
        kinds, wanted = [], {}
    known = {each.name: each for each in await call.engine.documents.list(call.namespace, SORT)} if kinds else {}
    nodes = [
        _shown(call.namespace, kind, document, wanted.get(kind.name, Wanted()))
        for kind in kinds
        if (document := known.get(kind.name)) is not None
    ]
    return as_json({"namespace": call.namespace, "count": len(nodes), "nodes": nodes})


def _check(asked: Registration) -> None:
    """Unprocessable, with every name that cannot be one, and every time that is none."""
    names: list[tuple[list[str | int], str]] = [(["body", "runtime_name"], asked.runtime_name)]
    times: list[tuple[list[str | int], float]] = []
    for number, node in enumerate(asked.nodes):
        place: list[str | int] = ["body", "nodes", number]
        names.append(([*place, "name"], node.name))
        names += [([*place, "secrets", at], secret) for at, secret in enumerate(node.secrets)]
        if node.timeout_minutes is not None:
            times.append(([*place, "timeout_minutes"], node.timeout_minutes))
    wrong = [
        entry("value_error", place, f"Value error, {what}", name, error={})
        for place, name in names
        if (what := fault(name))
    ]
    wrong += [
        entry("greater_than", place, "Input should be greater than 0", minutes, gt=0)
        for place, minutes in times
        if minutes <= 0
    ]
    if wrong:
        raise Unprocessable(wrong)


def _kind(node: Node) -> KindSpec:
    """A node of this protocol may settle with any number of outputs, whose fields nobody checks."""
    minutes = node.timeout_minutes
    return KindSpec(
        name=node.name,
        input=node.inputs_schema,
        output=node.outputs_schema,
        items="many",
        loose=True,
        secrets=tuple(dict.fromkeys(node.secrets)),
        lease=None if minutes is None else minutes * 60,
    )


def _shown(namespace: str, spec: KindSpec, document: Document, wanted: Wanted) -> dict[str, Any]:
    return {
        "_id": sha256(f"{namespace}\n{spec.name}".encode()).hexdigest()[:24],
        "created_at": shown(document.created_at),
        "updated_at": shown(document.updated_at),
        "name": spec.name,
        "namespace": namespace,
        "runtime_name": msgspec.json.decode(document.body, type=About).runtime_name,
        "runtime_namespace": namespace,
        "inputs_schema": spec.input,
        "outputs_schema": spec.output,
        "secrets": list(spec.secrets),
        "last_seen_at": None if wanted.seen_at is None else shown(wanted.seen_at),
        "ready": wanted.ready,
        "leased": wanted.leased,
    }


ROUTES = (
    Route(
        method="PUT",
        path=PATH,
        scopes=("run",),
        summary="Register nodes, or what has changed about them",
        endpoint=register,
        request=Registration,
        response=dict[str, Any],
    ),
    Route(
        method="GET",
        path=PATH,
        scopes=("read",),
        summary="The registered nodes of a namespace",
        endpoint=list_nodes,
        response=dict[str, Any],
    ),
)
