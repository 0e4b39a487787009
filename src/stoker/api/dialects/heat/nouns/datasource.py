"""Data sources: where the bytes of outputs lie. The clients open the stores themselves."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from stoker.api.dialects.heat import redact
from stoker.api.dialects.heat.fields import Free, Name, StoreType
from stoker.api.dialects.heat.noun import Noun


class Record(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is kept beside name, id and times."""

    type: int
    connection_string: str
    description: str | None = None


NOUN = Noun(sort="heat.datasource", record=Record, title="data source")


class DataSourceChange(Struct, frozen=True, kw_only=True, rename="camel"):
    name: Name | UnsetType = UNSET
    type: StoreType | UnsetType = UNSET
    connection_string: str | UnsetType = UNSET
    description: Free | UnsetType | None = UNSET


class NewDataSource(DataSourceChange, frozen=True, kw_only=True, rename="camel"):
    name: Name
    type: StoreType
    connection_string: str


class DataSource(Struct, frozen=True, kw_only=True, rename="camel"):
    id: int
    name: str
    description: str | None
    type: int
    connection_string: str
    created_at: str


def kept(fields: dict[str, Any], before: Record | None) -> dict[str, Any]:
    """What of a change is meant: whoever sends back what they were shown in place of a string means the one kept."""
    text = fields.get("connection_string")
    if before is not None and text is not None and redact.is_redacted(text):
        return {name: value for name, value in fields.items() if name != "connection_string"}
    return fields


def fault(record: Record) -> str | None:
    """Why the clients could not read it: one such row breaks their whole list."""
    return redact.fault(record.type, record.connection_string)
