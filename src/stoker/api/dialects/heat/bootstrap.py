"""What an empty server has: programs assume a user, a data source, a node template and a session template of id 1."""

from __future__ import annotations

from msgspec import Struct

from stoker.api.dialects.heat import tree
from stoker.api.dialects.heat.configuration import Entry
from stoker.api.dialects.heat.desk import Pen
from stoker.api.dialects.heat.enums import DataSourceType, NodeTemplateType, OwnershipType, UserType
from stoker.api.dialects.heat.noun import Noun
from stoker.api.dialects.heat.nouns import configuration, datasource, feature, nodetemplate, sessiontemplate, user

STORE = "HEAT Managed Object Store"
DEFAULT_STORE = "runner_config.default_store"
_FEATURE = "platform"


class Mark(Struct, frozen=True):
    """Says that the rest was made: what is deleted later is not made anew."""


MARK = Noun(sort="heat.bootstrap", record=Mark, title="mark")


async def furnish(pen: Pen) -> None:
    """Make what an empty server has, once."""
    if await pen.all(MARK):
        return
    await pen.add(MARK, "made", Mark())
    system = user.Record(type=UserType.SystemUser.value, external_heat_id="00000000-0000-4000-8000-000000000001")
    await pen.add(user.NOUN, system.external_heat_id, system)
    await pen.add(datasource.NOUN, STORE, datasource.Record(type=DataSourceType.S3.value, connection_string=""))
    of_the_platform = feature.Record(display_name="Platform", ownership_type=OwnershipType.platform.value)
    await pen.add(feature.NOUN, _FEATURE, of_the_platform)
    template = nodetemplate.Record(type=NodeTemplateType.Input.value, feature_internal_name=_FEATURE)
    input_ = await pen.add(nodetemplate.NOUN, "input", template)
    node = tree.Node(id=(await pen.numbers(sessiontemplate.NODE_IDS, 1))(), name="input", node_template_id=input_.id)
    await pen.add(sessiontemplate.NOUN, "Default", sessiontemplate.Record(nodes=(node,)))
    await pen.add(configuration.NOUN, DEFAULT_STORE, Entry(value=STORE))
