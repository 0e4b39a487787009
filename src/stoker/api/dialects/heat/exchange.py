"""Session templates as files: names instead of ids, JSON as JSON. What else a file says is kept and given back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from stoker.api.dialects.heat import tree
from stoker.api.dialects.heat.fields import Free, JsonText, Name
from stoker.api.dialects.heat.nouns.sessiontemplate import Record
from stoker.errors import Conflict, Invalid

VERSION = "1.0.0"


class NodeOfFile(Struct, frozen=True, kw_only=True, rename="camel"):
    name: Name
    node_template_name: str
    default_configuration: JsonText | UnsetType | None = UNSET
    parents: list[str] = []


class SessionTemplateFile(Struct, frozen=True, kw_only=True, rename="camel"):
    name: Name
    description: Free | UnsetType | None = UNSET
    configuration: JsonText | UnsetType | None = UNSET
    nodes: list[NodeOfFile] = []


_KNOWN = {"manifestVersion", *SessionTemplateFile.__struct_encode_fields__}
_KNOWN_OF_NODES = set(NodeOfFile.__struct_encode_fields__)


def exported(name: str, record: Record, templates: Mapping[int, str]) -> dict[str, Any]:
    """The file of a draft. `templates`: the names of node templates."""
    names = {node.id: node.name for node in record.nodes}
    extra = dict(record.extra)
    of_nodes: dict[str, dict[str, Any]] = extra.pop("nodes", {})
    return {
        "manifestVersion": VERSION,
        "name": name,
        "description": record.description,
        "configuration": _json(record.configuration),
        "nodes": [
            {
                "name": node.name,
                "nodeTemplateName": templates.get(node.node_template_id, ""),
                "defaultConfiguration": _json(node.default_configuration),
                "parents": [names[parent] for parent in node.parents],
                **of_nodes.get(node.name, {}),
            }
            for node in record.nodes
        ],
        **extra,
    }


def imported(
    file: SessionTemplateFile, raw: Mapping[str, Any], templates: Mapping[str, int], ids: Callable[[], int]
) -> Record:
    """The draft of a file. `raw`: the same file undecoded; `templates`: the ids of node templates by name."""
    made: dict[str, int] = {str(node.name): ids() for node in file.nodes}
    if len(made) < len(file.nodes):
        name = tree.repeated(node.name for node in file.nodes)
        raise Conflict(f"two nodes of the file have the name {name!r}", place="body.nodes", remedy="Rename one.")
    return Record(
        description=str(file.description or ""),
        configuration=str(file.configuration or "{}"),
        nodes=tuple(_node(node, made, templates) for node in file.nodes),
        extra=_extra(raw),
    )


def _node(node: NodeOfFile, made: Mapping[str, int], templates: Mapping[str, int]) -> tree.Node:
    template = templates.get(node.node_template_name)
    if template is None:
        raise Invalid(
            f"there is no node template {node.node_template_name!r}, which the node {str(node.name)!r} needs",
            place="body.nodes",
            remedy="Make it first, or import the manifest that describes it.",
        )
    parents = [made.get(parent, 0) for parent in node.parents]
    return tree.Node(
        id=made[node.name],
        name=str(node.name),
        node_template_id=template,
        default_configuration=str(node.default_configuration or "{}"),
        parents=tree.unique(parents),
    )


def _extra(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What the file says beyond what is known here: of itself, and of its nodes by name."""
    nodes = {node["name"]: _beyond(node, _KNOWN_OF_NODES) for node in raw.get("nodes") or []}
    extra = _beyond(raw, _KNOWN)
    if of_nodes := {name: beyond for name, beyond in nodes.items() if beyond}:
        extra["nodes"] = of_nodes
    return extra


def _beyond(value: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    return {name: each for name, each in value.items() if name not in known}


def _json(text: str) -> Any:
    """Text that holds JSON as what it holds; as text where it holds none."""
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return text
