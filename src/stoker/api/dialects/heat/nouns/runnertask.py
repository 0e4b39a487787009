"""Tasks of runners: each is one attempt of a task of the engine."""

from __future__ import annotations

from enum import IntEnum

from msgspec import UNSET, Struct, UnsetType

from stoker.api.dialects.heat.fields import Free
from stoker.api.dialects.heat.nouns.nodeinstance import NodeInstance
from stoker.api.dialects.heat.nouns.nodeoutput import NodeOutput


class TaskState(IntEnum):
    Pending = 0
    Claimed = 1
    Running = 2
    Completed = 3
    Failed = 4
    Superseded = 5


class ClaimTask(Struct, frozen=True, kw_only=True, rename="camel"):
    runner_tag: Free | UnsetType | None = UNSET
    supported_node_template_names: list[str] = []


class RunnerTask(Struct, frozen=True, kw_only=True, rename="camel"):
    id: int
    node_instance_id: int
    node_instance: NodeInstance
    runner_tag: str
    runner_type_id: int
    node_instance_configuration: str
    session_template_configuration: str
    parent_node_outputs: list[NodeOutput]
    state: int
    verbose_state: str
    retry_count: int
    max_retries: int
    created_at: str
    reference_time: str
    updated_at: str
    last_runner_output: None = None
