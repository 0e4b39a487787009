"""Who takes part in a session, and as what."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from stoker.api.dialects.heat.fields import Free, Guid, Key
from stoker.api.dialects.heat.noun import Noun


class Record(Struct, frozen=True, kw_only=True, rename="camel"):
    user_id: int
    role: str = ""
    grouping: str | None = None
    source: str | None = None


NOUN = Noun(sort="heat.sessionuser", record=Record, title="user of the session")


class NewSessionUser(Struct, frozen=True, kw_only=True, rename="camel"):
    """Names a user by id, or by the id that it has elsewhere."""

    role: Free
    user_id: Key | UnsetType | None = UNSET
    external_heat_id: Guid | UnsetType | None = UNSET
    grouping: Free | UnsetType | None = UNSET
    source: Free | UnsetType | None = UNSET


class SessionUser(Struct, frozen=True, kw_only=True, rename="camel"):
    id: int
    session_id: str
    user_id: int
    role: str
    external_heat_id: str
    grouping: str | None
    source: str | None
