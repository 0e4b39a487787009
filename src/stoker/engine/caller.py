"""Who asks: what a token allows."""

from __future__ import annotations

import msgspec


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Scopes: read, trigger, run, author, admin; `*` in namespaces means all."""

    token_id: int
    name: str
    scopes: frozenset[str]
    namespaces: frozenset[str]
    kinds: frozenset[str] = frozenset()  # empty: every kind
    role: str | None = None
