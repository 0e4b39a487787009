"""What a kind was when somebody last looked at it, in a few bytes: so that a runner of other code is known as one."""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

import msgspec

from stoker.core.graph import KindSpec

DIGITS = 12


class Digest(NamedTuple):
    """`schema`: of what goes in and comes out. `source`: of the code; empty where it is not known."""

    schema: str
    source: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.source}"


def digest(kind: KindSpec) -> Digest:
    body = msgspec.json.encode([kind.input, kind.output, kind.items], order="sorted")
    return Digest(sha256(body).hexdigest()[:DIGITS], kind.source_hash[:DIGITS])


def read(text: str) -> Digest:
    schema, _, source = text.partition(".")
    return Digest(schema, source)
