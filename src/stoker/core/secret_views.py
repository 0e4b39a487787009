"""What the native API takes and shows of secrets: never a value that was put before."""

from __future__ import annotations

from datetime import datetime

import msgspec


class SecretRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`value`: a text of 4 characters to 64 KiB. It is written, and never read back."""

    value: str

    def __repr__(self) -> str:
        return "SecretRequest(value='***')"


class SecretView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`key`: the id of the key that it is encrypted under. `created`: whether this call made it."""

    name: str
    key: str
    updated_at: datetime
    created: bool = False


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key: whether this server has it, whether it writes with it, and how many secrets lie under it."""

    id: str
    here: bool
    writes: bool
    secrets: int


class RotateAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One slice. `after`: go on behind this. `left`: those that no key of this server opens, as `namespace/name`."""

    rotated: int
    left: list[str] = []
    after: str | None = None
