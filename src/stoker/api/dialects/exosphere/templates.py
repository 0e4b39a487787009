"""What is kept of a graph template beside its version: the text that was sent, and what was found about it."""

from __future__ import annotations

from typing import Any

import msgspec

from stoker.api.dialects.exosphere.times import shown
from stoker.api.dialects.exosphere.topology import Topology
from stoker.api.dialects.exosphere.wire import Upsert
from stoker.engine.documents import Changes, Document

SORT = "exosphere.graph"


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A graph template. `upsert` is without the plaintexts of its secrets, of which `secrets` are the names.

    `accepted`: inputs that a trigger may give.
    """

    upsert: Upsert
    secrets: list[str] = []
    accepted: list[str] = []
    faults: list[str] = []
    warnings: list[str] = []
    version: int = 0

    @property
    def valid(self) -> bool:
        return not self.faults


def template(upsert: Upsert, faults: list[str], warnings: list[str], accepted: set[str]) -> Template:
    return Template(
        upsert=msgspec.structs.replace(upsert, secrets={}),
        secrets=sorted(upsert.secrets),
        accepted=sorted(accepted),
        faults=faults,
        warnings=warnings,
    )


def root(template: Template) -> str:
    """The identifier of the node that a run begins with."""
    nodes = template.upsert.nodes
    return next(nodes[place].identifier for place in Topology(nodes).roots())


async def keep(changes: Changes, name: str, kept: Template) -> Document:
    """Let this be what is known of the graph, in the transaction that publishes it."""
    body = msgspec.json.encode(kept)
    found = await changes.named(SORT, name)
    if found is None:
        return await changes.add(SORT, body, name=name)
    return await changes.put(msgspec.structs.replace(found, body=body))


def read(document: Document) -> Template:
    return msgspec.json.decode(document.body, type=Template)


def reply(document: Document, namespace: str) -> dict[str, Any]:
    """A graph as PUT and GET show it. No secret is, only that it is there."""
    kept = read(document)
    said: dict[str, Any] = msgspec.to_builtins(kept.upsert)
    return {
        **said,
        "name": document.name,
        "namespace": namespace,
        "secrets": dict.fromkeys(kept.secrets, True),
        "created_at": shown(document.created_at),
        "updated_at": shown(document.updated_at),
        "validation_status": "VALID" if kept.valid else "INVALID",
        "validation_errors": kept.faults,
        "version": kept.version,
        "warnings": kept.warnings,
    }


def listed(document: Document, namespace: str) -> dict[str, Any]:
    """A graph as the list of them shows it."""
    return {"_id": str(document.id), **reply(document, namespace)}
