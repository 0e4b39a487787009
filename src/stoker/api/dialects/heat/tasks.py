"""Attempts as HEAT's tasks: which state an attempt has, and what a runner is told of it."""

from __future__ import annotations

from stoker.api.dialects.heat import ids
from stoker.api.dialects.heat.nouns.nodeoutput import NodeOutput
from stoker.api.dialects.heat.nouns.runnertask import RunnerTask, TaskState
from stoker.api.dialects.heat.stage import Stage, time
from stoker.core import states
from stoker.core.model import Task
from stoker.core.picture import AGING
from stoker.core.standing import Standing
from stoker.core.states import Verb

_ENDED = {states.TaskState.FAILED: TaskState.Failed, states.TaskState.CANCELLED: TaskState.Superseded}


def state_of(standing: Standing, *, over: bool) -> TaskState:
    """Of an attempt that is known. One that failed reads so while its successor is offered. `over`: its session is."""
    task = standing.now
    assert task is not None
    if over or standing.stopping:
        return TaskState.Superseded
    if standing.attempt < standing.newest:
        failed = standing.attempt == task.attempt and task.ended is Verb.FAIL
        return TaskState.Failed if failed else TaskState.Superseded
    match task.state:
        case states.TaskState.READY:
            return TaskState.Pending
        case states.TaskState.LEASED:
            return TaskState.Running if standing.heard else TaskState.Claimed
        case ended:
            return _ENDED.get(ended, TaskState.Completed)


async def shown(stage: Stage, task: Task, attempt: int, state: TaskState) -> RunnerTask:
    """An attempt with its node, and the outputs that it reads, in the order of the node's parents."""
    instance = await stage.instance(task.node)
    template = instance.node_template
    enabled = [runner.id for runner in template.supported_runners if runner.enabled] if template is not None else []
    return RunnerTask(
        id=ids.of_attempt(task.id, attempt),
        node_instance_id=instance.id,
        node_instance=instance,
        runner_tag=stage.scene.nodes[task.node].runner,
        runner_type_id=enabled[0] if enabled else 0,
        node_instance_configuration=instance.configuration,
        session_template_configuration=stage.played.configuration,
        parent_node_outputs=await _inputs(stage, task, attempt),
        state=state.value,
        verbose_state=state.name,
        retry_count=task.failures + task.losses,
        max_retries=stage.scheduling.max_retries,
        created_at=time(task.created_at),
        reference_time=time(task.order_at - (9 - task.priority) * AGING),
        updated_at=time(task.settled_at or task.claimed_at or task.created_at),
    )


async def _inputs(stage: Stage, task: Task, attempt: int) -> list[NodeOutput]:
    """What an attempt of the newest task reads; of earlier tasks that is not known any more."""
    row = stage.scene.nodes[task.node].row
    if row.task != task.id:
        return []
    numbers = row.reads(attempt)
    found = await stage.call.engine.nodes.at(stage.scene, dict(numbers))
    names = stage.scene.version.graph.names
    order = [names[parent] for parent in stage.node(task.node)[1].parents]
    return [await stage.output(found[index]) for index in order if index in found]
