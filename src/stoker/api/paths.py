"""Paths as routing and authorisation both see them: slashes collapsed, the configured prefix taken off."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

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


def raw(scope: Any, path: str, prefix: str) -> str:
    """The path below the prefix as it was sent, escapes and all; each character is a byte. `path`: what it means."""
    sent = scope.get("raw_path")
    found = None if sent is None else without_prefix(collapse(sent.decode("latin-1")), prefix)
    return quote(path) if found is None else found
