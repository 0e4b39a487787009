"""Where a run stands in a trace: W3C's `traceparent`, as a caller gave it or a server made it."""

from __future__ import annotations

import re

_LIKE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
LENGTH = 55


def traceparent(header: str) -> str | None:
    """The header if it is one; None if not: W3C has a trace begin anew then. What later versions add is left out."""
    if len(header) < LENGTH or (len(header) > LENGTH and (header.startswith("00") or header[LENGTH] != "-")):
        return None
    return header[:LENGTH] if _LIKE.fullmatch(header[:LENGTH]) else None


def trace_id(parent: str) -> str:
    return parent[3:35]
