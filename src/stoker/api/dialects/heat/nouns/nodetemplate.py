"""Node templates: sorts of work. Each that runners can claim is a kind of the engine too."""

from __future__ import annotations

import jsonschema_rs
import msgspec
from msgspec import UNSET, Struct, UnsetType

from stoker.api.dialects.heat.enums import NodeTemplateType
from stoker.api.dialects.heat.fields import JsonText, Key, Name, TemplateType
from stoker.api.dialects.heat.noun import Noun
from stoker.api.dialects.heat.nouns import feature, runnertype
from stoker.core.graph import KindSpec
from stoker.core.own import OWN
from stoker.engine.versions import Schema

MAX_ATTEMPTS = 1023
"""An id of a task on the wire has room for so many."""
_SCHEMAS = ("input_schema", "output_schema", "configuration_schema")


class Record(Struct, frozen=True, kw_only=True, rename="camel"):
    """`supported_runners`: ids of runner types."""

    type: int
    input_schema: str | None = None
    output_schema: str | None = None
    configuration_schema: str = "{}"
    accepts_multiple_inputs: bool = False
    requires_configuration: bool = False
    has_non_json_artifacts: bool = False
    feature_internal_name: str = ""
    supported_runners: tuple[int, ...] = ()


NOUN = Noun(sort="heat.nodetemplate", record=Record, title="node template")


class NamedRunner(Struct, frozen=True, kw_only=True, rename="camel"):
    """A runner type as it may be named by an object."""

    id: Key | UnsetType = UNSET
    name: str | UnsetType = UNSET


class NodeTemplateChange(Struct, frozen=True, kw_only=True, rename="camel"):
    """`supported_runners`: names, ids, or objects with either."""

    name: Name | UnsetType = UNSET
    type: TemplateType | UnsetType = UNSET
    feature_internal_name: Name | UnsetType = UNSET
    input_schema: JsonText | UnsetType | None = UNSET
    output_schema: JsonText | UnsetType | None = UNSET
    configuration_schema: JsonText | UnsetType | None = UNSET
    accepts_multiple_inputs: bool | UnsetType = UNSET
    requires_configuration: bool | UnsetType = UNSET
    has_non_json_artifacts: bool | UnsetType = UNSET
    supported_runners: list[str | int | NamedRunner] | UnsetType = UNSET


class NewNodeTemplate(NodeTemplateChange, frozen=True, kw_only=True, rename="camel"):
    name: Name
    type: TemplateType
    feature_internal_name: Name


class NodeTemplate(Struct, frozen=True, kw_only=True, rename="camel"):
    id: int
    name: str
    type: int
    input_schema: str | None
    output_schema: str | None
    accepts_multiple_inputs: bool
    requires_configuration: bool
    has_non_json_artifacts: bool
    configuration_schema: str
    feature_internal_name: str
    feature: feature.Feature | None
    supported_runners: list[runnertype.RunnerType]


class RunnerMapping(Struct, frozen=True, kw_only=True, rename="camel"):
    """Which runner types may run a node template."""

    node_template_id: int
    node_template_name: str
    runner_types: list[runnertype.RunnerTypeName]


def fault(name: str, record: Record) -> str | None:
    """Why it cannot be used. References of a schema outside of itself are never fetched, and refused."""
    if name in OWN:
        return f"the name {name!r} is one of the engine's own kinds"
    for field in _SCHEMAS:
        if wrong := _schema_fault(getattr(record, field)):
            return f"{field} is no JSON Schema that can be used here: {wrong}"
    return None


def kind(name: str, record: Record) -> KindSpec | None:
    """The engine's word for it; None for what nobody claims. HEAT's items and configurations are not checked."""
    if record.type == NodeTemplateType.Input:
        return None
    return KindSpec(name=name, max_attempts=MAX_ATTEMPTS)


def _schema_fault(text: str | None) -> str | None:
    try:
        schema = msgspec.json.decode(text) if text else {}
        if isinstance(schema, dict):
            Schema(schema)
        return None if isinstance(schema, dict | bool) else "it is neither an object nor true or false"
    except (ValueError, RecursionError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        return str(error)
