"""How many tasks of each node of a run stand where."""

from __future__ import annotations

from typing import Any

from stoker.core.compiled import Compiled
from stoker.core.model import Run
from stoker.core.states import TaskState
from stoker.core.views import NodeCounts
from stoker.engine.ports import Reader


async def node_counts(reader: Reader, run: Run, graph: Compiled) -> list[NodeCounts]:
    """Where the tasks of each node stand: settled ones from the kept counts, live ones from the live index."""
    counts: dict[int, dict[str, Any]] = {}
    for node, _, *settled in await reader.rows("node_counts", run.id):
        names = ("succeeded", "failed", "pruned", "cancelled", "skipped")
        counts[node] = dict(zip(names, settled, strict=True))
    single = [node.index for node in graph.nodes if not node.counted]
    for node, state in await reader.rows("single_tasks", run.id, b"", single):
        counts[node] = {TaskState(state).name.lower(): 1}
    for node, state, count in await reader.rows("live_counts", run.id):
        counts.setdefault(node, {})[TaskState(state).name.lower()] = count
    for node, unmade in await reader.rows("spread_counts", run.id):
        found = counts.setdefault(node, {})
        found["ready"] = found.get("ready", 0) + unmade
    for node, fraction, message in await reader.rows("run_progress", run.id):
        counts.setdefault(node, {}).update(progress=fraction, message=message)
    for node in graph.nodes:
        if node.copy_of is not None:
            _add(counts.setdefault(graph.names[node.copy_of], {}), counts.pop(node.index, {}))
    return [
        NodeCounts(node=node.name, kind=node.spec.kind, **counts.get(node.index, {}))
        for node in graph.nodes
        if node.copy_of is None and (not node.inline or node.held)
    ]


def _add(counts: dict[str, Any], more: dict[str, Any]) -> None:
    """What copies of a node have is that of the node."""
    for name, count in more.items():
        counts[name] = counts[name] + count if isinstance(count, int) and name in counts else count
