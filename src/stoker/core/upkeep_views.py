"""What is said about the room that an installation takes, and about giving some of it back."""

from __future__ import annotations

import msgspec


class NamespaceUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Rows and bytes. `item_bytes`: of what tasks gave; `deleting`: runs that are just being deleted."""

    name: str
    runs: int = 0
    deleting: int = 0
    tasks: int = 0
    items: int = 0
    item_bytes: int = 0
    logs: int = 0
    log_bytes: int = 0
    artifacts: int = 0
    artifact_bytes: int = 0


class UsageView(msgspec.Struct, frozen=True, kw_only=True):
    """`disk_bytes`, `free_bytes`: of the disk on which the artifacts lie."""

    namespaces: list[NamespaceUsage]
    disk_bytes: int
    free_bytes: int


class CollectionView(msgspec.Struct, frozen=True, kw_only=True):
    """A collection: artifacts that nothing names, and stored bytes that no row names. `dry_run`: of what would go.

    `running`: it goes on. `looked`: in how many values it has looked for handles. `error`: why it ended too early.
    """

    running: bool = False
    dry_run: bool = False
    looked: int = 0
    artifacts: int = 0
    artifact_bytes: int = 0
    files: int = 0
    file_bytes: int = 0
    error: str = ""
