"""Roles: named sets of scopes. These are built in and stay as they are; others are kept in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, get_args

ScopeName = Literal["read", "trigger", "run", "author", "metrics", "admin"]
SCOPES: tuple[ScopeName, ...] = get_args(ScopeName)

BUILT_IN: Mapping[str, tuple[ScopeName, ...]] = MappingProxyType(
    {
        "viewer": ("read",),
        "operator": ("read", "trigger"),
        "developer": ("read", "trigger", "author"),
        "runner": ("run",),
        "admin": ("admin",),
    }
)


def effective(own: Iterable[str], role: str | None, kept: Iterable[str]) -> list[str]:
    """What a token may do: its own scopes, and those of its role. `kept`: what is kept of one that is not built in.

    A role that is not there any more gives nothing.
    """
    given = () if role is None else BUILT_IN.get(role, kept)
    return sorted({*own, *given})
