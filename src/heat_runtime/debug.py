"""Debug mode: one node of a session, run here with what its parents have given, whatever the server offers."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from heat_runtime.attempt import attempt
from heat_runtime.beating import SUCCEEDED
from heat_runtime.core_api import CoreApi
from heat_runtime.heat_task import HeatTask, written
from heat_runtime.registry import Registry, fresh

if TYPE_CHECKING:
    from heat_runtime.runtime import HeatRuntime

LAST_ID = 2**31 - 2


def debug(api: CoreApi, registry: Registry, runtime: HeatRuntime, node: int) -> None:
    """Run it and give its output. What the processor raises goes on, and leaves the node as it was."""
    task = HeatTask(_made_up(api, node))
    if task.template not in registry:
        raise LookupError(f"No processor for template: {task.template}")
    processor = fresh(registry.of(task.template))
    processor.task, processor.runtime = task, runtime
    runtime.task = task
    result = attempt(processor, task.inputs, task.config, lambda: _signal(api, task))
    if result is not None:
        api.output(task.node, written(result), runtime.store_id, "output")
    api.status(task.node, 3, SUCCEEDED)
    api.complete(task.id)


def _signal(api: CoreApi, task: HeatTask) -> None:
    api.signal(task.id, 60)  # there is no such task, which is not ours to mind


def _made_up(api: CoreApi, node: int) -> dict[str, Any]:
    found = api.node(node)
    parents = [api.node(int(parent["id"])) for parent in found.get("parents") or ()]
    outputs = [parent["currentOutput"] for parent in parents if parent.get("currentOutput")]
    if not outputs:
        raise LookupError(f"No parent of node {node} has an available output; cannot build debug task.")
    return {
        "id": secrets.randbelow(LAST_ID + 1),
        "nodeInstance": found,
        "nodeInstanceConfiguration": found.get("configuration"),
        "sessionTemplateConfiguration": "",
        "parentNodeOutputs": outputs,
    }
