"""Views of what is kept: a record beside its id, name and times, with what it refers to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from stoker.api.dialects.heat import redact, tree
from stoker.api.dialects.heat.configuration import Entry
from stoker.api.dialects.heat.noun import Kept
from stoker.api.dialects.heat.nouns import (
    configuration,
    datasource,
    feature,
    nodetemplate,
    project,
    runnertype,
    sessiontemplate,
    user,
)
from stoker.api.dialects.heat.roles import REDACTED, Role, hides, sees_connections

V = TypeVar("V", bound=msgspec.Struct)


def data_source(kept: Kept[datasource.Record], role: Role) -> datasource.DataSource:
    """A data source; without its connection string where the role does not see that, or the server has none to give."""
    text = kept.record.connection_string
    if not text or not sees_connections(role):
        text = redact.redacted(kept.record.type)
    return _view(datasource.DataSource, kept, connection_string=text)


def entry(kept: Kept[Entry], role: Role) -> configuration.ConfigurationEntry:
    """A configuration entry; without its value where that is withheld."""
    value = REDACTED if hides(role, kept.name) else kept.record.value
    return _view(configuration.ConfigurationEntry, kept, value=value)


def feature_(kept: Kept[feature.Record]) -> feature.Feature:
    return _view(feature.Feature, kept, internal_name=kept.name)


def user_(kept: Kept[user.Record]) -> user.User:
    return _view(user.User, kept)


def runner_type(kept: Kept[runnertype.Record]) -> runnertype.RunnerType:
    return _view(runnertype.RunnerType, kept)


def node_template(
    kept: Kept[nodetemplate.Record],
    features: Mapping[str, feature.Feature],
    runners: Mapping[int, runnertype.RunnerType],
) -> nodetemplate.NodeTemplate:
    return _view(
        nodetemplate.NodeTemplate,
        kept,
        feature=features.get(kept.record.feature_internal_name),
        supported_runners=[runners[id_] for id_ in kept.record.supported_runners if id_ in runners],
    )


def mapping(view: nodetemplate.NodeTemplate) -> nodetemplate.RunnerMapping:
    runners = [runnertype.RunnerTypeName(id=runner.id, name=runner.name) for runner in view.supported_runners]
    return nodetemplate.RunnerMapping(node_template_id=view.id, node_template_name=view.name, runner_types=runners)


def project_(
    kept: Kept[project.Record], users: Mapping[int, user.User], templates: Mapping[int, str]
) -> project.Project:
    """A project. `templates`: the names of session templates."""
    id_ = kept.record.default_session_template_id
    default = None if id_ is None else project.DefaultTemplate(id=id_, name=templates[id_])
    return _view(
        project.Project,
        kept,
        hex_id=f"{kept.id:x}",
        owner=users.get(kept.record.owner_id),
        default_session_template=default,
    )


def session_template(
    kept: Kept[sessiontemplate.Record], templates: Mapping[int, nodetemplate.NodeTemplate]
) -> sessiontemplate.SessionTemplate:
    return _view(sessiontemplate.SessionTemplate, kept, nodes=nodes(kept.record.nodes, templates))


def nodes(
    drafted: Iterable[tree.Node], templates: Mapping[int, nodetemplate.NodeTemplate]
) -> list[sessiontemplate.SessionTemplateNode]:
    """The nodes of a draft, in the order in which they were made."""
    all_ = list(drafted)
    names = {node.id: node.name for node in all_}
    return [
        sessiontemplate.SessionTemplateNode(
            id=node.id,
            name=node.name,
            node_template_id=node.node_template_id,
            node_template=templates.get(node.node_template_id),
            default_configuration=node.default_configuration,
            parents=[sessiontemplate.ParentNode(id=parent, name=names[parent]) for parent in node.parents],
        )
        for node in all_
    ]


def _view(kind: type[V], kept: Kept[Any], **more: Any) -> V:
    """A view of the fields that document and record have in common with it, and of `more`."""
    known = {**msgspec.structs.asdict(kept), **msgspec.structs.asdict(kept.record), **more}
    return kind(**{name: known[name] for name in kind.__struct_fields__})
