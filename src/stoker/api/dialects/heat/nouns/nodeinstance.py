"""Nodes of sessions."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from stoker.api.dialects.heat.fields import Free, JsonText
from stoker.api.dialects.heat.noun import Noun
from stoker.api.dialects.heat.nouns.nodeoutput import NodeOutput
from stoker.api.dialects.heat.nouns.nodetemplate import NodeTemplate
from stoker.api.dialects.heat.nouns.sessiontemplate import ParentNode


class Configured(Struct, frozen=True, kw_only=True):
    """The configuration that a node was given since its session began; its name is the node's id."""

    configuration: str


CONFIGURED = Noun(sort="heat.nodeinstance", record=Configured, title="configuration of the node")


class NodeStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    last_state: int | UnsetType = UNSET
    status_details: Free | UnsetType | None = UNSET
    configuration: JsonText | UnsetType | None = UNSET


class NodeInstance(Struct, frozen=True, kw_only=True, rename="camel"):
    id: int
    session_id: str
    node_template_id: int
    node_template: NodeTemplate | None
    name: str
    configuration: str
    last_processed: str | None
    last_state: int
    status_details: str
    current_output_id: int | None
    current_output: NodeOutput | None
    parents: list[ParentNode]
    session: None = None
    outputs: list[NodeOutput] = []
