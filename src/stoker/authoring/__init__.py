"""What a user writes: nodes and graphs as Python functions, compiled to `core.graph`. The names load lazily."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stoker.authoring.file import ArtifactAccess, File, artifacts, files_in, uploaded
    from stoker.authoring.function import FunctionNode, node
    from stoker.authoring.graphs import Graph, graph, work_of
    from stoker.authoring.handle import Handle, each
    from stoker.authoring.items import Items
    from stoker.authoring.limit import Limit
    from stoker.authoring.loops import loop
    from stoker.authoring.misuse import Misuse
    from stoker.authoring.model import Node
    from stoker.authoring.retry import Retry
    from stoker.authoring.signals import Cancelled, NotRetryable, Prune, Requeue, Signal
    from stoker.authoring.subgraphs import subgraph
    from stoker.authoring.task import Task, current_task, running
    from stoker.authoring.values import optional, store, text
    from stoker.authoring.waits import wait
    from stoker.authoring.work import Work
    from stoker.core.graph import Requirements

_HOMES = {
    "stoker.authoring.file": ("ArtifactAccess", "File", "artifacts", "files_in", "uploaded"),
    "stoker.authoring.function": ("FunctionNode", "node"),
    "stoker.authoring.graphs": ("Graph", "graph", "work_of"),
    "stoker.authoring.handle": ("Handle", "each"),
    "stoker.authoring.items": ("Items",),
    "stoker.authoring.limit": ("Limit",),
    "stoker.authoring.loops": ("loop",),
    "stoker.authoring.misuse": ("Misuse",),
    "stoker.authoring.model": ("Node",),
    "stoker.authoring.retry": ("Retry",),
    "stoker.authoring.signals": ("Cancelled", "NotRetryable", "Prune", "Requeue", "Signal"),
    "stoker.authoring.subgraphs": ("subgraph",),
    "stoker.authoring.task": ("Task", "current_task", "running"),
    "stoker.authoring.values": ("optional", "store", "text"),
    "stoker.authoring.waits": ("wait",),
    "stoker.authoring.work": ("Work",),
    "stoker.core.graph": ("Requirements",),
}
_WHERE = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ArtifactAccess",
    "Cancelled",
    "File",
    "FunctionNode",
    "Graph",
    "Handle",
    "Items",
    "Limit",
    "Misuse",
    "Node",
    "NotRetryable",
    "Prune",
    "Requeue",
    "Requirements",
    "Retry",
    "Signal",
    "Task",
    "Work",
    "artifacts",
    "current_task",
    "each",
    "files_in",
    "graph",
    "loop",
    "node",
    "optional",
    "running",
    "store",
    "subgraph",
    "text",
    "uploaded",
    "wait",
    "work_of",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_WHERE[name]), name)
    globals()[name] = found
    return found
