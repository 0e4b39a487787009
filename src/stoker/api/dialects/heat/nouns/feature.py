"""Features: what node templates and runner types belong to, and what turns them off together."""

from __future__ import annotations

from msgspec import Struct

from stoker.api.dialects.heat.enums import OwnershipType
from stoker.api.dialects.heat.noun import Noun


class Record(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is kept; its name is `internalName`."""

    display_name: str
    icon: str = ""
    is_enabled: bool = True
    ownership_type: int = OwnershipType.customer.value
    description: str = ""


NOUN = Noun(sort="heat.feature", record=Record, title="feature")


class Feature(Struct, frozen=True, kw_only=True, rename="camel"):
    internal_name: str
    display_name: str
    icon: str
    is_enabled: bool
    ownership_type: int
    description: str
    created_at: str
    updated_at: str


def undescribed(name: str) -> Record:
    """A feature that somebody names and nobody has described."""
    return Record(display_name=name)
