"""Bodies of upserts, written briefly, and kinds that they may use."""

from __future__ import annotations

from typing import Any

from stoker.api.dialects.exosphere.checks import Registered
from stoker.api.dialects.exosphere.upsert import read_upsert
from stoker.api.dialects.exosphere.wire import Upsert
from stoker.core.graph import KindSpec

NS = "plant"


def schema(*required: str, optional: tuple[str, ...] = (), **types: str) -> dict[str, Any]:
    """An object of texts, but for those whose type is said."""
    names = (*required, *optional)
    return {
        "type": "object",
        "properties": {name: {"type": types.get(name, "string")} for name in names},
        "required": list(required),
    }


FIELDS = schema(optional=("x", "y", "z"))
WORK = KindSpec(name="Work", items="many", loose=True, input=FIELDS, output=FIELDS)
NATIVE = KindSpec(
    name="Native", input=schema("n", optional=("label",), n="integer"), output=schema(optional=("n",), n="integer")
)
KINDS = {(NS, "Work"): Registered(WORK), (NS, "Native"): Registered(NATIVE, here=False)}


def node(identifier: str, *following: str, unites: str = "", done: bool = False, **more: Any) -> dict[str, Any]:
    said = {"node_name": "Work", "namespace": NS, "identifier": identifier, "inputs": {}, **more}
    if following:
        said["next_nodes"] = list(following)
    if unites:
        said["unites"] = {"identifier": unites, "strategy": "ALL_DONE" if done else "ALL_SUCCESS"}
    return said


def body(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"secrets": {}, "nodes": list(nodes), **more}


def upsert(*nodes: dict[str, Any], **more: Any) -> Upsert:
    return read_upsert(body(*nodes, **more))
