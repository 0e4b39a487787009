"""Paths as routing and authorisation both see them: slashes collapsed, the configured prefix taken off."""

from __future__ import annotations

import re

_SLASHES = re.compile(r"/{2,}")


def collapse(path: str) -> str:
    return _SLASHES.sub("/", path) if "//" in path else path


def without_prefix(path: str, prefix: str) -> str | None:
    """The path below the prefix; None if it lies elsewhere."""
    if not prefix:
        return path
    if path == prefix:
        return "/"
    return path[len(prefix) :] if path.startswith(prefix + "/") else None
