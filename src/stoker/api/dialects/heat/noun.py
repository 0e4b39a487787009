"""What a noun is, and one of it that is kept."""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Struct

R = TypeVar("R")


class Noun(Struct, Generic[R], frozen=True, kw_only=True):
    """A sort of documents: its name in the database, what is kept of each, and what people call it."""

    sort: str
    record: type[R]
    title: str


class Kept(Struct, Generic[R], frozen=True, kw_only=True):
    """A document. `name`: unique within its sort where it has one."""

    id: int
    name: str
    record: R
    created_at: str
    updated_at: str
