"""Finds what stands at a path by its raw segments: first the route, then the meaning of its escapes.

A literal segment goes before a parameter. A parameter may say what it takes: `{id:int}`, `{id:guid}`. A slash at the
end of a path is no segment.
"""

from __future__ import annotations

import re
from typing import Generic, TypeVar
from urllib.parse import unquote_to_bytes

T = TypeVar("T")
_TAKES = {
    "": re.compile(r"[^/]+", re.DOTALL),
    "int": re.compile(r"\d{1,16}", re.ASCII),
    "guid": re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII),
}


class Tree(Generic[T]):
    """Values by path."""

    def __init__(self) -> None:
        self._literal: dict[str, Tree[T]] = {}
        self._taking: dict[str, Tree[T]] = {}  # by what a parameter takes; what takes less is asked first
        self._here: tuple[T, tuple[str, ...]] | None = None

    def add(self, path: str, value: T) -> None:
        """Put a value at a path. ValueError if there is one."""
        tree, names = self, []
        for segment in _segments(path):
            if segment.startswith("{"):
                name, _, takes = segment[1:-1].partition(":")
                names.append(name)
                tree = tree._taking.setdefault(takes, Tree())
                continue
            tree = tree._literal.setdefault(segment, Tree())
        if tree._here is not None:
            raise ValueError(f"{path} is declared twice")
        tree._here = (value, tuple(names))

    def find(self, path: str) -> tuple[T, dict[str, str]] | None:
        """The value at a raw path, with the parameters decoded; None if there is none, or an escape is no UTF-8."""
        segments = _segments(path)
        found = self._find(segments, 0, [])
        if found is None:
            return None
        value, names, given = found
        try:
            return value, {name: decoded(text) for name, text in zip(names, given, strict=True)}
        except UnicodeDecodeError:
            return None

    def _find(self, segments: list[str], at: int, given: list[str]) -> tuple[T, tuple[str, ...], list[str]] | None:
        if at == len(segments):
            return None if self._here is None else (*self._here, given)
        segment = segments[at]
        below = self._literal.get(segment)
        if below is not None and (found := below._find(segments, at + 1, given)):
            return found
        for takes in sorted(self._taking, key=lambda takes: not takes):
            if _TAKES[takes].fullmatch(segment) and (
                found := self._taking[takes]._find(segments, at + 1, [*given, segment])
            ):
                return found
        return None


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/")


def decoded(segment: str) -> str:
    """What a segment of a raw path means; its characters stand for bytes. UnicodeDecodeError if that is no UTF-8."""
    if "%" not in segment and segment.isascii():
        return segment
    return unquote_to_bytes(segment.encode("latin-1")).decode()
