"""Entries of the platform configuration, as they are sent and shown one by one."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from stoker.api.dialects.heat.configuration import Entry
from stoker.api.dialects.heat.fields import Free, Name
from stoker.api.dialects.heat.noun import Noun

NOUN = Noun(sort="heat.config", record=Entry, title="configuration entry")


class EntryChange(Struct, frozen=True, kw_only=True, rename="camel"):
    """A whole entry is sent back with only its value changed: the path says which one is meant."""

    value_type: int | UnsetType = UNSET
    value: str | UnsetType | None = UNSET
    description: Free | UnsetType | None = UNSET


class NewEntry(EntryChange, frozen=True, kw_only=True, rename="camel"):
    name: Name
    value_type: int


class ConfigurationEntry(Struct, frozen=True, kw_only=True, rename="camel"):
    id: int
    name: str
    value_type: int
    value: str | None
    description: str | None
    created_at: str
    updated_at: str
