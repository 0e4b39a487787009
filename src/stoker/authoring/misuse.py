"""The error for graph code that cannot mean anything: it is a `TypeError` and says where and what to do instead."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from stoker.errors import Invalid

_here: ContextVar[str] = ContextVar("_here", default="")
_PACKAGE = f"{Path(__file__).parent.parent}/"  # all of it: `stoker.run` and clients stand between too


class Misuse(Invalid, TypeError):
    """A node, graph or handle is used in a way that cannot work; `place` is the user's line."""

    code = "misuse"


class NoAttribute(Misuse, AttributeError):
    """A handle was asked for an attribute; it has none."""


@contextmanager
def about(place: str) -> Iterator[None]:
    """What is wrong from here on stands at this place: the code of the user has returned, and no frame is its own."""
    token = _here.set(place)
    try:
        yield
    finally:
        _here.reset(token)


def here() -> str:
    """The line of the innermost frame that is not this package: `file.py:12`."""
    if told := _here.get():
        return told
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def misuse(message: str, remedy: str = "", *, place: str = "") -> Misuse:
    """Build the error for the user's current line, or for `place`."""
    return Misuse(message, place=place or here(), remedy=remedy)
