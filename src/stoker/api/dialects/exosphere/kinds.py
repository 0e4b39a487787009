"""The kinds that a graph template names, in all of its namespaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stoker.api.dialects.exosphere.checks import Kinds, Registered
from stoker.api.dialects.exosphere.wire import Upsert
from stoker.errors import NotFound

if TYPE_CHECKING:
    from stoker.engine.engine import Engine

SORT = "exosphere.node"
"""The documents beside the kinds that were registered over this protocol, by their names."""


async def kinds_of(engine: Engine, upsert: Upsert) -> Kinds:
    """Those that are registered. A namespace that is not there has none."""
    found: dict[tuple[str, str], Registered] = {}
    for namespace in sorted({node.namespace for node in upsert.nodes}):
        try:
            kinds = await engine.catalog.kinds(namespace)
        except NotFound:
            continue
        ours = {document.name for document in await engine.documents.list(namespace, SORT)}
        found.update({(namespace, kind.name): Registered(kind, here=kind.name in ours) for kind in kinds})
    return found
