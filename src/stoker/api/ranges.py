"""The Range header (RFC 9110): one range of bytes. Several ranges, and what is not understood, mean the whole."""

from __future__ import annotations

import re

import msgspec

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.ASCII)


class Span(msgspec.Struct, frozen=True):
    """Bytes [start, stop)."""

    start: int
    stop: int


class Unsatisfiable(msgspec.Struct, frozen=True):
    """The range has no byte in common with the content."""


def parse(text: str, size: int) -> Span | Unsatisfiable | None:
    """The span that a Range header asks for; None: the whole content."""
    found = _RANGE.fullmatch(text)
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return Span(max(0, size - int(last)), size) if int(last) and size else Unsatisfiable()
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        return Unsatisfiable()
    return Span(int(first), min(int(last) + 1, size) if last else size)
