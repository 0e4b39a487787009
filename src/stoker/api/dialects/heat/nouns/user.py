"""Users: people that sessions name. Nobody signs in as one; who calls is a matter of tokens."""

from __future__ import annotations

from msgspec import Struct, field

from stoker.api.dialects.heat.enums import UserType
from stoker.api.dialects.heat.noun import Noun


class Record(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is kept; its name is `externalHEATId`."""

    email: str = ""
    type: int = UserType.ExternalUser.value
    is_active: bool = True
    external_b2c_id: str | None = None
    external_heat_id: str = field(name="externalHEATId", default="")


NOUN = Noun(sort="heat.user", record=Record, title="user")


class User(Struct, frozen=True, kw_only=True, rename="camel"):
    id: int
    email: str
    type: int
    is_active: bool
    created_at: str
    external_b2c_id: str | None
    external_heat_id: str = field(name="externalHEATId")
