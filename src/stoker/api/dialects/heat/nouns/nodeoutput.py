"""Outputs of nodes."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from stoker.api.dialects.heat.fields import JsonText, Key
from stoker.api.dialects.heat.noun import Noun


class Use(Struct, frozen=True, kw_only=True):
    """Says that outputs of a session lie in a data source; its name has both, its parent is the data source."""

    session: str


USES = Noun(sort="heat.use", record=Use, title="use of a data source")


class NewNodeOutput(Struct, frozen=True, kw_only=True, rename="camel"):
    data_source_id: Key
    data_path: Annotated[str, Meta(max_length=1024)] = ""
    output_identifier: Annotated[str, Meta(max_length=100)] = ""
    configuration: JsonText | UnsetType | None = UNSET

    @property
    def text(self) -> str:
        return str(self.configuration or "{}")


class NodeOutput(Struct, frozen=True, kw_only=True, rename="camel"):
    id: int
    node_instance_id: int
    configuration: str
    created_at: str
    data_source_id: int
    data_path: str
    output_identifier: str


class NamedNodeOutput(NodeOutput, frozen=True, kw_only=True, rename="camel"):
    node_name: str
