"""Session templates: drafts of graphs, without nodes or with half of them. A session is made from one as it is.

The nodes lie inside of their template, so that edges are checked and changed under one lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from stoker.api.dialects.heat import tree
from stoker.api.dialects.heat.fields import Free, JsonText, Key, Name, given
from stoker.api.dialects.heat.noun import Noun
from stoker.api.dialects.heat.nouns import nodetemplate
from stoker.errors import Conflict, Invalid, NotFound


class Record(Struct, frozen=True, kw_only=True, rename="camel"):
    """`extra`: what an imported file said beyond what is known here."""

    description: str = ""
    configuration: str = "{}"
    nodes: tuple[tree.Node, ...] = ()
    extra: dict[str, Any] = {}


NOUN = Noun(sort="heat.sessiontemplate", record=Record, title="session template")
NODE_IDS = "heat.templatenode"
"""The sequence of the ids of nodes."""


class NamedParent(Struct, frozen=True, kw_only=True):
    """A parent as it is named by an object."""

    id: Key | UnsetType = UNSET
    name: str | UnsetType = UNSET


class NodeChange(Struct, frozen=True, kw_only=True, rename="camel"):
    """`parents` or `parent_ids`: the edges stay if neither is given."""

    id: Key | UnsetType | None = UNSET
    name: Name | UnsetType | None = UNSET
    node_template_id: Key | UnsetType = UNSET
    default_configuration: JsonText | UnsetType | None = UNSET
    parents: list[NamedParent] | UnsetType | None = UNSET
    parent_ids: list[Key] | UnsetType | None = UNSET


class SessionTemplateChange(Struct, frozen=True, kw_only=True, rename="camel"):
    name: Name | UnsetType | None = UNSET
    description: Free | UnsetType | None = UNSET
    configuration: JsonText | UnsetType | None = UNSET
    nodes: list[NodeChange] | UnsetType | None = UNSET


class ParentNode(Struct, frozen=True, kw_only=True):
    id: int
    name: str


class SessionTemplateNode(Struct, frozen=True, kw_only=True, rename="camel"):
    id: int
    name: str
    node_template_id: int
    node_template: nodetemplate.NodeTemplate | None
    default_configuration: str
    parents: list[ParentNode]


class SessionTemplate(Struct, frozen=True, kw_only=True):
    id: int
    name: str
    description: str
    configuration: str
    nodes: list[SessionTemplateNode]


def changed(record: Record, sent: SessionTemplateChange, ids: Callable[[], int]) -> Record:
    """The draft with what was sent. Nodes, if they are given, replace the set: matched by id, then by name."""
    fields = given(sent)
    meant = {name: fields[name] for name in ("description", "configuration") if fields.get(name) is not None}
    if isinstance(sent.nodes, list):
        meant["nodes"] = replaced(record.nodes, sent.nodes, ids)
    return msgspec.structs.replace(record, **meant)


def replaced(before: Sequence[tree.Node], sent: Sequence[NodeChange], ids: Callable[[], int]) -> tuple[tree.Node, ...]:
    """A whole set of nodes. Parents are looked up by the ids that the body uses, else by name."""
    matched = [_match(before, node) for node in sent]
    made = [found.id if found else ids() for found in matched]
    by_id = {int(node.id): id_ for node, id_ in zip(sent, made, strict=True) if node.id}
    names = [_named(node, found, id_) for node, found, id_ in zip(sent, matched, made, strict=True)]
    by_name = dict(zip(names, made, strict=True))
    nodes = []
    for node, found, id_, name in zip(sent, matched, made, names, strict=True):
        parents = _parents(node, by_id, by_name, name)
        nodes.append(_node(node, found, id_, name, found.parents if parents is None and found else parents or ()))
    return tuple(nodes)


def with_node(record: Record, sent: NodeChange, id_: int) -> Record:
    """The draft with one node more."""
    node = _node(sent, None, id_, _named(sent, None, id_), _own_parents(record, sent) or ())
    return msgspec.structs.replace(record, nodes=(*record.nodes, node))


def with_change(record: Record, before: tree.Node, sent: NodeChange) -> Record:
    """The draft with one node changed."""
    parents = _own_parents(record, sent)
    node = _node(
        sent, before, before.id, _named(sent, before, before.id), before.parents if parents is None else parents
    )
    return msgspec.structs.replace(record, nodes=tuple(node if each.id == before.id else each for each in record.nodes))


def find(record: Record, template: int, id_: int) -> tree.Node:
    """NotFound if the template has no such node."""
    for node in record.nodes:
        if node.id == id_:
            return node
    raise NotFound(f"the session template {template} has no node {id_}", place="path.id")


def check(record: Record, templates: Mapping[int, nodetemplate.Record]) -> None:
    """Refuse a draft that is wrong as a whole: Conflict for a name that is taken, Invalid for all else."""
    if name := tree.repeated(node.name for node in record.nodes):
        raise Conflict(
            f"two nodes of a session template cannot both have the name {name!r}",
            place="body.name",
            remedy="Rename one.",
        )
    single = {id_: not template.accepts_multiple_inputs for id_, template in templates.items()}
    if wrong := tree.fault(record.nodes, single):
        raise Invalid(f"this cannot be a session template: {wrong}", place="body.nodes")


def uses(record: Record) -> set[int]:
    """The node templates that a draft needs."""
    return {node.node_template_id for node in record.nodes}


def _match(before: Iterable[tree.Node], sent: NodeChange) -> tree.Node | None:
    nodes = list(before)
    by_id = [node for node in nodes if sent.id and node.id == sent.id]
    by_name = [node for node in nodes if node.name == sent.name]
    return next(iter([*by_id, *by_name]), None)


def _named(sent: NodeChange, before: tree.Node | None, id_: int) -> str:
    if sent.name:
        return str(sent.name)
    return before.name if before else f"node-{id_}"


def _parents(
    sent: NodeChange, by_id: Mapping[int, int], by_name: Mapping[str, int], name: str
) -> tuple[int, ...] | None:
    """The parents that a node inside of a body names; None if it names none."""
    named = _named_parents(sent)
    if named is None:
        return None
    found = [by_id.get(int(each.id)) if each.id else by_name.get(str(each.name)) for each in named]
    if None in found:
        raise Invalid(
            f"the node {name!r} names a parent that is none of the nodes sent with it",
            place="body.nodes",
            remedy="Name parents by the ids that the same body gives its nodes, or by their names.",
        )
    return tree.unique([each for each in found if each is not None])


def _own_parents(record: Record, sent: NodeChange) -> tuple[int, ...] | None:
    """The parents that a node of a draft is to have, by id or name; None if it names none."""
    named = _named_parents(sent)
    if named is None:
        return None
    names = {node.name: node.id for node in record.nodes}
    return tree.unique([int(each.id) if each.id else names.get(str(each.name), 0) for each in named])


def _named_parents(sent: NodeChange) -> list[NamedParent] | None:
    if isinstance(sent.parents, list):
        return sent.parents
    return [NamedParent(id=id_) for id_ in sent.parent_ids] if isinstance(sent.parent_ids, list) else None


def _node(sent: NodeChange, before: tree.Node | None, id_: int, name: str, parents: tuple[int, ...]) -> tree.Node:
    template = sent.node_template_id or (before and before.node_template_id)
    if not template:
        raise Invalid(f"the node {name!r} names no node template", place="body.nodeTemplateId")
    configuration = sent.default_configuration
    if not isinstance(configuration, str):
        configuration = JsonText(before.default_configuration if before else "{}")
    return tree.Node(
        id=id_,
        name=name,
        node_template_id=int(template),
        default_configuration=str(configuration),
        parents=parents,
    )
