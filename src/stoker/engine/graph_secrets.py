"""The secrets that belong to one graph: sealed before a transaction, replaced as a whole in it.

A version does not pin them: its runs read what the graph has now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from stoker.core.duration import Micros
from stoker.core.secret import bound_to_graph, name_fault, size_fault
from stoker.engine.ports import Keyring, Sealed, Tx
from stoker.errors import Invalid, Problem


class GraphSecrets(NamedTuple):
    """All secrets of a graph, by name, encrypted."""

    graph: str
    values: Mapping[str, Sealed]

    async def put(self, tx: Tx, namespace: int, now: Micros) -> None:
        """Let the graph have these, and no others."""
        await tx.execute("delete_graph_secrets", namespace, self.graph)
        await tx.put(
            "put_graph_secret",
            [(namespace, self.graph, name, one.key, one.body, now) for name, one in sorted(self.values.items())],
        )


def sealed(keys: Keyring, namespace: str, graph: str, values: Mapping[str, str]) -> GraphSecrets:
    """Encrypt them. Invalid, naming each that cannot be; an empty value can."""
    problems = [
        Problem(code="bad_secret", place=f"secrets.{name}", message=f"{wrong}.")
        for name, value in values.items()
        if (wrong := name_fault(name) or size_fault(value))
    ]
    if problems:
        raise Invalid("some of these cannot be secrets", code="bad_secret", problems=problems)
    return GraphSecrets(
        graph,
        {name: keys.seal(value.encode(), bound_to_graph(namespace, graph, name)) for name, value in values.items()},
    )
