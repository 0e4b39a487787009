"""What a backup consists of: the database, the stored bytes, and a manifest that says so."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from stoker.core.duration import Micros

DATABASE = "stoker.db"
MANIFEST = "backup.json"
_FILE = re.compile(r"artifacts/([0-9a-f]{2})/(\1[0-9a-f]{62})")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`database`: the SHA-256 of the database in hex; those of stored bytes are their names."""

    format: Literal["stoker.backup"] = "stoker.backup"
    version: Literal[1] = 1
    made_at: Micros
    database: str
    database_bytes: int
    files: int
    file_bytes: int


def key_of(name: str) -> str | None:
    """The key of stored bytes that a file of a backup is; None: it is none."""
    found = _FILE.fullmatch(name)
    return found[2] if found else None
