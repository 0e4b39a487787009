"""Finds what stands at a path by its segments; of a raw path first the route, then the meaning of its escapes.

A literal segment goes before a parameter. A parameter may say what it takes: `{id:int}`, `{id:guid}`, and at the end of
a path `{name:rest}`: all that is left, slashes too.
"""

from __future__ import annotations

import re
from typing import Generic, TypeVar
from urllib.parse import unquote_to_bytes

T = TypeVar("T")
_ORDER = ("int", "guid", "", "rest")  # in which a segment is offered: who takes less is asked first
_TAKES = {
    "": re.compile(r"[^/]+", re.DOTALL),
    "int": re.compile(r"\d{1,16}", re.ASCII),
    "guid": re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII),
}


class Tree(Generic[T]):
    """Values by path."""

    def __init__(self) -> None:
        self._literal: dict[str, Tree[T]] = {}
        self._taking: dict[str, Tree[T]] = {}  # by what a parameter takes, in that order
        self._here: tuple[T, tuple[str, ...]] | None = None

    def add(self, path: str, value: T) -> None:
        """Put a value at a path. ValueError if there is one."""
        tree, names = self, []
        for segment in path.strip("/").split("/"):
            if segment.startswith("{"):
                name, _, takes = segment[1:-1].partition(":")
                names.append(name)
                tree = tree._below(takes)
                continue
            tree = tree._literal.setdefault(segment, Tree())
        if tree._here is not None:
            raise ValueError(f"{path} is declared twice")
        tree._here = (value, tuple(names))

    def find(self, path: str) -> tuple[T, dict[str, str]] | None:
        """The value at a raw path, with the parameters decoded; None if there is none, or an escape is no UTF-8.

        A slash at the end is no segment.
        """
        found = self._find(path.strip("/").split("/"), 0, [])
        if found is None:
            return None
        value, names, given = found
        try:
            return value, {name: decoded(text) for name, text in zip(names, given, strict=True)}
        except UnicodeDecodeError:
            return None

    def at(self, path: str) -> tuple[T, dict[str, str]] | None:
        """The value at a path that is decoded already; None if there is none. A slash at the end counts."""
        found = self._find(path.split("/")[1:], 0, [])
        return None if found is None else (found[0], dict(zip(found[1], found[2], strict=True)))

    def _below(self, takes: str) -> Tree[T]:
        if takes not in self._taking:
            self._taking[takes] = Tree()
            self._taking = {known: self._taking[known] for known in sorted(self._taking, key=_ORDER.index)}
        return self._taking[takes]

    def _find(self, segments: list[str], at: int, given: list[str]) -> tuple[T, tuple[str, ...], list[str]] | None:
        if at == len(segments):
            return None if self._here is None else (*self._here, given)
        segment = segments[at]
        below = self._literal.get(segment)
        if below is not None and (found := below._find(segments, at + 1, given)):
            return found
        for takes, tree in self._taking.items():
            if takes == "rest":
                return None if tree._here is None else (*tree._here, [*given, "/".join(segments[at:])])
            if _TAKES[takes].fullmatch(segment) and (found := tree._find(segments, at + 1, [*given, segment])):
                return found
        return None


def decoded(segment: str) -> str:
    """What a segment of a raw path means; its characters stand for bytes. UnicodeDecodeError if that is no UTF-8."""
    if "%" not in segment and segment.isascii():
        return segment
    return unquote_to_bytes(segment.encode("latin-1")).decode()
