"""A session template as a live graph, and what of it a graph version carries along for its sessions.

What the engine has no word for (ids of node templates, configurations) lies as the default of one key of the graph's
store: so it belongs to the version, is pinned by a session, and makes a new version when it changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter

import msgspec

from stoker.api.dialects.heat import tree
from stoker.api.dialects.heat.enums import NodeTemplateType
from stoker.api.dialects.heat.noun import Kept
from stoker.api.dialects.heat.nouns import nodetemplate, sessiontemplate
from stoker.api.dialects.heat.scheduling import Scheduling
from stoker.core.graph import (
    Binding,
    Defaults,
    GraphSpec,
    InputSpec,
    NodeSpec,
    OnChange,
    Ref,
    Retry,
    Value,
)

CARRIED = "heat"
NOBODY = "heat.nobody"
"""An input of the graph of a template without nodes, since no graph is empty."""


class PlayedNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node as its sessions have it, with the names of those before it."""

    name: str
    template: int
    configuration: str
    parents: tuple[str, ...] = ()


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """A session template at one moment; its nodes in topological order."""

    template: int
    configuration: str
    nodes: tuple[PlayedNode, ...] = ()

    def node(self, name: str) -> PlayedNode | None:
        return next((node for node in self.nodes if node.name == name), None)


def played(template: Kept[sessiontemplate.Record]) -> Played:
    names = {node.id: node.name for node in template.record.nodes}
    nodes = tuple(
        PlayedNode(
            name=node.name,
            template=node.node_template_id,
            configuration=node.default_configuration,
            parents=tuple(names[parent] for parent in node.parents),
        )
        for node in in_order(template.record.nodes)
    )
    return Played(template=template.id, configuration=template.record.configuration, nodes=nodes)


def in_order(nodes: Iterable[tree.Node]) -> list[tree.Node]:
    """Each behind its parents; besides, as they were made."""
    known = {node.id: node for node in nodes}
    return [known[id_] for id_ in TopologicalSorter({id_: node.parents for id_, node in known.items()}).static_order()]


def graph(
    name: str, session: Played, templates: Mapping[int, Kept[nodetemplate.Record]], scheduling: Scheduling
) -> GraphSpec:
    """The live graph that plays a session template. Input nodes are its inputs."""
    inputs = {node.name for node in session.nodes if templates[node.template].record.type == NodeTemplateType.Input}
    all_ = requires_all(session.configuration)
    failures = scheduling.max_retries if scheduling.retry_failed else 0
    return GraphSpec(
        name=name,
        mode="live",
        inputs={each: InputSpec() for each in sorted(inputs)} or ({} if session.nodes else {NOBODY: InputSpec()}),
        nodes=tuple(
            NodeSpec(
                name=node.name,
                kind=templates[node.template].name,
                fire=OnChange(of=node.parents, require_all=all_ or requires_all(node.configuration)),
                bind=_bindings(node),
            )
            for node in session.nodes
            if node.name not in inputs
        ),
        store={CARRIED: InputSpec(required=False, default=msgspec.to_builtins(session))},
        defaults=Defaults(
            max_losses=scheduling.max_retries + 1,
            retry=Retry(attempts=failures + 1, strategy="fixed", base=0) if failures else None,
        ),
    )


def carried(spec: GraphSpec) -> Played | None:
    """What a graph carries along; None: it was not made of a session template."""
    found = spec.store.get(CARRIED)
    try:
        return None if found is None else msgspec.convert(found.default, Played)
    except msgspec.ValidationError:
        return None


def requires_all(configuration: str) -> bool:
    """Whether a configuration asks for an output of every parent."""
    try:
        found = msgspec.json.decode(configuration)
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("requireAllParents") is True


def _bindings(node: PlayedNode) -> dict[str, Binding]:
    """What runners of other protocols are given: the current output of each parent by its name, and `config`."""
    try:
        config = msgspec.json.decode(node.configuration)
    except (msgspec.DecodeError, RecursionError):
        config = node.configuration
    bound: dict[str, Binding] = {"config": Value(value=config)}
    return {**bound, **{parent: Ref(node=parent, optional=True) for parent in node.parents}}
